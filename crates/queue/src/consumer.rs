//! The consumer runtime: free slots decide how many messages are asked for, so that none ages in a local buffer.

use crate::deleter::Deleter;
use crate::publisher::MAX_ENTRIES;
use crate::{Backoff, Error, Queue, Slot, Slots, TRACEPARENT, backoff};
use aws_sdk_sqs::types::MessageSystemAttributeName;
use futures::FutureExt as _;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// After a receive that found a few messages: the next one finds several more, and costs as much.
const PACE: Duration = Duration::from_millis(10);

/// Where a receive takes less than this, a few at once bring all that can be worked on; more would find less each.
const QUICK: Duration = Duration::from_millis(5);
const FEW: usize = 2;

/// How long others than the first poller wait for a message: they are there while there is plenty, and hold slots.
const NOT_FOR_LONG: Duration = Duration::from_secs(1);

/// How long a receive that is under way may go on after the stop.
const LAST_MOMENT: Duration = Duration::from_millis(200);

/// A received message.
#[derive(Clone)]
pub struct Message {
    pub queue: Arc<str>,
    pub id: String,
    pub body: String,
    pub traceparent: Option<String>,
    /// How often SQS has handed it out. Approximate: it may say when to stop waiting or trying, and nothing else.
    pub receive_count: u32,
}

/// Without what it carries.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("queue", &self.queue).field("id", &self.id).finish_non_exhaustive()
    }
}

/// What is to become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Delete,
    /// SQS returns it after the visibility timeout, and moves it to the dead-letter queue after three receives.
    Leave,
    /// SQS returns it after so long, whole seconds.
    LeaveFor(Duration),
}

/// Works on messages. A panic is one failed message: it is logged, the message left to SQS.
pub trait Handler: Send + Sync + 'static {
    fn handle(&self, message: Message, slot: Slot) -> impl Future<Output = Verdict> + Send;

    /// Whether there would be something to do for what is received now. While there is not, it stays in SQS.
    fn is_ready(&self) -> bool {
        true
    }

    /// How many receives may be under way at once as things are, if the settings allow for as many.
    fn pollers(&self) -> usize {
        usize::MAX
    }

    /// SQS has not answered: for some time, what is there does not come.
    fn miss(&self) {}
}

#[derive(Clone, Debug)]
pub struct Settings {
    /// Long poll, at most 20 s.
    pub wait: Duration,
    /// Extends the visibility by this much, each time half of it has passed, while a handler works. For handlers that
    /// may take longer than the queue's visibility timeout and rely on nobody else getting the message.
    pub renew_visibility: Option<Duration>,
    /// How many receives may be under way at once. One is, while it finds few: two would share what there is.
    pub pollers: usize,
}

/// Consumes one queue.
pub struct Consumer<H> {
    pub queue: Queue,
    pub slots: Slots,
    pub settings: Settings,
    /// Nothing is received while this is `false`.
    pub open: watch::Receiver<bool>,
    pub handler: Arc<H>,
}

impl<H> Clone for Consumer<H> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            slots: self.slots.clone(),
            settings: self.settings.clone(),
            open: self.open.clone(),
            handler: Arc::clone(&self.handler),
        }
    }
}

impl<H: Handler> Consumer<H> {
    /// Receives until `stop`, then lets every handler end and flushes the deletes. A message in flight is never dropped.
    pub async fn run(self, stop: CancellationToken) {
        let handlers = TaskTracker::new();
        let deletes = TaskTracker::new();
        let desk = Arc::new(Desk {
            queue: self.queue.clone(),
            renew_visibility: self.settings.renew_visibility,
            handler: Arc::clone(&self.handler),
            deleter: Deleter::start(self.queue.clone(), &deletes),
        });
        let wanted = watch::Sender::new(1);
        let pollers = (0..self.settings.pollers.max(1)).map(|number| {
            let turn = Turn { number, wanted: wanted.clone() };
            let (consumer, handlers, desk) = (self.clone(), handlers.clone(), Arc::clone(&desk));
            // In tasks of their own: polled as one, each message would have all of them looked at.
            tokio::spawn(consumer.poll(turn, stop.clone(), handlers, desk))
        });
        for ended in futures::future::join_all(pollers).await {
            if let Err(error) = ended {
                tracing::error!(queue.name = self.queue.name(), %error, "a poller has ended before its time");
            }
        }
        handlers.close();
        handlers.wait().await;
        drop(desk);
        deletes.close();
        deletes.wait().await;
    }

