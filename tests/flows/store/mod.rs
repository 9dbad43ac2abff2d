//! Single statements against a real database: the guards that the protocol rests on.

mod begin;
mod chain;
mod event_sinks;
mod keys;
mod outbox;
mod plans;
mod progress;
mod retention;

use chrono::DateTime;
use holdfast_domain::chain::Hash;
use holdfast_domain::journal::Update;
use holdfast_domain::progress::Progress;
use holdfast_domain::status::{Outcome, Step};
use holdfast_domain::trail::{Entry, Happening};
use holdfast_domain::{ClientNo, Command, CommandId, CommandNo, Kind, Lane, Status, Token, WorkerId};
use holdfast_store::commands::{self, Accepted, Origin};
use holdfast_store::wakeups::{self, Claim, Claimed, Ended, Finish, Hold, Marked, Note, Tell};
use holdfast_store::{Pool, clients, workers};
use holdfast_testkit::clock::advance;
use holdfast_testkit::database_alone;
use std::time::Duration;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(30);
const REQUEST: Origin = Origin::Request { due_in: SOON, marked: false };
const SOON: Duration = Duration::from_secs(2);
const ME: WorkerId = WorkerId(1);
const OTHER: WorkerId = WorkerId(2);
/// Where nobody looks at the chain.
const ANCHOR: Hash = Hash([0; 32]);

fn command(n: u128) -> Command {
    Command {
        id: CommandId(Uuid::from_u128(n)),
        client: ClientNo(1),
        kind: Kind::Transaction,
        key: n.to_string(),
        header_key: None,
        fingerprint: [0; 32],
        body: r#"{"amount":"1.00","currency":"EUR"}"#.to_owned(),
        traceparent: None,
        accepted_at: None,
    }
}

async fn database() -> Pool {
    let pool = database_alone().await;
    let client = clients::NewClient {
        no: None,
        name: "test",
        callback_url: None,
        callback_secret: &[1; 32],
        key_id: "k",
        key_hash: &[0; 32],
    };
    clients::create(&pool, client).await.expect("create").expect("the name is free");
    pool
}

async fn accepted(pool: &Pool) -> Accepted {
    commands::accept(pool, &[&command(1)], REQUEST).await.expect("accept")[0]
}

async fn claim(pool: &Pool, worker: WorkerId, no: CommandNo, token: i64) -> Option<Claimed> {
    let claim = Claim { no, lane: Lane::Run, token: Token(token) };
    wakeups::claim(pool, worker, LEASE, &[claim]).await.expect("claim").pop()
}

fn note(no: CommandNo, token: i64, nudge: i32, wait: Duration) -> Note {
    Note {
        hold: Hold { no, token: Token(token) },
        nudge,
        sequence: 0,
        status: Status::Processing,
        step: Step::Submit,
        progress: Progress::default(),
        trail: Vec::new(),
        anchor: ANCHOR,
        sent: true,
        next_try_in: None,
        settle_within: None,
        next_partner: false,
        tell: Tell::Not,
        wait,
        ended: Ended::Well,
    }
}

fn finish(no: CommandNo, token: i64, claim_tell: bool) -> Finish {
    Finish {
        hold: Hold { no, token: Token(token) },
        nudge: 0,
        client: ClientNo(1),
        created_at: chrono::DateTime::UNIX_EPOCH,
        outcome: Outcome::Completed,
        progress: Progress::default(),
        trail: Vec::new(),
        anchor: ANCHOR,
        tell: Tell::Owed,
        claim_tell,
    }
}

fn entry() -> Entry {
    Entry::new(DateTime::UNIX_EPOCH, Happening::Claimed { worker: ME, taken_over: false })
}

fn partner_says(command: CommandId, status: Status) -> Update {
    let (partner, event_id) = ("p".to_owned(), "e".to_owned());
    Update { partner, event_id, command, status, reason: None, received_at: None }
}

#[tokio::test]
async fn a_claim_excludes_every_other_until_its_lease_ends() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    assert!(claim(&pool, ME, no, 1).await.is_some());
    assert!(claim(&pool, OTHER, no, 2).await.is_none());
    advance(pool.connections(), LEASE + SOON).await;
    let taken = claim(&pool, OTHER, no, 3).await.expect("the lease is over");
    assert!(taken.taken_over, "what the first did is unknown");
    // The first one is fenced off.
    assert!(wakeups::note(&pool, &[&note(no, 1, 0, SOON)]).await.expect("note").is_empty());
    assert!(wakeups::wait(&pool, &[&note(no, 1, 0, SOON)]).await.expect("wait").is_empty());
    assert!(wakeups::finish(&pool, ME, LEASE, &[&finish(no, 1, true)]).await.expect("finish").is_empty());
    assert_eq!(wakeups::finish(&pool, OTHER, LEASE, &[&finish(no, 3, true)]).await.expect("finish").len(), 1);
}

