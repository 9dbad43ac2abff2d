//! What goes on, looked at every few seconds and kept for some minutes in memory.

use holdfast_app::{App, StoreError, pause};
use holdfast_domain::{Kind, Lane};
use holdfast_store::overview::{self, Attention, Moment, Owed};
use holdfast_store::workers::{self, Listed};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Looks that are kept.
pub(crate) const ROOM: usize = 300;

/// Looking takes no more than this part of the time, however much is owed. A single look that took long was held up.
const SHARE: u32 = 20;

/// More workers than are shown.
const MAX_WORKERS: i64 = 200;

/// One look. Rates are per second, by kind in the order of [`Kind::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    pub(crate) accepted: [f64; 3],
    pub(crate) ended: [f64; 3],
    /// For how long the oldest due run, and the oldest due callback, has been so.
    pub(crate) run_lag_s: f64,
    pub(crate) tell_lag_s: f64,
}

/// What was seen last.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) owed: Vec<Owed>,
    pub(crate) attention: Attention,
    pub(crate) workers: Vec<Listed>,
    /// `None`: Postgres did not answer.
    pub(crate) samples: VecDeque<Option<Sample>>,
    pub(crate) looked_at: Option<Instant>,
    pub(crate) is_blind: bool,
}

#[derive(Clone)]
pub(crate) struct Samples(Arc<Mutex<Arc<Seen>>>);

impl Samples {
    pub(crate) fn start(app: App, stop: CancellationToken) -> Self {
        let samples = Self(Arc::default());
        let kept = samples.clone();
        tokio::spawn(async move { stop.run_until_cancelled(kept.look_on(app)).await });
        samples
    }

    pub(crate) fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn look_on(&self, app: App) {
        let interval = app.config.console.sample_ms.get();
        let mut before: Option<Before> = None;
        let mut usual = Duration::ZERO;
        loop {
            let started = Instant::now();
            let looked = look(&app, before.as_ref()).await;
            let took = started.elapsed();
            match looked {
                Ok(Look { moment, attention, workers }) => {
                    let sample = before.as_ref().map(|before| compare(before, &moment, started));
                    before = Some(Before { at: started, last: moment.last, runs: runs(&moment) });
                    self.keep(sample, |seen| {
                        (seen.owed, seen.attention, seen.workers) = (moment.owed, attention, workers);
                        (seen.looked_at, seen.is_blind) = (Some(started), false);
                    });
                }
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "the console could not look");
                    // What is not known by then is not shown as a rate.
                    before = None;
                    self.keep(None, |seen| seen.is_blind = true);
                }
            }
            pause(interval.max(took.min(usual) * SHARE)).await;
            usual = took;
        }
    }

    fn keep(&self, sample: Option<Sample>, change: impl FnOnce(&mut Seen)) {
        let mut seen = (*self.seen()).clone();
        change(&mut seen);
        if seen.samples.len() >= ROOM {
            seen.samples.pop_front();
        }
        seen.samples.push_back(sample);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(seen);
    }
}

struct Look {
    moment: Moment,
    attention: Attention,
    workers: Vec<Listed>,
}

/// What a look is compared with.
struct Before {
    at: Instant,
    last: i64,
    runs: [i64; 3],
}

async fn look(app: &App, before: Option<&Before>) -> Result<Look, StoreError> {
    let after = match before {
        Some(before) => before.last,
        None => overview::youngest(&app.pool).await?,
    };
    Ok(Look {
        moment: overview::moment(&app.pool, after).await?,
        attention: overview::attention(&app.pool).await?,
        workers: workers::list(&app.pool, MAX_WORKERS).await?,
    })
}

/// Runs that are owed, by kind.
fn runs(moment: &Moment) -> [i64; 3] {
    Kind::ALL.map(|kind| {
        let of_kind = moment.owed.iter().filter(|owed| owed.kind == kind.code() && owed.lane == Lane::Run.code());
        of_kind.map(total).sum()
    })
}

pub(crate) const fn total(owed: &Owed) -> i64 {
    owed.waiting + owed.due + owed.claimed
}

/// What was accepted, and is not owed any more, has ended. Both are of one moment, so that nothing is counted twice.
fn compare(before: &Before, moment: &Moment, now: Instant) -> Sample {
    let s = (now - before.at).max(Duration::from_millis(1)).as_secs_f64();
    let runs = runs(moment);
    let mut sample = Sample::default();
    for (at, kind) in Kind::ALL.into_iter().enumerate() {
        let of_kind = moment.accepted.iter().filter(|accepted| accepted.kind == kind.code());
        let accepted: i64 = of_kind.map(|accepted| accepted.count).sum();
        // What an operator has taken up again was owed once more.
        let ended = (before.runs[at] + accepted - runs[at]).max(0);
        sample.accepted[at] = accepted as f64 / s;
        sample.ended[at] = ended as f64 / s;
    }
    let lag = |lane: Lane| {
        let of_lane = moment.owed.iter().filter(|owed| owed.lane == lane.code());
        of_lane.map(|owed| owed.oldest_due_s).fold(0.0, f64::max)
    };
    (sample.run_lag_s, sample.tell_lag_s) = (lag(Lane::Run), lag(Lane::Tell));
    sample
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_store::overview::Accepted;

    #[test]
    fn what_was_accepted_and_is_not_owed_any_more_has_ended() {
        let start = Instant::now();
        let before = Before { at: start, last: 10, runs: [5, 0, 1] };
        let run = |kind, due| Owed { kind, lane: 0, due, oldest_due_s: 3.0, ..Owed::default() };
        let moment = Moment {
            owed: vec![run(1, 9), run(3, 2), Owed { kind: 1, lane: 1, claimed: 4, ..Owed::default() }],
            accepted: vec![Accepted { kind: 1, count: 10 }],
            last: 20,
        };
        let sample = compare(&before, &moment, start + Duration::from_secs(2));
        assert_eq!((sample.accepted, sample.ended), ([5.0, 0.0, 0.0], [3.0, 0.0, 0.0]));
        assert_eq!((sample.run_lag_s, sample.tell_lag_s), (3.0, 0.0));
    }
}
