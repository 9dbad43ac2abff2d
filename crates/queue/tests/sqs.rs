//! The runtime against an SQS with full semantics: visibility, receive counts, dead-letter queue. Needs
//! `AWS_ENDPOINT_URL_SQS` and credentials, as `localstack/run -- …` provides them.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use holdfast_queue::{
    Clients, Consumer, Endpoint, Handler, Message, Outgoing, Queue, Sent, Settings, Slot, Slots, Verdict,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

struct Bench {
    sqs: Client,
    queue: Queue,
    url: String,
    dead_letters: String,
}

/// A queue with a visibility timeout of one second and three receives, and its dead-letter queue.
async fn bench(name: &str) -> Bench {
    let sqs = Client::new(&aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await);
    let create = async |name: &str, attributes| {
        let created = sqs.create_queue().queue_name(name).set_attributes(Some(attributes)).send().await;
        created.expect("AWS_ENDPOINT_URL_SQS names an emulator: run `make test`").queue_url.expect("a URL")
    };
    let name = format!("{name}-{}", std::process::id());
    let dead_letters = create(&format!("{name}-dlq"), HashMap::new()).await;
    let arn = sqs.get_queue_attributes().queue_url(&dead_letters).attribute_names(QueueAttributeName::QueueArn);
    let arn = arn.send().await.expect("an ARN").attributes.expect("attributes")[&QueueAttributeName::QueueArn].clone();
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":3}}"#);
    let attributes = HashMap::from([
        (QueueAttributeName::VisibilityTimeout, "1".to_owned()),
        (QueueAttributeName::RedrivePolicy, policy),
    ]);
    let url = create(&name, attributes).await;
    let queue = Clients::connect(Endpoint::default()).await.queue(&name);
    Bench { sqs, queue, url, dead_letters }
}

impl Bench {
    async fn send(&self, count: usize) {
        let messages: Vec<_> = (0..count)
            .map(|n| Outgoing { body: n.to_string(), traceparent: Some(format!("trace {n}")), ..Outgoing::default() })
            .collect();
        assert_eq!(self.queue.send(&messages).await, vec![Sent::Stored; count]);
    }

    fn consume(&self, seen: &Seen, settings: Settings) -> (CancellationToken, tokio::task::JoinHandle<()>) {
        let stop = CancellationToken::new();
        let consumer = Consumer {
            queue: self.queue.clone(),
            slots: Slots::new(4),
            settings,
            open: watch::channel(true).1,
            handler: Arc::new(seen.clone()),
        };
        // The sender is gone: a closed channel keeps its last value, which is "open".
        (stop.clone(), tokio::spawn(consumer.run(stop)))
    }

    async fn left(&self, url: &str) -> u32 {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let read = self.sqs.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
        let attributes = read.send().await.expect("attributes").attributes.unwrap_or_default();
        attributes.values().map(|count| count.parse::<u32>().expect("a number")).sum()
    }
}

const SETTINGS: Settings = Settings { wait: Duration::from_secs(1), renew_visibility: None, pollers: 2 };

/// Keeps what it sees; what it does with a message is in the first word of the behaviour.
#[derive(Clone)]
struct Seen {
    messages: Arc<Mutex<Vec<Message>>>,
    at_once: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
    behaviour: &'static str,
}

impl Seen {
    fn new(behaviour: &'static str) -> Self {
        let (at_once, most_at_once) = (Arc::default(), Arc::default());
        Self { messages: Arc::default(), at_once, most_at_once, behaviour }
    }

    fn messages(&self) -> Vec<Message> {
        self.messages.lock().expect("no panic while locked").clone()
    }
}

impl Handler for Seen {
    async fn handle(&self, message: Message, _slot: Slot) -> Verdict {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        self.messages.lock().expect("no panic while locked").push(message);
        if self.behaviour == "slow" {
            holdfast_queue::backoff::sleep(Duration::from_millis(2_500)).await;
        }
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        match self.behaviour {
            "panic" => panic!("as asked"),
            "leave" => Verdict::Leave,
            _ => Verdict::Delete,
        }
    }
}

async fn eventually<F: Future<Output = bool>>(what: &str, look: impl Fn() -> F) {
    let started = Instant::now();
    while !look().await {
        assert!(started.elapsed() < Duration::from_secs(60), "never saw: {what}");
        holdfast_queue::backoff::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn every_message_is_handled_and_deleted_with_as_many_at_once_as_there_are_slots() {
    let bench = bench("all").await;
    bench.send(25).await;
    let seen = Seen::new("delete");
    let (stop, running) = bench.consume(&seen, SETTINGS);
    eventually("all are handled", || async { seen.messages().len() >= 25 }).await;
    eventually("all are deleted", || async { bench.left(&bench.url).await == 0 }).await;
    stop.cancel();
    running.await.expect("ends in order");
    let mut bodies: Vec<u32> = seen.messages().iter().map(|message| message.body.parse().expect("a number")).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, (0..25).collect::<Vec<_>>());
    assert!(seen.messages().iter().all(|message| message.traceparent == Some(format!("trace {}", message.body))));
    assert!(seen.most_at_once.load(Ordering::SeqCst) <= 4);
}

#[tokio::test]
async fn what_is_left_comes_back_and_goes_to_the_dead_letters_after_three_receives() {
    let bench = bench("left").await;
    bench.send(1).await;
    let seen = Seen::new("leave");
    let (stop, running) = bench.consume(&seen, SETTINGS);
    eventually("it is a dead letter", || async { bench.left(&bench.dead_letters).await == 1 }).await;
    stop.cancel();
    running.await.expect("ends in order");
    let counts: Vec<_> = seen.messages().iter().map(|message| message.receive_count).collect();
    assert_eq!(counts, [1, 2, 3]);
}

#[tokio::test]
async fn a_panic_is_one_failed_message_and_costs_no_slot() {
    let bench = bench("panic").await;
    bench.send(8).await;
    let seen = Seen::new("panic");
    let (stop, running) = bench.consume(&seen, SETTINGS);
    // Twice as many as there are slots, three times each.
    eventually("all are dead letters", || async { bench.left(&bench.dead_letters).await == 8 }).await;
    stop.cancel();
    running.await.expect("ends in order");
    assert_eq!(seen.messages().len(), 24);
}

#[tokio::test]
async fn a_renewed_message_stays_with_its_slow_handler() {
    let bench = bench("slow").await;
    bench.send(1).await;
    let seen = Seen::new("slow");
    let settings = Settings { renew_visibility: Some(Duration::from_secs(2)), ..SETTINGS };
    let (stop, running) = bench.consume(&seen, settings);
    eventually("it is handled", || async { !seen.messages().is_empty() }).await;
    // The end waits for the handler, and for its delete.
    stop.cancel();
    running.await.expect("ends in order");
    assert_eq!(bench.left(&bench.url).await, 0);
    assert_eq!(seen.messages().len(), 1);
}

#[tokio::test]
async fn a_stranger_queue_fails_every_entry_and_nothing_else() {
    let queue = Clients::connect(Endpoint::default()).await.queue("there-is-no-such-queue");
    let messages = vec![Outgoing { body: "x".to_owned(), ..Outgoing::default() }; 12];
    assert_eq!(queue.send(&messages).await, vec![Sent::Failed; 12]);
}
