//! What is owed by all of us together, as metrics: read from Postgres and SQS by one process at a time. And the proof that
//! nothing is lost: every accepted command is held against its end and its wakeup, again and again.

use crate::App;
use crate::metrics::{Gauge, Value, gauge, one};
use holdfast_domain::{CommandNo, Kind};
use holdfast_queue::{Counts, Queue, backoff};
use holdfast_store::survey::{self, Lost};
use holdfast_store::{Error, Pool, census, event_sinks};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Between two surveys.
const INTERVAL: Duration = Duration::from_secs(10);

/// A surveyor that has said nothing for this long is replaced.
const TERM: Duration = Duration::from_secs(25);

/// After so many in a row that failed in part, the turn is given up.
const GIVE_UP: u32 = 3;

/// A worker that has not beaten for this long is not counted.
const ALIVE: Duration = Duration::from_secs(10);

/// Clients whose backlog of callbacks is told: those with the most. No label may grow with the number of clients.
const BACKLOGS: i64 = 10;

/// What is younger is still on its way from one table to another, for all we know.
const SETTLED: Duration = Duration::from_secs(60);

/// Commands that are looked at in each survey: of the newest, which are those that something happens to …
const NEWEST: i64 = 20_000;

/// … and of all, from the first to the last and again.
const OF_ALL: i64 = 10_000;

/// Lost ones that are found in one survey and looked after: with more, nobody needs to know each.
const MOST_LOST: usize = 1_000;

/// Events that are counted for a sink.
const MOST_LAG: i64 = 10_000;

/// What partners may take on top of the longest time for settling, until a command is overdue.
const ALLOWANCE: Duration = Duration::from_secs(86_400);

/// What this process has seen, while it is the surveyor.
type Seen = Arc<RwLock<Vec<Gauge>>>;

/// Surveys until `stop`, whenever it is this process's turn. The others look after that, and tell nothing.
pub async fn run(app: App, stop: CancellationToken) {
    let (seen, pool) = (Seen::default(), app.pool_of_its_own("holdfast-survey"));
    let Ok(pool) = pool.inspect_err(|error| tracing::error!(error = format!("{error:#}"), "cannot survey")) else {
        return;
    };
    app.metrics.sample({
        let seen = Arc::clone(&seen);
        move || seen.read().unwrap_or_else(PoisonError::into_inner).clone()
    });
    let mut surveyor = Surveyor::new(app, pool);
    while !stop.is_cancelled() {
        let found = surveyor.look().await;
        *seen.write().unwrap_or_else(PoisonError::into_inner) = found;
        stop.run_until_cancelled(backoff::sleep(INTERVAL)).await;
    }
}

struct Surveyor {
    app: App,
    pool: Pool,
    process: i64,
    reconciliation: Option<Reconciliation>,
    /// Surveys in a row of which a part failed.
    failures: u32,
}

impl Surveyor {
    fn new(app: App, pool: Pool) -> Self {
        let process = i64::from(getrandom::u32().unwrap_or_default()) << 32 | i64::from(std::process::id());
        Self { app, pool, process, reconciliation: None, failures: 0 }
    }

    /// Nothing, if it is somebody else's turn. What fails is left out, and the rest is told.
    async fn look(&mut self) -> Vec<Gauge> {
        if self.failures >= GIVE_UP {
            // Somebody else may be luckier: the turn is left to lapse.
            self.failures += 1;
            if INTERVAL * (self.failures - GIVE_UP) > TERM {
                self.failures = 0;
            }
            return Vec::new();
        }
        match survey::lead(&self.pool, self.process, TERM).await {
            Ok(true) => {}
            Ok(false) => {
                self.reconciliation = None;
                return Vec::new();
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "could not ask whose turn it is to survey");
                return Vec::new();
            }
        }
        let started = Instant::now();
        let parts = [
            owed(&self.pool).await,
            needs_somebody(&self.pool).await,
            Ok(queues(&self.app).await),
            self.reconcile().await,
            events(&self.app, &self.pool).await,
        ];
        self.failures = if parts.iter().any(Result::is_err) { self.failures + 1 } else { 0 };
        let mut found = Vec::new();
        for part in parts {
            match part {
                Ok(gauges) => found.extend(gauges),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a part of the survey failed");
                }
            }
        }
        found.push(one("holdfast_survey_seconds", "How long the last survey took", started.elapsed().as_secs_f64()));
        found
    }

    async fn reconcile(&mut self) -> Result<Vec<Gauge>, Error> {
        let reconciliation = match &mut self.reconciliation {
            Some(reconciliation) => reconciliation,
            none => none.insert(Reconciliation::begin(&self.pool).await?),
        };
        reconciliation.go_on(&self.app, &self.pool).await
    }
}

