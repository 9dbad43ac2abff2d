//! Was the promise kept? Asked of the clients' log, the partners' books, the inbox and the database.

use crate::Arguments;
use crate::clients::{Accepted, Submitted};
use crate::partner::Entry;
use crate::report::Report;
use crate::world::World;
use anyhow::Context as _;
use chrono::DateTime;
use holdfast_app::audit::{Audit, Filter};
use holdfast_domain::Kind;
use serde_json::{Value, json};
use sqlx::FromRow;
use std::collections::{BTreeMap, HashMap};

/// Reasons with which a command may need a person here.
const TRUE_REASONS: [&str; 4] = ["partly_refunded", "outcome_unknown", "settlement_timeout", "key_lifetime_over"];

/// How one command stands in the database.
#[derive(Debug, FromRow)]
struct Stored {
    id: String,
    key: String,
    kind: i16,
    amount: Option<String>,
    status: Option<String>,
    reason: Option<String>,
    sequence: Option<i32>,
    owed: i64,
    last_event: Option<i32>,
    run_events: i64,
}

pub(crate) async fn check(
    world: &World,
    arguments: &Arguments,
    submitted: Submitted,
    faults: BTreeMap<&'static str, u32>,
    settled: bool,
) -> anyhow::Result<Report> {
    let mut report = Report {
        seed: arguments.seed,
        strict_partners: !arguments.zombies,
        accepted: submitted.accepted.len() as u64,
        accepted_by_queue: submitted.by_queue,
        refused: submitted.refused.len() as u64,
        undecided: submitted.undecided,
        callbacks: world.inbox.deliveries(),
        faults,
        ..Report::default()
    };
    report.expect(settled, "unsettled", || "something was still owed at the end".to_owned());
    report.expect(submitted.wrong_ids == 0, "wrong_ids", || format!("{} replays", submitted.wrong_ids));
    let stored = stored(world).await.context("read the commands")?;
    let told = world.inbox.told();
    for (id, accepted) in &submitted.accepted {
        match stored.get(id) {
            Some(stored) => check_accepted(&mut report, accepted, stored),
            None => report.expect(false, "lost", || format!("{id} has no row")),
        }
    }
    for stored in stored.values() {
        check_stored(world, &mut report, stored);
        let sequence = i64::from(stored.sequence.unwrap_or_default());
        let kind = event_type(stored);
        let knows = told.get(&stored.id).is_some_and(|(last, told)| *last == sequence && *told == kind);
        report.expect(knows, "clients_not_told", || {
            format!("{} ({kind}, {sequence}): {:?}", stored.id, told.get(&stored.id))
        });
    }
    let by_content: HashMap<_, _> = stored
        .values()
        .map(|stored| ((stored.key.as_str(), stored.amount.as_deref().unwrap_or_default()), stored))
        .collect();
    for (key, amount) in &submitted.refused {
        let executed =
            by_content.get(&(key.as_str(), amount.as_str())).is_some_and(|stored| is_executed(world, stored));
        report.expect(!executed, "refused_executed", || format!("{key}: {amount}"));
    }
    check_trails(world, &mut report).await.context("verify the trails")?;
    report.expect(submitted.unexpected.is_empty(), "unexpected_answers", || format!("{:?}", submitted.unexpected));
    let lies = world.partners.lies_taken();
    report.expect(lies == 0, "forged_webhooks_taken", || format!("{lies} of them"));
    for rule in ["lost", "duplicates", "sent_while_unknown", "orphan_wakeups", "broken_trails"] {
        report.expect(true, rule, String::new);
    }
    Ok(report)
}

async fn stored(world: &World) -> anyhow::Result<HashMap<String, Stored>> {
    let sql = "select c.id::text as id, c.key, c.kind, coalesce(c.body::jsonb ->> 'amount', c.body::jsonb ->> 'totalPrice') as amount,
                      o.status, o.reason, o.sequence,
                      (select count(*) from wakeups w where w.no = c.no) as owed,
                      (select max(e.sequence) from events e where e.no = c.no and e.attempt = 0) as last_event,
                      (select count(*) from events e where e.no = c.no and e.attempt = 0) as run_events
                 from commands c
                 left join outcomes o on o.no = c.no
                where c.client = any($1)";
    let rows: Vec<Stored> = sqlx::query_as(sql).bind(world.client_nos()).fetch_all(&world.pool).await?;
    Ok(rows.into_iter().map(|row| (row.id.clone(), row)).collect())
}