    async fn poll(mut self, turn: Turn, stop: CancellationToken, handlers: TaskTracker, desk: Arc<Desk<H>>) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let mut quiet = true;
        // Whoever waits for the first message for long holds no more slots than that one needs.
        while let Some(slots) = stop.run_until_cancelled(self.ready(&turn, if quiet { 1 } else { MAX_ENTRIES })).await {
            let (asked, started) = (slots.len(), Instant::now());
            let wait = if turn.number == 0 { self.settings.wait } else { self.settings.wait.min(NOT_FOR_LONG) };
            match self.receive_unless_stopped((asked, wait), &stop).await {
                None => break,
                Some(Ok(received)) => {
                    backoff.reset();
                    let (found, is_quick) = (received.len(), started.elapsed() < QUICK);
                    let first = std::mem::replace(&mut quiet, found == 0);
                    for ((message, receipt), slot) in received.into_iter().zip(slots) {
                        handlers.spawn(Arc::clone(&desk).work(message, receipt, slot));
                    }
                    if !first && turn.after((found, asked), if is_quick { FEW } else { self.handler.pollers() }) {
                        stop.run_until_cancelled(backoff::sleep(PACE)).await;
                    }
                }
                Some(Err(error)) => {
                    tracing::warn!(queue.name = self.queue.name(), %error, "could not receive");
                    self.handler.miss();
                    drop(slots);
                    stop.run_until_cancelled(backoff.wait()).await;
                }
            }
        }
    }

    /// Slots to work with, once there are some and receiving is open.
    async fn ready(&mut self, turn: &Turn, most: usize) -> Vec<Slot> {
        turn.come().await;
        loop {
            if self.open.wait_for(|open| *open).await.is_err() {
                // Whoever could open it is gone: the process is ending.
                std::future::pending::<()>().await;
            }
            if self.handler.is_ready() {
                break;
            }
            backoff::sleep(PACE).await;
        }
        self.slots.acquire_up_to(most).await
    }

    /// What SQS hands out just as we stop would be invisible to everybody: a moment is left for it to arrive.
    async fn receive_unless_stopped(
        &self,
        most: (usize, Duration),
        stop: &CancellationToken,
    ) -> Option<Result<Vec<(Message, String)>, Error>> {
        let mut receiving = pin!(self.receive(most));
        tokio::select! {
            received = &mut receiving => Some(received),
            () = stop.cancelled() => tokio::time::timeout(LAST_MOMENT, receiving).await.ok(),
        }
    }

    async fn receive(&self, (max, wait): (usize, Duration)) -> Result<Vec<(Message, String)>, Error> {
        let request = self.queue.receiver().receive_message().queue_url(self.queue.url().await?);
        let request = request
            .max_number_of_messages(max as i32)
            .wait_time_seconds(wait.as_secs() as i32)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_attribute_names(TRACEPARENT);
        let answer = Box::pin(request.send()).await.map_err(|error| Error::new("ReceiveMessage", error))?;
        let name: Arc<str> = self.queue.name().into();
        let read = |message: aws_sdk_sqs::types::Message| {
            let receive_count = message
                .attributes()
                .and_then(|attributes| attributes.get(&MessageSystemAttributeName::ApproximateReceiveCount))
                .and_then(|count| count.parse().ok());
            let traceparent = message.message_attributes().and_then(|attributes| attributes.get(TRACEPARENT));
            let traceparent = traceparent.and_then(|attribute| attribute.string_value()).map(str::to_owned);
            let received = Message {
                queue: Arc::clone(&name),
                id: message.message_id.unwrap_or_default(),
                body: message.body.unwrap_or_default(),
                traceparent,
                receive_count: receive_count.unwrap_or(1),
            };
            (received, message.receipt_handle.unwrap_or_default())
        };
        Ok(answer.messages.unwrap_or_default().into_iter().map(read).collect())
    }
}

