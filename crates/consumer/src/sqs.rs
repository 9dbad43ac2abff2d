//! A queue of SQS as a source. What is refused goes to its dead-letter queue at once; what was received too often, SQS moves
//! there by itself, after the redrive policy.

use crate::delivery::{Delivery, Grave, Outcome};
use crate::metrics::SourceMetrics;
use crate::{Consumer, Event, Failed, Handler};
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
    pub async fn run<H: Handler>(self, consumer: Consumer<H>, stop: CancellationToken) {
        let Some(ground) = stop.run_until_cancelled(self.survey()).await else { return };
        let consumer = consumer.for_a_source();
        let metrics = consumer.metrics.of(self.queue.name());
        if ground.dead_letters.is_none() {
            tracing::warn!(queue.name = self.queue.name(), "it has no dead-letter queue: what is refused comes back");
        }
        let receiving = holdfast_queue::Consumer {
            queue: self.queue.clone(),
            slots: consumer.slots.clone(),
            settings: Settings { wait: self.wait, renew_visibility: Some(ground.visibility), pollers: 2 },
            open: watch::channel(true).1,
            handler: Arc::new(Desk {
                consumer,
                dead_letters: ground.dead_letters.clone(),
                metrics: metrics.clone(),
                stop: stop.clone(),
            }),
        };
        let watching = watch(&self.queue, ground.dead_letters.as_ref(), &metrics);
        tokio::join!(receiving.run(stop.clone()), stop.run_until_cancelled(watching));
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
}

/// Where the messages come in.
struct Desk<H> {
    consumer: Consumer<H>,
    dead_letters: Option<Queue>,
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
        let delivery = Delivery {
            place: self.consumer.turns.enter(&event.subject, event.sequence),
            deliveries: u64::from(message.receive_count),
            most_deliveries: None,
            grave: Burial { group: &event.subject, ..grave },
            metrics: &self.metrics,
            event: &event,
        };
        verdict(self.consumer.settle(delivery, &mut slot, &self.stop).await)
    }
}

const fn verdict(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Done => Verdict::Delete,
        Outcome::Left => Verdict::Leave,
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
        to.bury(&letter).await.map_err(|error| Failed::away(error.to_string()))
    }
}

async fn watch(queue: &Queue, dead_letters: Option<&Queue>, metrics: &SourceMetrics) {
    loop {
        if let Ok(counts) = queue.counts().await {
            metrics.set_lag(counts.waiting + counts.delayed);
            metrics.set_pending(counts.in_flight);
        }
        if let Some(dead_letters) = dead_letters
            && let Ok(counts) = dead_letters.counts().await
        {
            metrics.set_dead_letters(counts.waiting + counts.in_flight);
        }
        backoff::sleep(WATCH).await;
    }
}
