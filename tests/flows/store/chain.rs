//! The chain of the trail: it goes on from the row that is locked, whoever waited for it, and never forks.

use super::{LEASE, ME, OTHER, SOON, accepted, claim, command, database, entry, finish, note, partner_says};
use holdfast_domain::audit::{self, Audited};
use holdfast_domain::journal::Update;
use holdfast_domain::progress::{PartnerState, Progress};
use holdfast_domain::status::{Outcome, Reason, Step};
use holdfast_domain::{CommandNo, Lane, Status, Token, WorkerId};
use holdfast_store::attention::{self, Filter, Parked};
use holdfast_store::commands::{self, Accepted};
use holdfast_store::operator::Operator;
use holdfast_store::wakeups::{self, Claim, Claimed, Finish, Finished, Note, Tell, Told};
use holdfast_store::{Pool, audit as trails, events, partner_updates};
use holdfast_testkit::clock::advance;
use holdfast_testkit::eventually;
use sqlx::{Postgres, Transaction};
use std::time::Duration;

const OPERATOR: Operator<'_> = Operator { by: "tester", why: "a test" };

/// Every trail there is, none of them broken.
async fn intact(pool: &Pool) -> Vec<Audited> {
    let range = trails::range(pool, None).await.expect("find the commands");
    let audited = trails::read(pool, range, &trails::Filter::default()).await.expect("read the trails");
    for audited in &audited {
        let checked = audit::check(audited, chrono::DateTime::UNIX_EPOCH);
        assert!(checked.breaks.is_empty(), "{:?}: {audited:?}", checked.breaks);
    }
    audited
}

fn places(audited: &Audited) -> Vec<(i32, i16)> {
    audited.rows.iter().map(|row| (row.sequence, row.attempt)).collect()
}

fn happened(claimed: &Claimed) -> Note {
    let note = note(claimed.no, claimed.token.0, claimed.nudge, Duration::ZERO);
    Note { sequence: claimed.sequence, trail: vec![entry()], anchor: claimed.anchor, sent: false, ..note }
}

fn ended(claimed: &Claimed, outcome: Outcome) -> Finish {
    let finish = finish(claimed.no, claimed.token.0, true);
    let nudge = claimed.nudge;
    Finish { nudge, created_at: claimed.created_at, trail: vec![entry()], anchor: claimed.anchor, outcome, ..finish }
}

fn told(finished: &Finished) -> Told {
    let Finished { hold, sequence, hash, .. } = *finished;
    let trail = vec![entry()];
    Told { hold, nudge: None, sequence, attempt: 1, previous: hash, tries: 1, trail, wait: Duration::ZERO }
}

#[tokio::test]
async fn notes_waits_and_the_end_follow_each_other_and_what_is_told_follows_its_state() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    let first = claim(&pool, ME, no, 1).await.expect("claimed");
    assert_eq!(wakeups::note(&pool, &[&happened(&first)]).await.expect("note").len(), 1);
    let second = Note { sequence: 1, ..happened(&first) };
    assert_eq!(wakeups::note(&pool, &[&second]).await.expect("note").len(), 1);
    // Nothing happened: the chain stays where it is.
    wakeups::wait(&pool, &[&Note { trail: Vec::new(), ..second.clone() }]).await.expect("wait");
    let again = claim(&pool, OTHER, no, 2).await.expect("claimed");
    assert_eq!(wakeups::wait(&pool, &[&happened(&again)]).await.expect("wait").len(), 1);
    advance(pool.connections(), LEASE + SOON).await;
    let last = claim(&pool, OTHER, no, 3).await.expect("claimed");
    let finished = wakeups::finish(&pool, OTHER, LEASE, &[&ended(&last, Outcome::Completed)]).await.expect("finish");
    assert_eq!(wakeups::told(&pool, &[&told(&finished[0])]).await.expect("told").len(), 1);
    assert_eq!(places(&intact(&pool).await[0]), [(1, 0), (2, 0), (3, 0), (4, 0), (4, 1)]);
}

