//! The fast path of publishing: what was just accepted goes to SQS in natural batches. The relay is the net below it, so
//! this queue is in memory, bounded, and drops when it is full.

use crate::App;
use crate::line::Line;
use crate::trace::{Span, spans};
use crate::track::{Shares, Track};
use holdfast_domain::{ClientNo, Lane};
use holdfast_domain::{Command, CommandNo, Kind, message};
use holdfast_queue::{Outgoing, Queue, Sent, backoff};
use holdfast_store::commands::Accepted;
use holdfast_store::wakeups::{Marked, mark_published, not_published};
use opentelemetry::trace::SpanKind;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// A committed command whose first message is to be sent.
pub struct First {
    command: Command,
    marked: Marked,
    /// As long as a mark would leave it alone: it needs none.
    is_quiet: bool,
}

#[derive(Clone)]
pub struct Publisher {
    shares: Arc<Shares>,
    lines: Arc<HashMap<(Kind, Track), mpsc::Sender<First>>>,
    /// Since then all that was to be published has been.
    is_well: Arc<AtomicBool>,
}

impl Publisher {
    /// Ends, with everything sent and marked, when the last clone is dropped.
    pub fn start(app: &App, tasks: &TaskTracker) -> Self {
        let (marks, to_mark) = mpsc::unbounded_channel();
        let is_well = Arc::new(AtomicBool::new(false));
        let start = |to| {
            let (sender, receiver) = mpsc::channel(BACKLOG);
            let line = Arc::new(Mutex::new(Line::new(receiver)));
            let beside = (Arc::new(Semaphore::new(FULL_IN_FLIGHT)), tasks.clone());
            for _ in 0..IN_FLIGHT {
                let (app, marks, is_well) = (app.clone(), marks.clone(), Arc::clone(&is_well));
                let send = move |batch| send(app.clone(), to, (marks.clone(), Arc::clone(&is_well)), batch);
                tasks.spawn(send_all(Arc::clone(&line), beside.clone(), send));
            }
            (to, sender)
        };
        let all = Kind::ALL.into_iter().flat_map(|kind| Track::ALL.map(|track| (kind, track)));
        let lines = Arc::new(all.map(start).collect());
        tasks.spawn(mark(app.clone(), to_mark));
        Self { shares: Arc::clone(&app.shares), lines, is_well }
    }

    /// When the wakeups of commands that are accepted together are due. What a client sends beyond its share waits long in
    /// its queue, as a rule: marked it would be once it has, and so it is from the beginning, which saves the mark. The price
    /// is paid after a crash between commit and send: it is looked at after 30 s, not after `publish_within`.
    pub fn due_in(&self, mut clients: impl Iterator<Item = ClientNo>, publish_within: Duration) -> Duration {
        let is_beyond = |client| self.shares.nudge(client) == Track::Overflow;
        if self.is_well.load(Ordering::Relaxed) && clients.all(is_beyond) {
            QUIET.max(publish_within)
        } else {
            publish_within
        }
    }

    /// Never waits: a full queue means that the relay will find the wakeup.
    pub fn publish(&self, command: Command, accepted: Accepted) {
        let (client, kind) = (command.client, command.kind);
        let Accepted { no, created_at, due_at, .. } = accepted;
        let is_quiet = (due_at - created_at).to_std().is_ok_and(|due_in| due_in >= QUIET);
        let first = First { command, marked: Marked { no, due_at }, is_quiet };
        if self.lines[&(kind, self.shares.first(client))].try_send(first).is_err() {
            self.is_well.store(false, Ordering::Relaxed);
        }
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

async fn send(app: App, (kind, track): (Kind, Track), (marks, is_well): (Marks, Arc<AtomicBool>), batch: Vec<First>) {
    let queue = app.queues.on(kind, track);
    let outgoing = batch.into_iter().map(|first| outgoing(&app, queue, first));
    let (messages, sending): (Vec<_>, Vec<_>) = outgoing.unzip();
    let sent = app.send((kind, track), "accept", &messages).await;
    let mut unsent = Vec::new();
    is_well.store(!sent.contains(&Sent::Failed), Ordering::Relaxed);
    for (sent, Sending { marked, is_quiet, mut span }) in sent.into_iter().zip(sending) {
        match sent {
            Sent::Stored if is_quiet => {}
            Sent::Stored => drop(marks.send((Instant::now(), marked))),
            Sent::Failed => {
                span.fail("not_sent");
                unsent.extend(is_quiet.then_some(marked.no));
            }
        }
    }
    if !unsent.is_empty()
        && let Err(error) = not_published(&app.pool, Lane::Run, &unsent, UNSENT).await
    {
        tracing::debug!(%error, "could not say what was not sent");
    }
}

/// What is needed of a command when its message is sent.
struct Sending {
    marked: Marked,
    is_quiet: bool,
    span: Span,
}

fn outgoing(app: &App, queue: &Queue, first: First) -> (Outgoing, Sending) {
    let (marked, is_quiet) = (first.marked, first.is_quiet);
    let no: CommandNo = marked.no;
    let (id, parent) = (first.command.id, first.command.traceparent.as_deref());
    let span = app.tracer.part(parent, SpanKind::Producer, || spans::send(queue.name(), id));
    let traceparent = span.traceparent().or_else(|| first.command.traceparent.clone());
    let group = app.shares.group(first.command.client);
    let message = message::first(&app.server_key, no, first.command);
    let body = serde_json::to_string(&message).expect("a message always serialises");
    (Outgoing { body, traceparent, group, ..Outgoing::default() }, Sending { marked, is_quiet, span })
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
