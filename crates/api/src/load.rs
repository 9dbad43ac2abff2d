//! How much this process has in hand, and when that is enough: who comes then is told so at once, rather than waiting with
//! all the others until nobody is served in time.

use holdfast_app::config;
use holdfast_app::metrics::{Gauge, Metrics, Shed, one};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub struct Load {
    in_flight: AtomicUsize,
    waiting: AtomicUsize,
    max_in_flight: usize,
    max_waiting: usize,
    metrics: Arc<Metrics>,
}

/// A request that is being carried out, until this is dropped.
pub(crate) struct InFlight(Arc<Load>);

/// A request that waits for a command to change, until this is dropped. Meanwhile it is not in flight: it costs its
/// connection and no more.
pub(crate) struct Waiting<'a>(&'a Load);

impl Load {
    pub fn new(config: &config::Api, metrics: &Arc<Metrics>) -> Arc<Self> {
        let load = Arc::new(Self {
            in_flight: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            max_in_flight: config.max_in_flight,
            max_waiting: config.max_waiting,
            metrics: Arc::clone(metrics),
        });
        // The metrics are held by what they sample.
        let sampled = Arc::downgrade(&load);
        metrics.sample(move || sampled.upgrade().map_or_else(Vec::new, |load| load.gauges()));
        load
    }

    fn gauges(&self) -> Vec<Gauge> {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed) as f64;
        vec![
            one("holdfast_requests_in_flight", "Requests in hand", read(&self.in_flight)),
            one("holdfast_requests_waiting", "Requests that wait for a command to change", read(&self.waiting)),
        ]
    }

    /// `None`: one too many.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<InFlight> {
        if self.in_flight.fetch_add(1, Ordering::Relaxed) < self.max_in_flight {
            return Some(InFlight(Arc::clone(self)));
        }
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.metrics.refusing.shed(Shed::InFlight);
        None
    }

    /// For a request that is in flight. `None`: one too many.
    pub(crate) fn wait(&self) -> Option<Waiting<'_>> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) < self.max_waiting {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            return Some(Waiting(self));
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.metrics.refusing.shed(Shed::Waiting);
        None
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Waiting<'_> {
    /// In flight again, even if that is one too many: all that is left to do is to answer.
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.in_flight.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(max_in_flight: usize, max_waiting: usize) -> Arc<Load> {
        Load::new(&config::Api { max_in_flight, max_waiting, ..config::Api::default() }, &Metrics::new())
    }

    #[test]
    fn one_too_many_is_turned_away_until_somebody_leaves() {
        let load = load(2, 1);
        let (first, _second) = (load.enter().expect("room"), load.enter().expect("room"));
        assert!(load.enter().is_none() && load.enter().is_none());
        drop(first);
        assert!(load.enter().is_some());
    }

    #[test]
    fn who_waits_makes_room() {
        let load = load(1, 1);
        let _first = load.enter().expect("room");
        let waiting = load.wait().expect("room");
        let _second = load.enter().expect("room that the first has made");
        assert!(load.wait().is_none(), "one waits already");
        assert!(load.enter().is_none());
        drop(waiting);
        assert_eq!(load.in_flight.load(Ordering::Relaxed), 2, "both are answered");
    }
}