#[tokio::test]
async fn an_attempt_to_tell_an_earlier_state_stays_on_its_branch_when_the_run_goes_on() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    let run = claim(&pool, ME, no, 1).await.expect("claimed");
    let pending = Note { tell: Tell::Owed, status: Status::Pending, ..happened(&run) };
    assert_eq!(wakeups::note(&pool, &[&pending]).await.expect("note").len(), 1);
    let telling = async |token| {
        let tell = Claim { no, lane: Lane::Tell, token: Token(token) };
        let claimed = wakeups::claim(&pool, OTHER, LEASE, &[tell]).await.expect("claim").remove(0);
        let attempts = events::attempts(&pool, no, claimed.sequence).await.expect("attempts");
        let attempt = attempts.made + 1;
        let previous = attempts.last.expect("the state has a hash");
        let (sequence, trail, nudge) = (claimed.sequence, vec![entry()], Some(claimed.nudge));
        Told { hold: claimed.hold(), nudge, sequence, attempt, previous, tries: 1, trail, wait: Duration::ZERO }
    };
    let first = telling(2).await;
    assert_eq!(wakeups::tell_again(&pool, &[&first]).await.expect("again").len(), 1);
    let second = telling(3).await;
    assert_eq!((second.sequence, second.attempt), (1, 2));
    // It ends while that is under way.
    let run = Claimed { sequence: 1, ..run };
    wakeups::finish(&pool, ME, LEASE, &[&ended(&run, Outcome::Completed)]).await.expect("finish");
    assert!(wakeups::told(&pool, &[&second]).await.expect("told").is_empty(), "a later state is owed");
    assert_eq!(wakeups::tell_again(&pool, &[&second]).await.expect("again").len(), 1);
    let last = telling(4).await;
    assert_eq!((last.sequence, last.attempt), (2, 1));
    assert_eq!(wakeups::told(&pool, &[&last]).await.expect("told").len(), 1);
    assert_eq!(places(&intact(&pool).await[0]), [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]);
}

/// Somebody has the row of this command in hand.
pub(super) async fn hold<'a>(pool: &'a Pool, table: &str, no: CommandNo) -> Transaction<'a, Postgres> {
    let mut transaction = pool.connections().begin().await.expect("begin");
    let sql = format!("select from {table} where no = {} for update", no.0);
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *transaction).await.expect("lock");
    transaction
}

