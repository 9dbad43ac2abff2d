//! From a delivery to its end, whatever delivered it.

use crate::attempt::Attempt;
use crate::calm::Calm;
use crate::delivery::{Act, Delivery, Grave, Hold, Outcome};
use crate::metrics::{Metrics, SourceMetrics};
use crate::store::{Moved, Store};
use crate::turns::Turns;
use crate::waits::Waits;
use crate::{Begin, Event, Failed, Handler, Settings, Unreadable};
use holdfast_queue::{Slot, Slots};
use std::sync::Arc;
use std::time::Duration;
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
    /// Of the source that it reads.
    pub(crate) calm: Calm,
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
            calm: self.calm.clone(),
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
            calm: Calm::of_a_queue(Duration::ZERO),
        }
    }

    /// The same with slots of its own: a source that waits for events holds those that it asks for.
    pub(crate) fn for_a_source(&self, calm: Calm) -> Self {
        Self { slots: Slots::new(self.settings.concurrency), calm, ..self.clone() }
    }

    /// Handles an event, or buries it, or leaves it. Ends soon after `stop`: a try that is under way is not cut off, a wait is.
    pub(crate) async fn settle<G: Grave>(
        &self,
        mut delivery: Delivery<'_, G>,
        slot: &mut Slot,
        stop: &CancellationToken,
    ) -> Outcome {
        if delivery.deliveries > 1 {
            tracing::debug!(delivery.event.id, delivery.deliveries, "delivered again");
        }
        let mut act = delivery.first_act();
        let mut waits = Waits::new(&self.settings);
        loop {
            match stop.run_until_cancelled(self.come(&delivery, slot)).await {
                Some(true) if !stop.is_cancelled() => {}
                Some(false) => return self.left(&delivery, "given_back"),
                _stopped => return self.left(&delivery, "stopped"),
            }
            let failed = match self.attempt(&delivery, &act, &waits, stop).await {
                Ok(Attempt::Stopped) => return self.left(&delivery, "stopped"),
                Ok(Attempt::Ended { moved: Moved::Yes(_), overtook }) => return self.done(&delivery, &act, overtook),
                Ok(Attempt::Ended { moved: Moved::Duplicate, .. }) => {
                    delivery.metrics.ended("duplicate");
                    return Outcome::Done;
                }
                Ok(Attempt::Ended { moved: Moved::Late, .. }) => {
                    let late = Act::Bury { reason: LATE.to_owned(), why: "late" };
                    match delivery.grave.bury(LATE).await {
                        Ok(()) => return self.done(&delivery, &late, false),
                        Err(failed) => failed,
                    }
                }
                Ok(Attempt::Ended { moved: Moved::Missing { .. }, .. }) => {
                    // Whatever it was delivered for so often, its turn has never come: nobody died over it.
                    act = Act::Handle;
                    delivery.alone = None;
                    match self.hold_back(&delivery, &mut waits, slot, stop).await {
                        None => continue,
                        Some(outcome) => return outcome,
                    }
                }
                Err(failed) => failed,
            };
            match self.after(failed, &delivery, &act, &mut waits) {
                Next::Wait => drop(self.step_aside(slot, stop.run_until_cancelled(waits.again.wait())).await),
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
                    metrics.failed();
                    let passes = matches!(failed, Failed::Away(_));
                    if !passes || stop.run_until_cancelled(waits.again.wait()).await.is_none() {
                        return Outcome::Left;
                    }
                }
            }
        }
    }

    /// Waits for its turn among those in hand. `false`: there is no room for that.
    async fn come<G>(&self, delivery: &Delivery<'_, G>, slot: &mut Slot) -> bool {
        if delivery.place.is_first() {
            return true;
        }
        if delivery.hold != Hold::Here && self.held.available_permits() == 0 {
            return false;
        }
        self.step_aside(slot, delivery.place.come()).await;
        true
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

    /// Until it may be its turn. Or answers that it waits elsewhere.
    async fn hold_back<G>(
        &self,
        delivery: &Delivery<'_, G>,
        waits: &mut Waits,
        slot: &mut Slot,
        stop: &CancellationToken,
    ) -> Option<Outcome> {
        if waits.begin() {
            delivery.metrics.held_back();
        }
        match delivery.hold {
            Hold::InItsQueue { pause, .. } => {
                delivery.metrics.ended("given_back");
                return Some(Outcome::GivenBack(pause));
            }
            Hold::WhileThereIsRoom if self.held.available_permits() == 0 => {
                return Some(self.left(delivery, "given_back"));
            }
            Hold::Here | Hold::WhileThereIsRoom => {}
        }
        let _waiting = delivery.metrics.wait();
        let looking = stop.run_until_cancelled(async {
            loop {
                waits.look.wait().await;
                // One that has come meanwhile goes first.
                if !delivery.place.is_first() || self.may_go(delivery.event, waits).await {
                    return;
                }
            }
        });
        self.step_aside(slot, looking).await;
        None
    }

    /// Without a lock. Where that cannot be said, the next attempt will say why.
    async fn may_go(&self, event: &Event, waits: &mut Waits) -> bool {
        let Ok(last) = self.store.last(&event.subject).await else { return true };
        waits.saw(last);
        let joins = last.is_none() && self.settings.begin == Begin::Anywhere;
        last >= Some(event.sequence - 1) || waits.are_over(self.patience(joins), &self.calm)
    }

    /// `joins`: nothing was ever heard of the subject, which may begin anywhere.
    pub(crate) fn patience(&self, joins: bool) -> Duration {
        if joins { self.settings.patience.min(self.calm.redelivers_within) } else { self.settings.patience }
    }

    fn after<G>(&self, failed: Failed, delivery: &Delivery<'_, G>, act: &Act, waits: &mut Waits) -> Next {
        let Delivery { event, deliveries, metrics, .. } = delivery;
        let reason = match failed {
            Failed::Away(reason) => {
                tracing::warn!(event.id, reason, "waiting for what is away");
                metrics.missed();
                waits.begin_anew();
                return Next::Wait;
            }
            Failed::Refuse(reason) => return Next::Act(Act::Bury { reason, why: "refused" }),
            Failed::Retry(reason) => reason,
        };
        metrics.failed();
        waits.tries += 1;
        tracing::warn!(event.id, reason, tries = waits.tries, deliveries, "could not handle an event");
        if waits.tries < delivery.tries {
            Next::Wait
        } else if delivery.is_given_up() && matches!(act, Act::Handle) {
            Next::Act(Act::Bury { reason, why: "exhausted" })
        } else {
            Next::Leave
        }
    }

    fn done<G>(&self, delivery: &Delivery<'_, G>, act: &Act, overtook: bool) -> Outcome {
        if overtook {
            tracing::warn!(delivery.event.id, "its predecessors never came: it went on without them");
            delivery.metrics.overtaken();
        }
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