/// Which of the pollers may receive: the first, and as many more as there is work for.
struct Turn {
    number: usize,
    wanted: watch::Sender<usize>,
}

impl Turn {
    async fn come(&self) {
        // It does not end: we hold a sender.
        drop(self.wanted.subscribe().wait_for(|wanted| self.number < *wanted).await);
    }

    /// Says whether to wait for more to come.
    fn after(&self, (found, asked): (usize, usize), most: usize) -> bool {
        let plenty = found * 2 >= asked;
        // With few slots it is those that are wanted: more pollers would ask for fewer messages each.
        let crowded = asked * 2 < MAX_ENTRIES;
        self.wanted.send_if_modified(|wanted| {
            let before = *wanted;
            let now = match plenty && !crowded {
                true if asked == MAX_ENTRIES => before.max(self.number + 2),
                true => before,
                // Those beyond this one's number wait for their turn already.
                false => before.min(self.number.max(1)),
            };
            *wanted = now.min(most.max(1));
            *wanted != before
        });
        found > 0 && !plenty
    }
}

/// What is needed from the receipt of a message to its end.
struct Desk<H> {
    queue: Queue,
    renew_visibility: Option<Duration>,
    handler: Arc<H>,
    deleter: Deleter,
}

impl<H: Handler> Desk<H> {
    async fn work(self: Arc<Self>, message: Message, receipt: String, slot: Slot) {
        let id = message.id.clone();
        let mut handling = pin!(AssertUnwindSafe(self.handler.handle(message, slot)).catch_unwind());
        let verdict = match self.renew_visibility {
            Some(visibility) => self.renewing(handling.as_mut(), &receipt, visibility).await,
            None => handling.await,
        };
        match verdict {
            Ok(Verdict::Delete) => self.deleter.delete(receipt).await,
            Ok(Verdict::Leave) => {}
            Ok(Verdict::LeaveFor(time)) => Box::pin(self.hide(&receipt, time)).await,
            Err(_panic) => {
                tracing::error!(queue.name = self.queue.name(), message.id = id, "handler panicked, message left");
            }
        }
    }

    async fn renewing<F>(&self, mut handling: Pin<&mut F>, receipt: &str, visibility: Duration) -> F::Output
    where
        F: Future,
    {
        loop {
            match tokio::time::timeout(visibility / 2, handling.as_mut()).await {
                Ok(done) => return done,
                // Boxed: few messages take so long, and each would carry the room for it.
                Err(_elapsed) => Box::pin(self.hide(receipt, visibility)).await,
            }
        }
    }

    /// From now on so long.
    async fn hide(&self, receipt: &str, visibility: Duration) {
        let hidden = async {
            let request = self.queue.sender().change_message_visibility().queue_url(self.queue.url().await?);
            let request = request.receipt_handle(receipt).visibility_timeout(visibility.as_secs() as i32);
            Box::pin(request.send()).await.map_err(|error| Error::new("ChangeMessageVisibility", error))
        };
        if let Err(error) = hidden.await {
            self.handler.miss();
            tracing::warn!(queue.name = self.queue.name(), %error, "could not set the visibility of a message");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_more_pollers_while_messages_and_slots_are_plenty() {
        let wanted = watch::Sender::new(1);
        let of = |number| Turn { number, wanted: wanted.clone() };
        let after = |number, found, asked| (of(number).after((found, asked), 4), *wanted.borrow());
        assert_eq!(after(0, 1, 1), (false, 1), "the first for long: it had one slot");
        assert_eq!(after(0, 5, 10), (false, 2));
        assert_eq!(after(1, 10, 10), (false, 3));
        assert_eq!(after(0, 10, 10), (false, 3), "the others have not said that they find nothing");
        assert_eq!(after(2, 6, 6), (false, 3), "that many are enough for the slots there are");
        assert_eq!(after(2, 3, 3), (false, 2), "too many");
        assert_eq!(after(1, 1, 10), (true, 1), "few messages: more come meanwhile");
        assert_eq!(after(0, 0, 10), (false, 1), "it has waited long enough");
        assert_eq!(after(4, 10, 10), (false, 4), "no more may be");
        assert!(!of(0).after((10, 10), 2));
        assert_eq!(*wanted.borrow(), 2, "it has become fewer");
    }
}