#[tokio::test]
async fn the_same_token_claims_again_when_the_answer_was_lost() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    claim(&pool, ME, no, 1).await.expect("claimed");
    let again = claim(&pool, ME, no, 1).await.expect("claimed again");
    assert!(!again.taken_over);
}

#[tokio::test]
async fn what_was_claimed_as_due_is_found_by_token_when_the_answer_was_lost() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    advance(pool.connections(), SOON).await;
    let tokens = [Token(1), Token(2)];
    let claimed = wakeups::claim_due(&pool, ME, LEASE, wakeups::Due::Run, &Kind::ALL, &tokens).await.expect("claim");
    assert_eq!(claimed.len(), 1);
    let found = wakeups::claimed_under(&pool, &tokens).await.expect("ask");
    assert_eq!(found.iter().map(|claim| claim.no).collect::<Vec<_>>(), [no]);
    let again = wakeups::claim(&pool, ME, LEASE, &found).await.expect("claim");
    assert!(!again[0].taken_over, "it is the same claim");
}

#[tokio::test]
async fn of_many_claims_at_once_one_wins() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    let claims = (0..50).map(|token| {
        let pool = pool.clone();
        tokio::spawn(async move { claim(&pool, WorkerId(token), no, token).await.is_some() })
    });
    let mut won = 0;
    for claim in claims.collect::<Vec<_>>() {
        won += usize::from(claim.await.expect("no panic"));
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn one_batch_with_the_same_row_twice_gives_one_claim() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    let twice = [1, 2].map(|token| Claim { no, lane: Lane::Run, token: Token(token) });
    assert_eq!(wakeups::claim(&pool, ME, LEASE, &twice).await.expect("claim").len(), 1);
}

#[tokio::test]
async fn a_clean_release_leaves_no_doubt_and_waits() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    let claimed = claim(&pool, ME, no, 1).await.expect("claimed");
    let wait = Duration::from_secs(120);
    assert_eq!(wakeups::wait(&pool, &[&note(no, 1, claimed.nudge, wait)]).await.expect("wait").len(), 1);
    assert!(claim(&pool, ME, no, 2).await.is_none(), "not before its time");
    advance(pool.connections(), wait).await;
    let again = claim(&pool, ME, no, 3).await.expect("its time has come");
    assert!(!again.taken_over);
}

#[tokio::test]
async fn a_nudge_during_a_claim_makes_the_wait_void() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    let claimed = claim(&pool, ME, no, 1).await.expect("claimed");
    sqlx::query("update wakeups set nudge = nudge + 1").execute(pool.connections()).await.expect("nudge");
    wakeups::wait(&pool, &[&note(no, 1, claimed.nudge, Duration::from_secs(120))]).await.expect("wait");
    assert!(claim(&pool, ME, no, 2).await.is_some(), "looks again at once");
}

#[tokio::test]
async fn the_next_try_keeps_its_time_through_a_takeover() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    claim(&pool, ME, no, 1).await.expect("claimed");
    let delayed = Note { next_try_in: Some(Duration::from_secs(120)), ..note(no, 1, 0, SOON) };
    wakeups::note(&pool, &[&delayed]).await.expect("note");
    advance(pool.connections(), LEASE + SOON).await;
    let taken = claim(&pool, OTHER, no, 2).await.expect("taken over");
    let left = taken.next_try_in.expect("there is a delay");
    assert!(left > Duration::from_secs(80) && left < Duration::from_secs(90), "{left:?}");
    assert!(taken.first_sent_ago >= LEASE);
}

#[tokio::test]
async fn the_publish_mark_writes_only_what_nobody_has_touched() {
    let pool = database().await;
    let accepted = commands::accept(&pool, &[&command(1), &command(2)], REQUEST).await.expect("accept");
    let marks: Vec<_> = accepted.iter().map(|row| Marked { no: row.no, due_at: row.due_at }).collect();
    claim(&pool, ME, accepted[0].no, 1).await.expect("claimed");
    assert_eq!(wakeups::mark_published(&pool, &marks, LEASE).await.expect("mark"), 1);
    // The claimed one is released with a wait of its own: the mark must not push it away.
    wakeups::wait(&pool, &[&note(accepted[0].no, 1, 0, SOON)]).await.expect("wait");
    assert_eq!(wakeups::mark_published(&pool, &marks, LEASE).await.expect("mark"), 0);
}

