//! A queue of SQS as a source. What is refused goes to its dead-letter queue at once; what was received too often, SQS moves
//! there by itself, after the redrive policy.

use crate::calm::Calm;
use crate::delivery::{Delivery, Grave, Hold, Outcome};
use crate::metrics::SourceMetrics;
use crate::{Consumer, Event, Failed, Handler, Unfit};
use holdfast_queue::{
    Backoff, Clients, DeadLetter, Handler as MessageHandler, Message, Queue, Settings, Slot, Verdict, backoff,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often it is asked how much lies there.
const WATCH: Duration = Duration::from_secs(5);

/// The longest long poll.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Of a queue without a redrive policy.
const USUAL_RECEIVES: u64 = 10;

/// SQS hides nothing for more than 12 hours.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// Of a FIFO dead-letter queue: all that nobody could read.
const UNREADABLE: &str = "unreadable";

/// A standard queue, in which events come in any order and are held back until their turn, or a FIFO queue whose groups are
/// the subjects.
#[derive(Clone, Debug)]
pub struct Sqs {
    clients: Clients,
    queue: Queue,
    /// Long poll, at most 20 s.
    pub wait: Duration,
    /// Where refused events go. `None`: where the queue's redrive policy says.
    pub dead_letters: Option<String>,
}

impl Sqs {
    /// The queue of this name. Its redrive policy must allow enough receives: a restart costs one, too.
    pub fn new(clients: Clients, queue: &str) -> Self {
        Self { queue: clients.queue(queue), clients, wait: LONGEST_WAIT, dead_letters: None }
    }

    /// Consumes until `stop`, and lets what is under way end.
    ///
    /// # Errors
    ///
    /// Where the consumer's patience is shorter than the queue's redrive policy needs.
    pub async fn run<H: Handler>(self, consumer: Consumer<H>, stop: CancellationToken) -> Result<(), Unfit> {
        let Some(ground) = stop.run_until_cancelled(self.survey()).await else { return Ok(()) };
        if let Some(most) = ground.most_receives.filter(|_| !self.queue.is_fifo()) {
            consumer.settings.suit(most, ground.visibility)?;
        }
        let consumer = consumer.for_a_source(Calm::of_a_queue(ground.visibility * 3 / 2));
        let metrics = consumer.metrics.of(self.queue.name());
        if ground.dead_letters.is_none() {
            tracing::warn!(queue.name = self.queue.name(), "it has no dead-letter queue: what is refused comes back");
        }
        let watching = watch(&self.queue, ground.dead_letters.as_ref(), &metrics);
        let receiving = holdfast_queue::Consumer {
            queue: self.queue.clone(),
            slots: consumer.slots.clone(),
            settings: Settings { wait: self.wait, renew_visibility: Some(ground.visibility), pollers: 2 },
            open: watch::channel(true).1,
            handler: Arc::new(Desk {
                consumer,
                is_fifo: self.queue.is_fifo(),
                dead_letters: ground.dead_letters.clone(),
                most_receives: ground.most_receives,
                metrics: metrics.clone(),
                stop: stop.clone(),
            }),
        };
        tokio::join!(receiving.run(stop.clone()), stop.run_until_cancelled(watching));
        Ok(())
    }

    /// How the queue is set up, as soon as SQS says.
    async fn survey(&self) -> Ground {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            match self.queue.attributes().await {
                Ok(attributes) => {
                    let policy = attributes.redrive.as_ref().and_then(|redrive| redrive.to.rsplit(':').next());
                    let name = self.dead_letters.as_deref().or(policy);
                    return Ground {
                        // A renewal takes whole seconds.
                        visibility: attributes.visibility_timeout.max(Duration::from_secs(1)),
                        dead_letters: name.map(|name| self.clients.queue(name)),
                        most_receives: attributes.redrive.as_ref().map(|redrive| u64::from(redrive.after)),
                    };
                }
                Err(error) => tracing::warn!(queue.name = self.queue.name(), %error, "cannot ask for a queue"),
            }
            backoff.wait().await;
        }
    }
}

