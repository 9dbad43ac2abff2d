//! What a claim's holder writes, and who is heard beside it.

use super::{ANCHOR, LEASE, ME, OTHER, SOON, accepted, claim, database, entry, finish, note, partner_says};
use holdfast_domain::{Lane, Status, Token};
use holdfast_store::commands::Accepted;
use holdfast_store::partner_updates;
use holdfast_store::wakeups::{self, Claim, Finish, Hold, Note, Told};
use holdfast_testkit::clock::advance;
use std::time::Duration;

#[tokio::test]
async fn a_wait_in_which_nothing_happened_leaves_no_trail() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    let claimed = claim(&pool, ME, no, 1).await.expect("claimed");
    wakeups::wait(&pool, &[&note(no, 1, 0, Duration::ZERO)]).await.expect("wait");
    let again = claim(&pool, ME, no, 2).await.expect("claimed");
    assert_eq!(again.sequence, claimed.sequence);
    let something = Note { trail: vec![entry()], ..note(no, 2, 0, Duration::ZERO) };
    wakeups::wait(&pool, &[&something]).await.expect("wait");
    let again = claim(&pool, ME, no, 3).await.expect("claimed");
    assert_eq!(again.sequence, claimed.sequence + 1);
    let rows: i64 =
        sqlx::query_scalar("select count(*) from events").fetch_one(pool.connections()).await.expect("count");
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn whoever_knocked_since_the_claim_is_heard_before_the_end() {
    let pool = database().await;
    let Accepted { id, no, .. } = accepted(&pool).await;
    claim(&pool, ME, no, 1).await.expect("claimed");
    let update = partner_says(id, Status::Failed);
    assert!(partner_updates::store(&pool, &update, None).await.expect("store").nudged);
    assert!(wakeups::finish(&pool, ME, LEASE, &[&finish(no, 1, true)]).await.expect("finish").is_empty());
    let heard = Finish { nudge: 1, ..finish(no, 1, true) };
    assert_eq!(wakeups::finish(&pool, ME, LEASE, &[&heard]).await.expect("finish").len(), 1);
    let shown: Vec<String> = sqlx::query_scalar("select code from attention_items")
        .fetch_all(pool.connections())
        .await
        .expect("read the items");
    assert_eq!(shown, ["contradicting_webhook"], "it had said something else");
}

#[tokio::test]
async fn a_later_state_is_not_lost_to_an_earlier_telling() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    claim(&pool, ME, no, 1).await.expect("claimed");
    let finished = wakeups::finish(&pool, ME, LEASE, &[&finish(no, 1, true)]).await.expect("finish");
    assert!(finished[0].telling);
    sqlx::query("update wakeups set sequence = 2").execute(pool.connections()).await.expect("a later state");
    let hold = Hold { no, token: Token(1) };
    let (previous, trail) = (ANCHOR, Vec::new());
    let told = Told { hold, nudge: None, sequence: 1, attempt: 1, previous, tries: 1, trail, wait: LEASE };
    assert!(wakeups::told(&pool, &[&told]).await.expect("told").is_empty());
    assert_eq!(wakeups::tell_again(&pool, &[&told]).await.expect("again").len(), 1);
    let tell = Claim { no, lane: Lane::Tell, token: Token(2) };
    let claimed = wakeups::claim(&pool, ME, LEASE, &[tell]).await.expect("claim");
    assert_eq!((claimed.len(), claimed[0].tries), (1, 0), "due at once, with a schedule of its own");
    // Claimed for the earlier state, told the later one: it counts for that, and then nothing is owed.
    let told = Told { hold: Hold { no, token: Token(2) }, sequence: 2, ..told };
    assert_eq!(wakeups::tell_again(&pool, &[&told]).await.expect("again").len(), 1);
    advance(pool.connections(), LEASE * 2).await;
    let claimed = wakeups::claim(&pool, ME, LEASE, &[Claim { token: Token(3), ..tell }]).await.expect("claim");
    assert_eq!((claimed.len(), claimed[0].tries), (1, 1));
    assert_eq!(claimed[0].sequence, 2, "the debt is that of the state that was told");
    let told = Told { hold: Hold { no, token: Token(3) }, attempt: 2, tries: 2, ..told };
    assert_eq!(wakeups::told(&pool, &[&told]).await.expect("told").len(), 1);
}

