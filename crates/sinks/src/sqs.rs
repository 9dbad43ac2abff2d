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
    /// Of a replay: a queue of the kind FIFO would drop silently what it had within five minutes.
    pub replay: Option<String>,
}

pub struct Sqs {
    queue: Queue,
    is_fifo: bool,
    replay: Option<String>,
}

impl Sqs {
    pub fn new(settings: &SqsSettings, clients: &Clients) -> Self {
        let SqsSettings { queue, replay } = settings;
        Self { queue: clients.queue(queue), is_fifo: queue.ends_with(".fifo"), replay: replay.clone() }
    }

    fn outgoing(&self, event: &Event) -> Outgoing {
        Outgoing {
            body: structured(event),
            traceparent: event.traceparent.clone(),
            group: self.is_fifo.then(|| event.subject.clone()),
            deduplication: self.is_fifo.then(|| self.deduplication(event)),
            content_type: Some(CONTENT_TYPE),
        }
    }

    fn deduplication(&self, event: &Event) -> String {
        match &self.replay {
            Some(replay) => format!("{}/{replay}", event.id),
            None => event.id.clone(),
        }
    }

    async fn send(&self, lane: Vec<&Event>) -> Result<(), Failure> {
        let lane = lanes::interleave(lane);
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
    use crate::lanes::tests::event;
    use holdfast_queue::Endpoint;

    async fn sqs(queue: &str, replay: Option<&str>) -> Sqs {
        let endpoint = Endpoint { region: Some("eu-west-1".to_owned()), url: None };
        let settings = SqsSettings { queue: queue.to_owned(), replay: replay.map(str::to_owned) };
        Sqs::new(&settings, &Clients::connect(endpoint).await)
    }

    #[tokio::test]
    async fn a_replay_is_no_repetition_that_the_queue_may_drop() {
        let event = event(1, 0);
        let deduplication = |sqs: Sqs| sqs.outgoing(&event).deduplication;
        let usual = deduplication(sqs("q.fifo", None).await);
        assert_eq!(usual.as_ref(), Some(&event.id));
        let replays = [sqs("q.fifo", Some("x")).await, sqs("q.fifo", Some("y")).await].map(deduplication);
        assert!(replays[0] != usual && replays[1] != usual && replays[0] != replays[1], "{replays:?}");
        assert!(replays.iter().flatten().all(|id| id.len() <= 128), "as SQS allows");
        assert_eq!(deduplication(sqs("q", Some("x")).await), None, "it drops nothing");
    }

    #[test]
    fn a_refusal_is_told_before_an_outage() {
        let outage = Failure::Unavailable("no answer".to_owned());
        let refusal = Failure::Refused { id: "a/0".to_owned(), why: "too long".to_owned() };
        assert_eq!(worst([outage.clone(), refusal.clone(), outage.clone()].into_iter()), Err(refusal));
        assert_eq!(worst([outage.clone()].into_iter()), Err(outage));
        assert_eq!(worst(std::iter::empty()), Ok(()));
    }
}
