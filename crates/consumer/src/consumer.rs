//! From a delivery to its end, whatever delivered it.

use crate::delivery::{Act, Delivery, Grave, Outcome};
use crate::metrics::{Metrics, SourceMetrics};
use crate::store::{Moved, Store};
use crate::turns::{Place, Turns};
use crate::waits::Waits;
use crate::{Event, Failed, Handler, Settings, Unreadable};
use holdfast_queue::{Slot, Slots};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Of an event that was waited for in vain: to handle it now would turn the order round, to drop it would lose it.
const LATE: &str = "its successors were handled before it came";

/// Handles what its sources deliver. Clones are the same consumer: one may read several sources.
pub struct Consumer<H> {
    pub(crate) settings: Arc<Settings>,
    pub(crate) metrics: Metrics,
    pub(crate) slots: Slots,
    pub(crate) turns: Turns,
    pub(crate) store: Store,
    pub(crate) handler: Arc<H>,
    held: Arc<Semaphore>,
}

impl<H> Clone for Consumer<H> {
    fn clone(&self) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            metrics: self.metrics.clone(),
            slots: self.slots.clone(),
            turns: self.turns.clone(),
            store: self.store.clone(),
            handler: Arc::clone(&self.handler),
            held: Arc::clone(&self.held),
        }
    }
}

impl<H: Handler> Consumer<H> {
    pub fn new(store: Store, handler: H, settings: Settings, metrics: Metrics) -> Self {
        Self {
            slots: Slots::new(settings.concurrency),
            held: Arc::new(Semaphore::new(settings.most_held)),
            settings: Arc::new(settings),
            metrics,
            turns: Turns::default(),
            store,
            handler: Arc::new(handler),
        }
    }

    /// The same with slots of its own: a source that waits for events holds those that it asks for.
    pub(crate) fn for_a_source(&self) -> Self {
        Self { slots: Slots::new(self.settings.concurrency), ..self.clone() }
    }

    /// Handles an event, or buries it, or leaves it. Ends soon after `stop`: a try that is under way is not cut off, a wait is.
    pub(crate) async fn settle<G: Grave>(
        &self,
        delivery: Delivery<'_, G>,
        slot: &mut Slot,
        stop: &CancellationToken,
    ) -> Outcome {
        let mut act = delivery.first_act();
        let mut waits = Waits::new(&self.settings);
        loop {
            if stop.run_until_cancelled(self.come(&delivery.place, slot)).await.is_none() || stop.is_cancelled() {
                return self.left(&delivery, "stopped");
            }
            let failed = match self.attempt(&delivery, &act, &waits).await {
                Ok(Moved::Yes(_)) => return self.done(&delivery, &act),
                Ok(Moved::Duplicate) => {
                    delivery.metrics.ended("duplicate");
                    return Outcome::Done;
                }
                Ok(Moved::Late) => match delivery.grave.bury(LATE).await {
                    Ok(()) => return self.done(&delivery, &Act::Bury { reason: LATE.to_owned(), why: "late" }),
                    Err(failed) => failed,
                },
                Ok(Moved::Missing { .. }) => {
                    self.hold_back(&delivery, &mut waits, slot, stop).await;
                    continue;
                }
                Err(failed) => failed,
            };
            match self.after(failed, &delivery, &mut waits) {
                Next::Wait => drop(stop.run_until_cancelled(waits.again.wait()).await),
                Next::Act(next) => act = next,
                Next::Leave => return self.left(&delivery, "failed"),
            }
        }
    }

    /// Buries what is no event at all.
    pub(crate) async fn discard<G: Grave>(
        &self,
        grave: &G,
        error: &Unreadable,
        metrics: &SourceMetrics,
        stop: &CancellationToken,
    ) -> Outcome {
        let mut waits = Waits::new(&self.settings);
        loop {
            match grave.bury(&error.to_string()).await {
                Ok(()) => {
                    tracing::error!(%error, "what can be read by nobody became a dead letter");
                    metrics.ended("dead");
                    metrics.died("unreadable");
                    return Outcome::Done;
                }
                Err(failed) => {
                    tracing::warn!(error = %failed, "could not bury what can be read by nobody");
                    let passes = matches!(failed, Failed::Away(_));
                    if !passes || stop.run_until_cancelled(waits.again.wait()).await.is_none() {
                        return Outcome::Left;
                    }
                }
            }
        }
    }

    /// Waits for its turn among those in hand.
    async fn come(&self, place: &Place, slot: &mut Slot) {
        if !place.is_first() {
            self.step_aside(slot, place.come()).await;
        }
    }

    /// Waits without a slot, as long as not too many do. Nobody who waited so waits for a slot afterwards: those who have
    /// one may be waiting for him.
    async fn step_aside<T>(&self, slot: &mut Slot, wait: impl Future<Output = T>) -> T {
        let Ok(_aside) = self.held.try_acquire() else { return wait.await };
        *slot = Slot::uncounted();
        let waited = wait.await;
        *slot = self.slots.take_up_to(1).pop().unwrap_or_else(Slot::uncounted);
        waited
    }

    /// Until it may be its turn.
    async fn hold_back<G>(
        &self,
        delivery: &Delivery<'_, G>,
        waits: &mut Waits,
        slot: &mut Slot,
        stop: &CancellationToken,
    ) {
        if waits.begin() {
            delivery.metrics.held_back();
        }
        let looking = stop.run_until_cancelled(async {
            loop {
                waits.look.wait().await;
                // One that has come meanwhile goes first.
                let may_go = waits.are_over(self.settings.patience) || !delivery.place.is_first();
                if may_go || self.predecessor_is_handled(delivery.event).await {
                    return;
                }
            }
        });
        self.step_aside(slot, looking).await;
    }

    /// Without a lock. Where that cannot be said, the next attempt will say why.
    async fn predecessor_is_handled(&self, event: &Event) -> bool {
        self.store.last(&event.subject).await.map_or(true, |last| last >= Some(event.sequence - 1))
    }

    fn after<G>(&self, failed: Failed, delivery: &Delivery<'_, G>, waits: &mut Waits) -> Next {
        let Delivery { event, deliveries, most_deliveries, metrics, .. } = delivery;
        let reason = match failed {
            Failed::Away(reason) => {
                tracing::warn!(event.id, reason, "waiting for what is away");
                return Next::Wait;
            }
            Failed::Refuse(reason) => return Next::Act(Act::Bury { reason, why: "refused" }),
            Failed::Retry(reason) => reason,
        };
        metrics.failed();
        waits.tries += 1;
        tracing::warn!(event.id, reason, tries = waits.tries, deliveries, "could not handle an event");
        if waits.tries < self.settings.tries {
            Next::Wait
        } else if most_deliveries.is_some_and(|most| *deliveries >= most) {
            Next::Act(Act::Bury { reason, why: "exhausted" })
        } else {
            Next::Leave
        }
    }

    fn done<G>(&self, delivery: &Delivery<'_, G>, act: &Act) -> Outcome {
        match act {
            Act::Handle => delivery.metrics.ended("handled"),
            Act::Bury { reason, why } => {
                tracing::error!(delivery.event.id, reason, why, "an event became a dead letter");
                delivery.metrics.ended("dead");
                delivery.metrics.died(why);
            }
        }
        Outcome::Done
    }

    fn left<G>(&self, delivery: &Delivery<'_, G>, why: &'static str) -> Outcome {
        delivery.metrics.ended(why);
        Outcome::Left
    }
}

/// What follows a failure.
enum Next {
    Wait,
    Act(Act),
    Leave,
}