#[tokio::test]
async fn who_wants_it_told_again_during_an_attempt_gets_one_more() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    claim(&pool, ME, no, 1).await.expect("claimed");
    assert!(wakeups::finish(&pool, ME, LEASE, &[&finish(no, 1, true)]).await.expect("finish")[0].telling);
    wakeups::owe_again(&pool, no, 1).await.expect("owed");
    let hold = Hold { no, token: Token(1) };
    let (previous, trail) = (ANCHOR, Vec::new());
    let last = Told { hold, nudge: Some(0), sequence: 1, attempt: 9, previous, tries: 9, trail, wait: LEASE };
    assert!(wakeups::told(&pool, &[&last]).await.expect("given up").is_empty(), "it is still owed");
    assert_eq!(wakeups::tell_again(&pool, &[&last]).await.expect("again").len(), 1);
    let tell = Claim { no, lane: Lane::Tell, token: Token(2) };
    let claimed = wakeups::claim(&pool, ME, LEASE, &[tell]).await.expect("claim");
    assert_eq!((claimed.len(), claimed[0].tries), (1, 0), "at once, on a schedule that begins anew");
}

#[tokio::test]
async fn a_note_repeated_after_a_lost_answer_is_written_once() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    claim(&pool, ME, no, 1).await.expect("claimed");
    assert_eq!(wakeups::note(&pool, &[&note(no, 1, 0, SOON)]).await.expect("note").len(), 1);
    assert!(wakeups::note(&pool, &[&note(no, 1, 0, SOON)]).await.expect("note").is_empty());
    let rows: i64 =
        sqlx::query_scalar("select count(*) from events").fetch_one(pool.connections()).await.expect("count");
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn a_wait_after_a_takeover_does_not_forget_that_something_may_have_been_sent() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    claim(&pool, ME, no, 1).await.expect("claimed");
    advance(pool.connections(), LEASE + SOON).await;
    let taken = claim(&pool, OTHER, no, 2).await.expect("taken over");
    let released = Note { sent: taken.taken_over, ..note(no, 2, 0, Duration::ZERO) };
    wakeups::wait(&pool, &[&released]).await.expect("wait");
    let again = claim(&pool, OTHER, no, 3).await.expect("claimed");
    assert!(again.first_sent_ago >= LEASE, "counted from the first claim: {:?}", again.first_sent_ago);
}

#[tokio::test]
async fn a_cancel_that_has_seen_an_older_row_looks_again() {
    let pool = database().await;
    let no = accepted(&pool).await.no;
    claim(&pool, ME, no, 1).await.expect("claimed");
    let recorded = Note { sent: false, trail: vec![entry()], ..note(no, 1, 0, Duration::ZERO) };
    wakeups::wait(&pool, &[&recorded]).await.expect("wait");
    // What was recorded meanwhile may not be visible to its statement.
    assert!(!wakeups::cancel(&pool, no, 0, false).await.expect("cancel"));
    assert!(wakeups::cancel(&pool, no, 1, false).await.expect("cancel"));
}

#[tokio::test]
async fn what_a_partner_said_before_a_time_is_not_its_word_since() {
    let pool = database().await;
    let Accepted { id, created_at, .. } = accepted(&pool).await;
    partner_updates::store(&pool, &partner_says(id, Status::Failed), None).await.expect("store");
    let word = async |since| partner_updates::final_word(&pool, "p", id, since).await.expect("read");
    let first = word(Some(created_at)).await.expect("since it was accepted");
    assert!(word(None).await.is_some());
    assert!(word(Some(first.received_at)).await.is_none());
}