/// What a client was promised.
fn check_accepted(report: &mut Report, accepted: &Accepted, stored: &Stored) {
    let amount = stored.amount.as_deref().unwrap_or_default();
    let one_of_them = accepted.amounts.iter().any(|accepted| accepted == amount);
    report.expect(one_of_them, "wrong_content", || format!("{}: {amount} of {:?}", stored.id, accepted.amounts));
    report.expect(accepted.kind.code() == stored.kind, "wrong_content", || stored.id.clone());
}

/// What holds for every row, whoever knows of it.
fn check_stored(world: &World, report: &mut Report, stored: &Stored) {
    let Stored { id, status, reason, .. } = stored;
    report.expect(stored.owed == 0, "orphan_wakeups", || id.clone());
    let complete =
        stored.last_event == stored.sequence && stored.run_events == i64::from(stored.sequence.unwrap_or(-1));
    report.expect(complete, "trail_gaps", || format!("{id}: {stored:?}"));
    let books = books(world, stored);
    for book in &books {
        report.expect(book.effects <= 1, "duplicates", || format!("{id}: {book:?}"));
        report.expect(book.while_unknown == 0, "sent_while_unknown", || format!("{id}: {book:?}"));
        let equal = book.effects == 0 || book.amount == json!(stored.amount.as_deref().map(normalised));
        report.expect(equal, "amounts_differ", || format!("{id}: {book:?} {:?}", stored.amount));
    }
    let standing = books.iter().filter(|book| book.stands()).count();
    let reason = reason.clone().unwrap_or_default();
    match status.as_deref() {
        Some("completed") => {
            report.completed += 1;
            report.expect(standing == books.len(), "completed_without_effect", || format!("{id}: {books:?}"));
        }
        Some("failed") => {
            let rejected = reason == "idempotency_key_reused";
            *if rejected { &mut report.rejected } else { &mut report.failed } += 1;
            report.expect(standing == 0, "failed_with_effect", || format!("{id} {reason}: {books:?}"));
        }
        Some("cancelled") => {
            report.cancelled += 1;
            let asked = books.iter().any(|book| book.requests > 0);
            report.expect(!asked, "cancelled_yet_sent", || format!("{id}: {books:?}"));
        }
        Some("needs_attention") => {
            report.expect(TRUE_REASONS.contains(&reason.as_str()), "untrue_reasons", || format!("{id}: {reason}"));
            report.needs_attention += 1;
            *report.attention_reasons.entry(reason).or_insert(0) += 1;
        }
        _ => report.expect(false, "lost", || format!("{id} has not ended: {stored:?}")),
    }
}

/// Whatever was killed, each row is chained to the one before it. Nobody here is of an earlier release.
async fn check_trails(world: &World, report: &mut Report) -> anyhow::Result<()> {
    for &client in &world.clients {
        let filter = Filter { client: Some(client), ..Filter::default() };
        let mut audit = Audit::begin(&world.app, filter, Some(DateTime::UNIX_EPOCH)).await?;
        while let Some(found) = audit.go_on().await? {
            for found in found {
                report.expect(false, "broken_trails", || format!("{found:?}"));
            }
        }
    }
    Ok(())
}

/// What each partner knows of it that takes part in its kind. Nobody takes part in what was rejected.
fn books(world: &World, stored: &Stored) -> Vec<Entry> {
    let kind = Kind::from_code(stored.kind);
    let partners = kind.map(|kind| world.partners_of(kind)).unwrap_or_default();
    partners.iter().map(|partner| world.partners.entry(partner, &stored.id)).collect()
}

fn event_type(stored: &Stored) -> String {
    if stored.reason.as_deref() == Some("idempotency_key_reused") {
        return "request.rejected".to_owned();
    }
    let kind = Kind::from_code(stored.kind).map_or("", Kind::name);
    format!("{kind}.{}", stored.status.as_deref().unwrap_or_default())
}

/// As partners get it.
fn normalised(amount: &str) -> Value {
    json!(amount)
}

/// Content that was refused stands all the same.
fn is_executed(world: &World, stored: &Stored) -> bool {
    let rejected = stored.reason.as_deref() == Some("idempotency_key_reused");
    !rejected && books(world, stored).iter().any(|book| book.effects > 0)
}
