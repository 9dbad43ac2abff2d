//! Has everybody every event, once, and in order? Holdfast's trail says what there was; the services' tables, what they made
//! of it.

use super::services::Service;
use super::{Services, left};
use crate::Arguments;
use crate::clients::Submitted;
use crate::world::World;
use anyhow::Context as _;
use holdfast_app::pause;
use holdfast_devstack::events::NAME;
use holdfast_domain::Kind;
use serde::Serialize;
use sqlx::FromRow;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// With fewer seconds of faults it may be that none hits anybody who has something in hand.
const LONG_ENOUGH_SECONDS: u64 = 60;

/// How many examples are kept of each breach.
const EXAMPLES: usize = 5;

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    accepted: usize,
    orders: usize,
    /// Of all commands, the acceptance included.
    events: i64,
    /// After the healing, until everybody had everything.
    caught_up_after_ms: u128,
    /// What each service was given that had been delivered before …
    redelivered: BTreeMap<&'static str, usize>,
    /// … and whether the run was long enough to require some.
    redeliveries_required: bool,
    /// Each must be zero.
    broken: BTreeMap<String, u64>,
    examples: BTreeMap<String, Vec<String>>,
}

/// A command as Holdfast has it.
#[derive(FromRow)]
struct Told {
    id: String,
    kind: i16,
    status: Option<String>,
    reason: Option<String>,
    last: i64,
}

impl Report {
    pub(crate) fn is_clean(&self) -> bool {
        self.accepted > 0 && self.orders > 0 && self.broken.values().all(|count| *count == 0)
    }

    fn expect(&mut self, holds: bool, rule: String, example: impl FnOnce() -> String) {
        let count = self.broken.entry(rule.clone()).or_insert(0);
        if !holds {
            *count += 1;
            let examples = self.examples.entry(rule).or_default();
            if examples.len() < EXAMPLES {
                examples.push(example());
            }
        }
    }
}

/// Waits until every service has everything, and looks then what it has.
pub(crate) async fn check(
    world: &World,
    services: &Services,
    submitted: &Submitted,
    arguments: &Arguments,
) -> anyhow::Result<Report> {
    let patience = Duration::from_secs(arguments.heal_seconds);
    let (told, caught_up_after, left) = await_all(world, services, patience).await?;
    let redelivered = services.redeliveries().context("count what came again")?;
    let mut report = Report {
        redelivered: redelivered.clone(),
        redeliveries_required: arguments.seconds >= LONG_ENOUGH_SECONDS,
        accepted: submitted.accepted.len(),
        orders: told.iter().filter(|told| told.kind == Kind::Order.code()).count(),
        events: told.iter().map(|told| told.last + 1).sum(),
        caught_up_after_ms: caught_up_after.as_millis(),
        ..Report::default()
    };
    for id in submitted.accepted.keys() {
        report.expect(told.iter().any(|told| told.id == *id), "lost_commands".to_owned(), || id.clone());
    }
    for service in &services.all {
        check_service(&mut report, service, &told).await.with_context(|| format!("check {}", service.name))?;
    }
    report.expect(left.is_none(), "left_over".to_owned(), || left.unwrap_or_default());
    for (name, count) in redelivered {
        let holds = count > 0 || !report.redeliveries_required;
        report.expect(holds, format!("{name}: nothing_came_again"), || "the faults have hit nobody".to_owned());
    }
    for service in &services.all {
        let ends = service.unasked_ends().await;
        report.expect(ends == 0, format!("{}: unasked_ends", service.name), || ends.to_string());
    }
    let over_redis = left::dead_letters(&services.redis_url).await.context("count the dead letters")?;
    let over_sqs = world.local()?.sqs.queue(&format!("{NAME}-dlq")).counts().await.context("count the dead letters")?;
    let dead = (over_redis, over_sqs.waiting + over_sqs.in_flight);
    report.expect(dead == (0, 0), "dead_letters".to_owned(), || format!("(redis, sqs): {dead:?}"));
    Ok(report)
}

