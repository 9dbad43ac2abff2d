//! A queue of SQS. The body of a message is the event as JSON; a queue of the kind FIFO keeps the order of each subject, and
//! drops for five minutes what it has.

use crate::{Failure, Sink, lanes, structured};
use async_trait::async_trait;
use futures::future::join_all;
use holdfast_domain::cloud_event::CONTENT_TYPE;
use holdfast_domain::event::Event;
use holdfast_queue::{Clients, Outgoing, Queue, Unsent};

/// Batches under way at once.
const LANES: usize = 8;

#[derive(Clone, Debug)]
pub struct SqsSettings {
    /// The queue's name.
    pub queue: String,
}

pub struct Sqs {
    queue: Queue,
    is_fifo: bool,
}

impl Sqs {
    pub fn new(settings: &SqsSettings, clients: &Clients) -> Self {
        Self { queue: clients.queue(&settings.queue), is_fifo: settings.queue.ends_with(".fifo") }
    }

    fn outgoing(&self, event: &Event) -> Outgoing {
        Outgoing {
            body: structured(event),
            traceparent: event.traceparent.clone(),
            group: self.is_fifo.then(|| event.subject.clone()),
            deduplication: self.is_fifo.then(|| event.id.clone()),
            content_type: Some(CONTENT_TYPE),
        }
    }

    async fn send(&self, lane: Vec<&Event>) -> Result<(), Failure> {
        let messages: Vec<Outgoing> = lane.iter().map(|event| self.outgoing(event)).collect();
        let sent = self.queue.send_in_order(&messages).await;
        let failures = lane.iter().zip(sent).filter_map(|(event, sent)| sent.err().map(|error| failure(event, error)));
        worst(failures)
    }
}

#[async_trait]
impl Sink for Sqs {
    async fn publish_and_await(&self, events: &[Event]) -> Result<(), Failure> {
        let lanes = lanes::divide(events, LANES).into_iter().map(|lane| self.send(lane));
        worst(join_all(lanes).await.into_iter().filter_map(Result::err))
    }
}

fn failure(event: &Event, unsent: Unsent) -> Failure {
    match unsent {
        Unsent::Refused(why) => Failure::Refused { id: event.id.clone(), why },
        Unsent::Failed(cause) => Failure::Unavailable(cause),
    }
}

/// What somebody must do something about comes before what passes by itself.
pub(crate) fn worst(failures: impl Iterator<Item = Failure>) -> Result<(), Failure> {
    let worst = failures.reduce(|worst, failure| match (&worst, &failure) {
        (Failure::Unavailable(_), Failure::Refused { .. }) => failure,
        _ => worst,
    });
    worst.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_before_an_outage() {
        let outage = Failure::Unavailable("no answer".to_owned());
        let refusal = Failure::Refused { id: "a/0".to_owned(), why: "too long".to_owned() };
        assert_eq!(worst([outage.clone(), refusal.clone(), outage.clone()].into_iter()), Err(refusal));
        assert_eq!(worst([outage.clone()].into_iter()), Err(outage));
        assert_eq!(worst(std::iter::empty()), Ok(()));
    }
}
