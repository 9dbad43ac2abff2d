//! The fast path of publishing: what was just accepted goes to SQS in natural batches. The relay is the net below it, so
//! this queue is in memory, bounded, and drops when it is full.

use crate::App;
use crate::line::Line;
use crate::trace::{Span, spans};
use crate::track::{Shares, Track};
use holdfast_domain::{Command, Kind, Lane, message};
use holdfast_queue::{Outgoing, Queue, Sent, backoff};
use holdfast_store::commands::{Accepted, Origin};
use holdfast_store::wakeups::{Marked, mark_published, not_published};
use opentelemetry::trace::SpanKind;
use std::collections::{HashMap, VecDeque};
use std::sync::{self, Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio_util::task::TaskTracker;

/// Beyond this many the relay takes over.
const BACKLOG: usize = 10_000;

/// Batches in flight per queue. More would make smaller batches and more calls …
const IN_FLIGHT: usize = 2;

/// … but for full ones: of those so many more, however long SQS takes.
const FULL_IN_FLIGHT: usize = 32;

const BATCH: usize = 10;

/// Between the beginnings of two sends that are not full. Nobody waits for one, and each costs as much as ten.
const PACE: Duration = Duration::from_millis(10);

/// When the publish mark is written: late, because by then most are claimed or gone and nothing needs writing.
const MARK_AFTER: Duration = Duration::from_secs(1);

/// How long marks that are due wait for company. Before the relay looks, which is a second later.
const MARK_TOGETHER: Duration = Duration::from_millis(400);

/// How long a published command is left alone. The relay's own first step.
const QUIET: Duration = Duration::from_secs(30);

/// How soon what SQS did not take is looked at all the same.
const UNSENT: Duration = Duration::from_secs(2);

/// For so long after SQS did not take something, nothing is taken for as good as sent …
const DOUBT: Duration = Duration::from_secs(5);

/// … nor while as many wait to be sent.
const LONG_LINE: usize = 1_000;

/// A committed command whose first message is to be sent.
struct First {
    command: Arc<Command>,
    accepted: Accepted,
}

#[derive(Clone)]
pub struct Publisher {
    shares: Arc<Shares>,
    lines: Arc<HashMap<(Kind, Track), mpsc::Sender<First>>>,
    failed: Failed,
}

/// When something was last not sent.
#[derive(Clone, Default)]
struct Failed(Arc<sync::Mutex<Option<Instant>>>);

impl Publisher {
    /// Ends, with everything sent and marked, when the last clone is dropped.
    pub fn start(app: &App, tasks: &TaskTracker) -> Self {
        let (marks, to_mark) = mpsc::unbounded_channel();
        let failed = Failed::default();
        let start = |to| {
            let (sender, receiver) = mpsc::channel(BACKLOG);
            let line = Arc::new(Mutex::new(Line::new(receiver)));
            let beside = (Arc::new(Semaphore::new(FULL_IN_FLIGHT)), tasks.clone());
            for _ in 0..IN_FLIGHT {
                let (app, marks, failed) = (app.clone(), marks.clone(), failed.clone());
                let send = move |batch| send(app.clone(), to, (marks.clone(), failed.clone()), batch);
                tasks.spawn(send_all(Arc::clone(&line), beside.clone(), send));
            }
            (to, sender)
        };
        let all = Kind::ALL.into_iter().flat_map(|kind| Track::ALL.map(|track| (kind, track)));
        let lines = Arc::new(all.map(start).collect());
        tasks.spawn(mark(app.clone(), to_mark));
        Self { shares: Arc::clone(&app.shares), lines, failed }
    }

    /// How commands that are accepted together begin. What clients send beyond their shares waits long in its queue, as a
    /// rule, and would be marked a second later: so it is from the beginning, which saves a write. The price: what is not
    /// published after all (the process is killed, or a line is full) is looked at after 30 s, not after `publish_within`.
    pub fn origin(&self, commands: &[Arc<Command>], publish_within: Duration) -> Origin {
        let mut known = None;
        let mut are_beyond =
            commands.iter().map(|command| command.client).filter(|client| known.replace(*client) != Some(*client));
        let marked =
            publish_within < QUIET && !self.is_in_doubt() && are_beyond.all(|client| self.shares.is_beyond(client));
        Origin::Request { due_in: if marked { QUIET } else { publish_within }, marked }
    }

    fn is_in_doubt(&self) -> bool {
        self.failed.lately() || self.lines.values().any(|line| line.max_capacity() - line.capacity() >= LONG_LINE)
    }

    /// Never waits: a full queue means that the relay will find the wakeup.
    pub fn publish(&self, command: Arc<Command>, accepted: &Accepted) {
        let to = (command.kind, self.shares.first(command.client));
        if self.lines[&to].try_send(First { command, accepted: *accepted }).is_err() {
            self.failed.now();
        }
    }
}

impl Failed {
    fn last(&self) -> sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) {
        *self.last() = Some(Instant::now());
    }

    fn lately(&self) -> bool {
        self.last().is_some_and(|last| last.elapsed() < DOUBT)
    }
}