/// What a queue's attributes say.
struct Ground {
    visibility: Duration,
    dead_letters: Option<Queue>,
    /// `None`: any number.
    most_receives: Option<u64>,
}

/// Where the messages come in.
struct Desk<H> {
    consumer: Consumer<H>,
    is_fifo: bool,
    dead_letters: Option<Queue>,
    most_receives: Option<u64>,
    metrics: SourceMetrics,
    stop: CancellationToken,
}

impl<H: Handler> MessageHandler for Desk<H> {
    async fn handle(&self, message: Message, mut slot: Slot) -> Verdict {
        let _held = self.metrics.hold();
        let grave = Burial { message: &message, group: UNREADABLE, to: self.dead_letters.as_ref() };
        let event = match Event::parse(&message.body) {
            Ok(event) => event,
            Err(error) => return verdict(self.consumer.discard(&grave, &error, &self.metrics, &self.stop).await),
        };
        let deliveries = u64::from(message.receive_count);
        let delivery = Delivery {
            place: self.consumer.turns.enter(&event.subject, event.sequence),
            deliveries,
            // Before SQS moves it out of its turn.
            most_deliveries: self.most_receives.filter(|_| self.is_fifo).map(|most| most.saturating_sub(1).max(1)),
            tries: self.tries(),
            hold: self.hold(deliveries),
            alone: None,
            grave: Burial { group: &event.subject, ..grave },
            metrics: &self.metrics,
            event: &event,
        };
        verdict(self.consumer.settle(delivery, &mut slot, &self.stop).await)
    }

    fn miss(&self) {
        self.consumer.calm.disturb();
    }
}

impl<H: Handler> Desk<H> {
    /// Of a FIFO queue nothing is given back after a failure, which would be behind its successors that were received with it.
    fn tries(&self) -> u32 {
        let once = self.consumer.settings.tries;
        if self.is_fifo { once.saturating_mul(self.most() as u32) } else { once }
    }

    /// While it has one event of a subject in somebody's hands, a FIFO queue delivers no other one.
    fn hold(&self, deliveries: u64) -> Hold {
        if !self.is_fifo {
            return Hold::WhileThereIsRoom;
        }
        let again = deliveries > 1;
        // It may come with its predecessor, where that is behind it. Then it waits as long as it may.
        let pause = if again { self.consumer.settings.patience / self.most() as u32 } else { Duration::ZERO };
        Hold::InItsQueue { pause: pause.min(LONGEST_PAUSE), again, is_last: deliveries + 1 >= self.most() }
    }

    /// Receives of a message.
    fn most(&self) -> u64 {
        self.most_receives.unwrap_or(USUAL_RECEIVES)
    }
}

const fn verdict(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Done => Verdict::Delete,
        Outcome::Left => Verdict::Leave,
        Outcome::GivenBack(pause) => Verdict::LeaveFor(pause),
    }
}

struct Burial<'a> {
    message: &'a Message,
    group: &'a str,
    to: Option<&'a Queue>,
}

impl Grave for Burial<'_> {
    async fn bury(&self, reason: &str) -> Result<(), Failed> {
        let to = self.to.ok_or_else(|| Failed::retry("there is no dead-letter queue"))?;
        let letter = DeadLetter { body: &self.message.body, reason, id: &self.message.id, group: self.group };
        to.bury(&letter).await.map_err(|error| match error.is_away() {
            true => Failed::away(error.to_string()),
            false => Failed::retry(error.to_string()),
        })
    }
}

async fn watch(queue: &Queue, dead_letters: Option<&Queue>, metrics: &SourceMetrics) {
    loop {
        if let Ok(counts) = queue.counts().await {
            metrics.set_lag(counts.waiting + counts.delayed);
            metrics.set_pending(counts.in_flight);
            metrics.looked();
        }
        if let Some(dead_letters) = dead_letters
            && let Ok(counts) = dead_letters.counts().await
        {
            metrics.set_dead_letters(counts.waiting + counts.in_flight);
        }
        backoff::sleep(WATCH).await;
    }
}
