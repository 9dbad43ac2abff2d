//! The claim that records what it begins.

use super::{LEASE, ME, OTHER, REQUEST, SOON, claim, command, database};
use holdfast_domain::money::{Currency, Money};
use holdfast_domain::{Command, CommandNo, Lane, Token};
use holdfast_store::transactions::{self, NewTransaction};
use holdfast_store::wakeups::{self, Claim, Claimed, First, Wish};
use holdfast_store::{Pool, commands};
use holdfast_testkit::clock::advance;
use std::sync::Arc;

fn amount() -> Money {
    Money::from_minor(700, Currency::parse("EUR").expect("a currency")).expect("an amount")
}

fn wish(no: CommandNo, token: i64, command: &Command, partner: &str) -> Wish {
    let first = First { command: Arc::new(command.clone()), amount: amount(), partner: partner.into() };
    Wish { claim: Claim { no, lane: Lane::Run, token: Token(token) }, first: Some(first) }
}

async fn begin(pool: &Pool, wishes: &[Wish]) -> Vec<Claimed> {
    wakeups::begin(pool, ME, LEASE, wishes).await.expect("claim")
}

async fn recorded(pool: &Pool) -> Vec<(i64, i64, String)> {
    let rows = sqlx::query_as("select no, amount, partner from transactions order by no");
    rows.fetch_all(pool.connections()).await.expect("read")
}

#[tokio::test]
async fn what_is_begun_for_the_first_time_is_recorded_by_its_claim() {
    let pool = database().await;
    let (one, other) = (command(1), command(2));
    let rows = commands::accept(&pool, &[&one, &other], REQUEST).await.expect("accept");
    let [first, second] = [one.id, other.id].map(|id| rows.iter().find(|row| row.id == id).expect("accepted").no);
    let plain = Claim { no: second, lane: Lane::Run, token: Token(2) };
    let claimed = begin(&pool, &[wish(first, 1, &one, "a"), plain.into()]).await;
    let said = |no| claimed.iter().find(|claimed| claimed.no == no).expect("claimed").recorded;
    assert_eq!((said(first), said(second)), (true, false));
    assert_eq!(recorded(&pool).await, [(first.0, 700, "a".to_owned())]);

    // The answer was lost: the same token asks once more, and records nothing again.
    let again = begin(&pool, &[wish(first, 1, &one, "b")]).await;
    assert!(!again[0].recorded);
    let row = NewTransaction { hold: again[0].hold(), client: one.client, amount: amount(), partner: "b".to_owned() };
    let known = transactions::record(&pool, &[row]).await.expect("record");
    assert_eq!(known[0].1, "a", "it stays with whom it was recorded for");
}

#[tokio::test]
async fn a_message_that_says_something_else_than_the_row_records_nothing() {
    let pool = database().await;
    let row = command(1);
    let no = commands::accept(&pool, &[&row], REQUEST).await.expect("accept")[0].no;
    let others = [Command { body: "{ }".to_owned(), ..row.clone() }, Command { id: command(2).id, ..row.clone() }];
    for (other, token) in others.iter().zip(1..) {
        let claimed = begin(&pool, &[wish(no, token, other, "a")]).await;
        assert!(!claimed[0].recorded);
        assert!(recorded(&pool).await.is_empty());
        advance(pool.connections(), LEASE + SOON).await;
    }
}

#[tokio::test]
async fn who_does_not_get_the_claim_records_nothing() {
    let pool = database().await;
    let row = command(1);
    let no = commands::accept(&pool, &[&row], REQUEST).await.expect("accept")[0].no;
    assert!(claim(&pool, OTHER, no, 1).await.is_some());
    assert!(begin(&pool, &[wish(no, 2, &row, "a")]).await.is_empty());
    assert!(recorded(&pool).await.is_empty());
    // Twice in one statement: one of them has it.
    advance(pool.connections(), LEASE + SOON).await;
    let claimed = begin(&pool, &[wish(no, 3, &row, "a"), wish(no, 4, &row, "a")]).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.recorded).collect::<Vec<_>>(), [true]);
    assert_eq!(recorded(&pool).await.len(), 1);
}