/// Until every service has everything that there is, and nothing is on its way any more, which could be handled once more.
/// Answers what there is, how long it took, and what was on its way after `patience`.
async fn await_all(
    world: &World,
    services: &Services,
    patience: Duration,
) -> anyhow::Result<(Vec<Told>, Duration, Option<String>)> {
    let started = Instant::now();
    loop {
        let told = told(world).await.context("read what there was")?;
        let is_over = started.elapsed() >= patience || world.is_stopping();
        let caught_up = all_caught_up(services, &told).await;
        if is_over || caught_up {
            let left = left::left_over(world, services).await.unwrap_or_else(|error| Some(format!("{error:#}")));
            if is_over || left.is_none() {
                return Ok((told, started.elapsed(), left));
            }
        }
        services.keep_running().await?;
        pause(Duration::from_millis(200)).await;
    }
}

async fn told(world: &World) -> sqlx::Result<Vec<Told>> {
    let sql = "select c.id::text as id, c.kind, o.status, o.reason,
                      coalesce((select max(e.sequence)::bigint from events e where e.no = c.no and e.attempt = 0), 0) as last
                 from commands c
                 left join outcomes o on o.no = c.no
                where c.client = any($1)";
    sqlx::query_as(sql).bind(world.client_nos()).fetch_all(&world.pool).await
}

async fn all_caught_up(services: &Services, told: &[Told]) -> bool {
    for service in &services.all {
        let Ok(seen) = seen(service).await else { return false };
        if !told.iter().all(|told| seen.get(&told.id) >= Some(&told.last)) {
            return false;
        }
    }
    true
}

async fn seen(service: &Service) -> sqlx::Result<HashMap<String, i64>> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("select subject, last from holdfast_seen").fetch_all(&service.pool).await?;
    Ok(rows.into_iter().collect())
}

async fn check_service(report: &mut Report, service: &Service, told: &[Told]) -> sqlx::Result<()> {
    let rule = |what: &str| format!("{}: {what}", service.name);
    let seen = seen(service).await?;
    let trails = trails(service).await?;
    let orders: HashMap<String, String> =
        sqlx::query_as("select id, status from orders").fetch_all(&service.pool).await?.into_iter().collect();
    for Told { id, kind, status, reason, last } in told {
        let handled = seen.get(id).copied();
        // More has happened since, where the world has not settled.
        report.expect(handled >= Some(*last), rule("not_handled"), || format!("{id}: {handled:?} of {last}"));
        if *kind != Kind::Order.code() {
            continue;
        }
        let trail = trails.get(id).cloned().unwrap_or_default();
        let once_and_in_order: Vec<i64> = (0..trail.len() as i64).collect();
        report.expect(trail == once_and_in_order, rule("doubled_or_out_of_order"), || format!("{id}: {trail:?}"));
        // What is rejected late ends with an event of another type.
        if reason.as_deref() != Some("idempotency_key_reused") {
            report.expect(trail.len() as i64 > *last, rule("effects_missing"), || format!("{id}: {trail:?}"));
            let same = status.is_none() || orders.get(id) == status.as_ref();
            report.expect(same, rule("another_status"), || format!("{id}: {status:?}, {:?}", orders.get(id)));
        }
    }
    let skipped: i64 = sqlx::query_scalar("select count(*) from holdfast_skipped").fetch_one(&service.pool).await?;
    report.expect(skipped == 0, rule("overtaken"), || format!("{skipped} subjects"));
    Ok(())
}

/// Sequences of each order in the order of their effects.
async fn trails(service: &Service) -> sqlx::Result<HashMap<String, Vec<i64>>> {
    let sql = "select order_id, array_agg(sequence order by position) from order_events group by order_id";
    let rows: Vec<(String, Vec<i64>)> = sqlx::query_as(sql).fetch_all(&service.pool).await?;
    Ok(rows.into_iter().collect())
}