/// So many statements wait for a lock.
pub(super) async fn waiting(pool: &Pool, count: i64) {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    eventually("they wait", || async {
        let waiting: i64 = sqlx::query_scalar(sql).fetch_one(pool.connections()).await.ok()?;
        (waiting == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn of_a_claim_and_a_cancel_one_appends_and_the_other_finds_nothing() {
    for cancel_first in [true, false] {
        let pool = database().await;
        let no = accepted(&pool).await.no;
        let claimed = claim(&pool, ME, no, 1).await.expect("claimed");
        assert_eq!(wakeups::wait(&pool, &[&happened(&claimed)]).await.expect("wait").len(), 1);
        let held = hold(&pool, "wakeups", no).await;
        let cancel = || {
            let pool = pool.clone();
            tokio::spawn(async move { wakeups::cancel(&pool, no, 1, true).await.expect("cancel") })
        };
        let carry = || {
            let pool = pool.clone();
            tokio::spawn(async move {
                let Some(claimed) = claim(&pool, OTHER, no, 2).await else { return false };
                wakeups::finish(&pool, OTHER, LEASE, &[&ended(&claimed, Outcome::Completed)]).await.expect("finish");
                true
            })
        };
        let first = if cancel_first { cancel() } else { carry() };
        waiting(&pool, 1).await;
        let second = if cancel_first { carry() } else { cancel() };
        waiting(&pool, 2).await;
        held.rollback().await.expect("let it go");
        assert_eq!((first.await.expect("no panic"), second.await.expect("no panic")), (true, false));
        let audited = intact(&pool).await.remove(0);
        assert_eq!(places(&audited), [(1, 0), (2, 0)]);
        let status = audited.end.and_then(|end| end.outcome).map(|outcome| outcome.status);
        assert_eq!(status.as_deref(), Some(if cancel_first { "cancelled" } else { "completed" }));
    }
}

/// Nobody knew how it had ended at its partner, which has said so since.
async fn parked(pool: &Pool) -> (CommandNo, Parked) {
    let Accepted { id, no, .. } = accepted(pool).await;
    let claimed = claim(pool, ME, no, 1).await.expect("claimed");
    wakeups::note(pool, &[&happened(&claimed)]).await.expect("note");
    let mut progress = Progress::default();
    progress.partner("p").state = PartnerState::Unknown;
    let outcome = Outcome::NeedsAttention(Reason::new("outcome_unknown", "nobody knows"));
    let end = Finish { progress, tell: Tell::Not, ..ended(&Claimed { sequence: 1, ..claimed }, outcome) };
    assert_eq!(wakeups::finish(pool, ME, LEASE, &[&end]).await.expect("finish").len(), 1);
    let update = Update { event_id: "late".to_owned(), ..partner_says(id, Status::Completed) };
    partner_updates::store(pool, &update, None).await.expect("store");
    let filter = Filter { limit: 1, ..Filter::default() };
    (no, attention::parked(pool, &filter).await.expect("read").remove(0))
}

/// Of those who take it up one does, and the run goes on from there.
async fn carried_on(pool: &Pool, no: CommandNo, expected: &[(i32, i16)]) {
    let claimed = claim(pool, OTHER, no, 2).await.expect("claimed");
    let end = Finish { tell: Tell::Not, ..ended(&claimed, Outcome::Completed) };
    assert_eq!(wakeups::finish(pool, OTHER, LEASE, &[&end]).await.expect("finish").len(), 1);
    assert_eq!(places(&intact(pool).await[0]), expected);
}

#[tokio::test]
async fn of_a_retry_and_a_late_webhook_one_takes_the_command_up_and_the_chain_goes_on() {
    for retry_first in [true, false] {
        let pool = database().await;
        let (no, parked) = parked(&pool).await;
        let held = hold(&pool, "outcomes", no).await;
        let retry = || {
            let (pool, parked) = (pool.clone(), parked.clone());
            tokio::spawn(async move {
                let taken = attention::take_up(&pool, &parked, Step::Submit, &parked.progress, OPERATOR).await;
                taken.expect("take up")
            })
        };
        let webhook = || {
            let pool = pool.clone();
            tokio::spawn(async move { partner_updates::reopen(&pool, no).await.expect("reopen") })
        };
        let first = if retry_first { retry() } else { webhook() };
        waiting(&pool, 1).await;
        let second = if retry_first { webhook() } else { retry() };
        waiting(&pool, 2).await;
        held.rollback().await.expect("let it go");
        assert_eq!((first.await.expect("no panic"), second.await.expect("no panic")), (true, false));
        carried_on(&pool, no, &[(1, 0), (2, 0), (3, 0), (4, 0)]).await;
    }
}

#[tokio::test]
async fn of_two_operators_who_resolve_it_one_is_in_the_trail() {
    let pool = database().await;
    let (no, parked) = parked(&pool).await;
    let held = hold(&pool, "outcomes", no).await;
    let resolution = attention::Resolution { end: Status::Completed, undone: false, tell: true };
    let resolve = || {
        let (pool, parked) = (pool.clone(), parked.clone());
        tokio::spawn(async move { attention::resolve(&pool, &parked, resolution, OPERATOR).await.expect("resolve") })
    };
    let (one, other) = (resolve(), resolve());
    waiting(&pool, 2).await;
    held.rollback().await.expect("let it go");
    assert!(one.await.expect("no panic") ^ other.await.expect("no panic"));
    assert_eq!(places(&intact(&pool).await[0]), [(1, 0), (2, 0), (3, 0)]);
}

/// A process of an earlier release has taken it up, and did not hand the chain on.
#[tokio::test]
async fn a_wakeup_that_has_lost_the_chain_finds_it_again() {
    let pool = database().await;
    let (no, _) = parked(&pool).await;
    assert!(partner_updates::reopen(&pool, no).await.expect("reopen"));
    sqlx::query("update wakeups set chain = null").execute(pool.connections()).await.expect("sql");
    carried_on(&pool, no, &[(1, 0), (2, 0), (3, 0), (4, 0)]).await;
}

#[tokio::test]
async fn what_is_rejected_follows_the_request_that_it_was() {
    let pool = database().await;
    let stands = accepted(&pool).await.id;
    let rejected = command(2);
    commands::reject(&pool, &rejected, stands, true).await.expect("reject");
    commands::reject(&pool, &rejected, stands, true).await.expect("again");
    let audited = intact(&pool).await;
    assert_eq!((places(&audited[0]), places(&audited[1])), (vec![], vec![(1, 0)]));
}

/// Workers and clients that cancel, all of them on a few commands.
#[tokio::test]
async fn whoever_comes_first_no_chain_forks() {
    let pool = database().await;
    let many: Vec<_> = (1..=20).map(command).collect();
    let accepted = commands::accept(&pool, &many.iter().collect::<Vec<_>>(), super::REQUEST).await.expect("accept");
    let workers = (0..8_i64).map(|worker| {
        let (pool, accepted) = (pool.clone(), accepted.clone());
        tokio::spawn(async move {
            for turn in 0..40_i64 {
                let no = accepted[usize::try_from(turn * 7 + worker * 3).expect("positive") % accepted.len()].no;
                act(&pool, WorkerId(worker), no, turn * 100 + worker).await;
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.expect("no panic");
    }
    let audited = intact(&pool).await;
    let rows: usize = audited.iter().map(|audited| audited.rows.len()).sum();
    assert!(audited.len() == 20 && rows > 20, "{rows} rows");
}

async fn act(pool: &Pool, worker: WorkerId, no: CommandNo, token: i64) {
    let Some(claimed) = claim(pool, worker, no, token).await else {
        wakeups::cancel(pool, no, i32::try_from(token % 3).expect("small"), true).await.expect("cancel");
        return;
    };
    let noted = happened(&claimed);
    wakeups::note(pool, &[&noted]).await.expect("note");
    // The answer was lost, and it is written again.
    wakeups::note(pool, &[&noted]).await.expect("note");
    if token % 5 == 0 {
        let finished = wakeups::finish(pool, worker, LEASE, &[&ended(&claimed, Outcome::Completed)]).await;
        let finished = finished.expect("finish");
        wakeups::told(pool, &finished.iter().map(told).collect::<Vec<_>>().iter().collect::<Vec<_>>())
            .await
            .expect("told");
    } else {
        wakeups::wait(pool, &[&Note { sequence: claimed.sequence + 1, ..noted }]).await.expect("wait");
    }
}