#[tokio::test]
async fn the_relay_takes_over_expired_claims_and_leaves_living_ones() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    claim(&pool, ME, no, 1).await.expect("claimed");
    advance(pool.connections(), SOON * 2).await;
    assert!(wakeups::take_overdue(&pool, Lane::Run, Duration::ZERO, 10).await.expect("take").is_empty());
    advance(pool.connections(), LEASE).await;
    assert_eq!(wakeups::take_overdue(&pool, Lane::Run, Duration::ZERO, 10).await.expect("take").len(), 1);
    assert!(
        wakeups::take_overdue(&pool, Lane::Run, Duration::ZERO, 10).await.expect("take").is_empty(),
        "once per 30 s"
    );
    assert!(claim(&pool, OTHER, no, 2).await.expect("claimable").taken_over);
}

#[tokio::test]
async fn the_dead_lose_their_claims_and_a_shaky_judge_may_not_judge() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    let silence = Duration::from_secs(4);
    assert!(workers::register(&pool, ME, "me").await.expect("register"));
    assert!(workers::register(&pool, OTHER, "other").await.expect("register"));
    claim(&pool, OTHER, no, 1).await.expect("claimed");
    // Everybody was silent: after an outage nobody may be declared dead by somebody who was silent too.
    advance(pool.connections(), silence * 2).await;
    assert!(workers::beat(&pool, ME, silence).await.expect("beat"));
    assert_eq!(workers::reap(&pool, ME, silence).await.expect("reap"), (0, 0));
    for _ in 0..3 {
        advance(pool.connections(), silence / 2).await;
        assert!(workers::beat(&pool, ME, silence).await.expect("beat"));
    }
    // Held up between its beat and its judgement: it would judge itself.
    advance(pool.connections(), silence * 2).await;
    assert_eq!(workers::reap(&pool, ME, silence).await.expect("reap"), (0, 0));
    for _ in 0..4 {
        assert!(workers::beat(&pool, ME, silence).await.expect("beat"));
        advance(pool.connections(), silence / 2).await;
    }
    assert_eq!(workers::reap(&pool, ME, silence).await.expect("reap"), (1, 1));
    assert!(!workers::beat(&pool, OTHER, silence).await.expect("beat"), "it learns that it was declared dead");
    assert!(claim(&pool, ME, no, 2).await.expect("due at once").taken_over);
}

#[tokio::test]
async fn batches_in_opposite_orders_do_not_deadlock() {
    let pool = database().await;
    let many: Vec<_> = (0..100).map(command).collect();
    let forward: Vec<_> = many.iter().collect();
    let backward: Vec<_> = many.iter().rev().collect();
    let (a, b) = tokio::join!(commands::accept(&pool, &forward, REQUEST), commands::accept(&pool, &backward, REQUEST));
    assert_eq!(a.expect("accept").len() + b.expect("accept").len(), 100);
    let existing = commands::existing(&pool, &many.iter().map(|command| command.id).collect::<Vec<_>>()).await;
    assert_eq!(existing.expect("read").len(), 100);
}

#[tokio::test]
async fn happy_path_updates_stay_within_their_page() {
    let pool = database().await;
    let many: Vec<_> = (0..500).map(command).collect();
    let accepted = commands::accept(&pool, &many.iter().collect::<Vec<_>>(), REQUEST).await.expect("accept");
    let claims: Vec<_> =
        accepted.iter().map(|row| Claim { no: row.no, lane: Lane::Run, token: Token(row.no.0) }).collect();
    for claims in claims.chunks(50) {
        assert_eq!(wakeups::claim(&pool, ME, LEASE, claims).await.expect("claim").len(), 50);
    }
    let sql = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'wakeups'";
    let (updates, hot) = holdfast_testkit::eventually("the statistics", || async {
        sqlx::raw_sql("select pg_stat_force_next_flush()").execute(pool.connections()).await.ok()?;
        let row = sqlx::query_as::<_, (i64, i64)>(sql).fetch_one(pool.connections()).await.ok()?;
        (row.0 >= 500).then_some(row)
    })
    .await;
    assert!(hot * 100 >= updates * 95, "{hot} of {updates} updates were HOT");
}

#[tokio::test]
async fn a_row_that_this_version_cannot_read_spares_its_neighbours() {
    let pool = database().await;
    let accepted = commands::accept(&pool, &[&command(1), &command(2), &command(3)], REQUEST).await.expect("accept");
    let newer = [
        "update wakeups set step = 'a newer one' where no = $1",
        r#"update wakeups set progress = '{"partners": [{"partner": "p", "state": "newer", "tries": 0}]}' where no = $1"#,
    ];
    for (sql, accepted) in newer.into_iter().zip(&accepted) {
        sqlx::query(sql).bind(accepted.no.0).execute(pool.connections()).await.expect("sql");
    }
    let claims = [1, 2, 3].map(|n| Claim { no: accepted[n - 1].no, lane: Lane::Run, token: Token(n as i64) });
    let claimed = wakeups::claim(&pool, ME, LEASE, &claims).await.expect("claim");
    assert_eq!(claimed.iter().map(|claimed| claimed.no).collect::<Vec<_>>(), [accepted[2].no]);
}