fn value<const N: usize>(labels: [(&'static str, &str); N], value: f64) -> Value {
    Value { labels: labels.map(|(name, label)| (name, label.to_owned())).to_vec(), value }
}

async fn owed(pool: &Pool) -> Result<Vec<Gauge>, Error> {
    let (mut wakeups, mut oldest, mut suspects) = (Vec::new(), Vec::new(), Vec::new());
    for owed in census::owed(pool).await? {
        let of = [("kind", owed.kind.name()), ("lane", owed.lane.name())];
        let state = |state, count: i64| value([of[0], of[1], ("state", state)], count as f64);
        wakeups.extend([state("waiting", owed.waiting), state("due", owed.due), state("claimed", owed.claimed)]);
        oldest.push(value(of, owed.oldest_due.as_secs_f64()));
        suspects.push(value(of, owed.suspect as f64));
    }
    let backlog = survey::callback_backlog(pool, BACKLOGS).await?;
    let backlog = backlog.iter().map(|backlog| value([("client", &*backlog.client)], backlog.owed as f64));
    Ok(vec![
        gauge(
            "holdfast_wakeups",
            "What is still owed, by kind, lane (run, the command itself; tell, its callback) and state",
            wakeups,
        ),
        gauge(
            "holdfast_wakeups_oldest_due_seconds",
            "For how long the oldest wakeup has been runnable without anybody claiming it",
            oldest,
        ),
        gauge(
            "holdfast_wakeups_suspect",
            "Commands whose runs have failed at least twice without any progress",
            suspects,
        ),
        gauge("holdfast_callback_backlog", "Callbacks that are due, of the ten clients with the most", backlog),
    ])
}

async fn needs_somebody(pool: &Pool) -> Result<Vec<Gauge>, Error> {
    let parked = survey::parked(pool).await?;
    let parked = parked.iter().filter_map(|parked| {
        let kind = Kind::from_code(parked.kind)?;
        Some(value([("kind", kind.name()), ("reason", &*parked.reason)], parked.count as f64))
    });
    let connections = survey::connections(pool).await?;
    let connections = connections
        .iter()
        .map(|row| value([("application", &*row.application), ("state", &*row.state)], row.count as f64));
    let (desk, totals) = (census::desk(pool, ALIVE).await?, survey::totals(pool).await?);
    Ok(vec![
        gauge("holdfast_parked", "Commands that need a person, by reason", parked),
        gauge("holdfast_postgres_connections", "Connections by program and state", connections),
        one("holdfast_attention_items", "Open items about commands that have ended", desk.items as f64),
        one("holdfast_dead_letters", "Dead letters that nobody has settled", desk.dead_letters as f64),
        one(
            "holdfast_dead_letters_oldest_seconds",
            "Age of the oldest of them; 0 without any",
            totals.oldest_dead_letter_s,
        ),
        one("holdfast_workers", "Workers that have proved within 10 s that they are alive", desk.workers as f64),
        one(
            "holdfast_postgres_longest_transaction_seconds",
            "Age of the oldest transaction; a long one keeps vacuum from wakeups",
            totals.longest_transaction_s,
        ),
        one("holdfast_postgres_size_bytes", "Size of the database", totals.size_bytes as f64),
        one(
            "holdfast_wakeups_dead_rows",
            "Row versions that vacuum has yet to remove from wakeups",
            totals.dead_wakeups as f64,
        ),
    ])
}

/// Of the sinks that are configured.
async fn events(app: &App, pool: &Pool) -> Result<Vec<Gauge>, Error> {
    let configured = &app.config.events.sinks;
    if configured.is_empty() {
        return Ok(Vec::new());
    }
    let standing = event_sinks::standing(pool, MOST_LAG).await?;
    let standing: Vec<_> = standing.iter().filter(|sink| configured.contains_key(&sink.name)).collect();
    let of = |tell: fn(&event_sinks::Standing) -> f64| {
        let values = standing.iter().map(|sink| value([("sink", &*sink.name)], tell(sink)));
        values.collect::<Vec<_>>()
    };
    Ok(vec![
        gauge(
            "holdfast_events_lag",
            "Events that a sink has yet to get, counted up to ten thousand of acceptances and of all others",
            of(|sink| sink.lag as f64),
        ),
        gauge(
            "holdfast_events_oldest_seconds",
            "For how long the oldest of them has been waiting; 0 without any",
            of(|sink| sink.oldest.as_secs_f64()),
        ),
        gauge(
            "holdfast_events_held_up",
            "1: a sink refuses an event, or its place is one of another server: nothing goes there",
            of(|sink| f64::from(u8::from(sink.refused.is_some() || sink.is_ahead))),
        ),
    ])
}

/// What SQS does not answer for is left out.
async fn queues(app: &App) -> Vec<Gauge> {
    let ask = |queue: &Queue| {
        let queue = queue.clone();
        async move {
            let counts = queue.counts().await;
            counts.ok().map(|counts| (queue.name().to_owned(), counts))
        }
    };
    let answers = futures::future::join_all(app.queues.all().map(ask)).await;
    let count = |(name, counts): (String, Counts)| {
        let state = move |state, count: u64| value([("queue", &*name), ("state", state)], count as f64);
        [state("visible", counts.waiting), state("in_flight", counts.in_flight), state("delayed", counts.delayed)]
    };
    let values = answers.into_iter().flatten().flat_map(count);
    vec![gauge("holdfast_queue_messages", "Messages by state, roughly, as SQS counts them", values)]
}

/// How far the walks along all accepted commands have come, and what they have found.
struct Reconciliation {
    newest: CommandNo,
    of_all: CommandNo,
    rounds: u64,
    lost: BTreeSet<i64>,
}

impl Reconciliation {
    async fn begin(pool: &Pool) -> Result<Self, Error> {
        let newest = survey::newest(pool, NEWEST).await?;
        Ok(Self { newest, of_all: CommandNo(0), rounds: 0, lost: BTreeSet::new() })
    }

    async fn go_on(&mut self, app: &App, pool: &Pool) -> Result<Vec<Gauge>, Error> {
        let newest = survey::reconcile(pool, self.newest, NEWEST, SETTLED).await?;
        self.newest = newest.last.unwrap_or(self.newest);
        let of_all = survey::reconcile(pool, self.of_all, OF_ALL, SETTLED).await?;
        match of_all.last {
            Some(last) => self.of_all = last,
            None => (self.of_all, self.rounds) = (CommandNo(0), self.rounds + 1),
        }
        let known: BTreeSet<i64> = self.lost.iter().copied().collect();
        let room = MOST_LOST.saturating_sub(self.lost.len());
        self.lost.extend(newest.lost.iter().chain(&of_all.lost).take(room));
        let lost = survey::still_lost(pool, &self.lost.iter().copied().collect::<Vec<_>>()).await?;
        self.lost = lost.iter().map(|lost| lost.no.0).collect();
        for Lost { no, id, created_at } in lost.iter().filter(|lost| !known.contains(&lost.no.0)) {
            tracing::error!(command.id = %id, command.no = no.0, %created_at, "accepted, but neither ended nor owed");
        }
        let overdue = survey::overdue(pool, overdue_after(app)).await?;
        let unreconciled = [value([("why", "lost")], lost.len() as f64), value([("why", "overdue")], overdue as f64)];
        Ok(vec![
            gauge(
                "holdfast_unreconciled",
                "Accepted commands without an end: neither ended nor owed (lost), or owed for longer than any may take",
                unreconciled,
            ),
            one(
                "holdfast_reconciliation_rounds",
                "How often this process has held all accepted commands against their ends",
                self.rounds as f64,
            ),
        ])
    }
}

/// No command takes longer than its partners may, unless nobody works on it.
fn overdue_after(app: &App) -> Duration {
    let longest = app.config.partners.values().map(|partner| partner.settle_within_ms.get()).max();
    longest.unwrap_or_default() + ALLOWANCE
}