type Marks = mpsc::UnboundedSender<(Instant, Marked)>;

/// Sends what comes along the line. Full batches go beside the next, as long as there is room for more of them.
async fn send_all<T, F>(
    line: Arc<Mutex<Line<T>>>,
    (room, tasks): (Arc<Semaphore>, TaskTracker),
    send: impl Fn(Vec<T>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let batch = line.lock().await.gather(BATCH, PACE).await;
        if batch.is_empty() {
            return;
        }
        let (is_full, sending) = (batch.len() == BATCH, send(batch));
        if is_full && let Ok(place) = Arc::clone(&room).try_acquire_owned() {
            let sending = async move {
                sending.await;
                drop(place);
            };
            drop(tasks.spawn(sending));
        } else {
            sending.await;
        }
    }
}

async fn send(app: App, (kind, track): (Kind, Track), (marks, failed): (Marks, Failed), batch: Vec<First>) {
    let queue = app.queues.on(kind, track);
    let outgoing = batch.into_iter().map(|first| outgoing(&app, queue, first));
    let (messages, sending): (Vec<_>, Vec<_>) = outgoing.unzip();
    let sent = app.send((kind, track), "accept", &messages).await;
    let mut unsent = Vec::new();
    for (sent, (accepted, mut span)) in sent.into_iter().zip(sending) {
        let Accepted { no, due_at, marked, .. } = accepted;
        match sent {
            Sent::Stored if marked => {}
            Sent::Stored => drop(marks.send((Instant::now(), Marked { no, due_at }))),
            Sent::Failed => {
                span.fail("not_sent");
                failed.now();
                unsent.extend(marked.then_some(no));
            }
        }
    }
    if !unsent.is_empty()
        && let Err(error) = not_published(&app.pool, Lane::Run, &unsent, UNSENT).await
    {
        tracing::debug!(%error, "could not say what was not sent");
    }
}

/// The message, and what is needed when it is sent.
fn outgoing(app: &App, queue: &Queue, First { command, accepted }: First) -> (Outgoing, (Accepted, Span)) {
    let (id, parent) = (command.id, command.traceparent.as_deref());
    let span = app.tracer.part(parent, SpanKind::Producer, || spans::send(queue.name(), id));
    let traceparent = span.traceparent().or_else(|| command.traceparent.clone());
    let group = app.shares.group(command.client);
    let message = message::first(&app.server_key, accepted.no, Arc::unwrap_or_clone(command));
    let body = serde_json::to_string(&message).expect("a message always serialises");
    (Outgoing { body, traceparent, group, ..Outgoing::default() }, (accepted, span))
}

/// A mark that is lost costs one superfluous message.
async fn mark(app: App, mut marks: mpsc::UnboundedReceiver<(Instant, Marked)>) {
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            match marks.recv().await {
                Some(first) => waiting.push_back(first),
                None => return,
            }
        }
        let age = waiting.front().map_or(MARK_AFTER, |(sent, _): &(Instant, Marked)| sent.elapsed());
        backoff::sleep((MARK_AFTER + MARK_TOGETHER).saturating_sub(age)).await;
        while let Ok(next) = marks.try_recv() {
            waiting.push_back(next);
        }
        let ripe = waiting.iter().take_while(|(sent, _)| sent.elapsed() >= MARK_AFTER).count();
        let ripe: Vec<_> = waiting.drain(..ripe).map(|(_, marked)| marked).collect();
        if let Err(error) = mark_published(&app.pool, &ripe, QUIET).await {
            tracing::debug!(%error, "could not mark published commands");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn full_batches_do_not_wait_for_one_another() {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let line = Arc::new(Mutex::new(Line::new(receiver)));
        let tasks = TaskTracker::new();
        let [entered, answers] = std::array::from_fn(|_| Arc::new(Semaphore::new(0)));
        let send = |batch: Vec<usize>| {
            let (entered, answers) = (Arc::clone(&entered), Arc::clone(&answers));
            async move {
                entered.add_permits(batch.len());
                answers.acquire().await.expect("open").forget();
            }
        };
        for n in 0..FULL_IN_FLIGHT * BATCH + 2 * BATCH {
            sender.try_send(n).expect("there is room");
        }
        let room = Arc::new(Semaphore::new(FULL_IN_FLIGHT));
        let sending = send_all(Arc::clone(&line), (Arc::clone(&room), tasks.clone()), send);
        let look = async {
            let most = (FULL_IN_FLIGHT + 1) * BATCH;
            entered.acquire_many(most as u32).await.expect("open").forget();
            assert_eq!((entered.available_permits(), room.available_permits()), (0, 0), "the last one waits");
            answers.add_permits(FULL_IN_FLIGHT + 2);
            drop(sender);
        };
        tokio::join!(sending, look);
        tasks.close();
        tasks.wait().await;
        assert_eq!((entered.available_permits(), room.available_permits()), (BATCH, FULL_IN_FLIGHT));
    }
}
