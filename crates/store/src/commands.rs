//! Accepted commands. Insert-only: never locked, never updated, until `retention` takes their payload away.

use crate::{Error, Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::content::Content;
use holdfast_domain::progress::Progress;
use holdfast_domain::status::{Reason, Step};
use holdfast_domain::trail::Happening;
use holdfast_domain::{ClientNo, Command, CommandId, CommandNo, Kind, Status, Tombstone, json};
use serde_json::Value;
use sqlx::types::Json;
use std::time::Duration;
use uuid::Uuid;

/// A command that this statement inserted, with the wakeup that owes its run.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    pub id: CommandId,
    pub no: CommandNo,
    pub created_at: DateTime<Utc>,
    /// What the publish mark compares with (PROTOCOL 4).
    pub due_at: DateTime<Utc>,
    /// There is nothing left for it to do.
    pub marked: bool,
}

/// A command that was there before.
#[derive(Clone)]
pub struct Existing {
    pub id: CommandId,
    pub client: ClientNo,
    pub kind: Kind,
    pub key: String,
    pub fingerprint: Vec<u8>,
    pub status: Status,
    pub created_at: DateTime<Utc>,
    /// Its payload is no longer kept.
    pub tombstone: Option<Tombstone>,
}

/// Where a command comes from that is written down.
#[derive(Clone, Copy, Debug)]
pub enum Origin {
    /// A request. Its wakeup is due after this time if nobody claims it before.
    Request {
        due_in: Duration,
        /// As if the publish mark had been written already (PROTOCOL 4).
        marked: bool,
    },
    /// A message that carried the whole command: a row may have been lost, and a partner may have answered to it.
    Message,
}

/// Inserts commands and their wakeups. What is not returned was there already, and is read with [`existing`]: the same
/// statement would not see it (PROTOCOL 18).
pub async fn accept(pool: &Pool, commands: &[&Command], origin: Origin) -> Result<Vec<Accepted>> {
    let (due_in, marked, from_message) = match origin {
        Origin::Request { due_in, marked } => (due_in, marked, false),
        Origin::Message => (Duration::ZERO, false, true),
    };
    // Sorted, else two APIs that insert the same ids in another order deadlock.
    let mut commands = commands.to_vec();
    commands.sort_by_key(|command| command.id);
    let ids: Vec<Uuid> = commands.iter().map(|command| command.id.0).collect();
    let clients: Vec<i32> = commands.iter().map(|command| command.client.0).collect();
    let kinds: Vec<i16> = commands.iter().map(|command| command.kind.code()).collect();
    let keys: Vec<&str> = commands.iter().map(|command| command.key.as_str()).collect();
    let header_keys: Vec<Option<&str>> = commands.iter().map(|command| command.header_key.as_deref()).collect();
    let fingerprints: Vec<&[u8]> = commands.iter().map(|command| command.fingerprint.as_slice()).collect();
    let bodies: Vec<&str> = commands.iter().map(|command| command.body.as_str()).collect();
    let accepted_at: Vec<Option<DateTime<Utc>>> = commands.iter().map(|command| command.accepted_at).collect();
    let traceparents: Vec<Option<&str>> = commands.iter().map(|command| command.traceparent.as_deref()).collect();
    let query = sqlx::query!(
        r#"with c as (
             insert into commands (id, client, kind, key, header_key, fingerprint, body, traceparent, created_at)
             select id, client, kind, key, header_key, fingerprint, body, traceparent,
                    -- by the clock of who accepted it while we could not be asked
                    least(accepted_at, holdfast_now())
               from unnest($1::uuid[], $2::int[], $3::smallint[], $4::text[], $5::text[], $6::bytea[],
                           $7::text[], $8::text[], $10::timestamptz[])
                 as a(id, client, kind, key, header_key, fingerprint, body, traceparent, accepted_at)
              order by 1
                 on conflict (id) do nothing
             returning no, id, kind, created_at
           ),
           w as (
             insert into wakeups (no, lane, kind, status, due_at, publishes, nudge)
             select no, 0, kind, 'accepted', holdfast_now() + make_interval(secs => $9), $12::bool::int,
                    case when $11 then (select least(count(*), 1)::int from partner_updates u where u.command_id = c.id)
                         else 0 end
               from c
           )
           select id as "id!", no as "no!", created_at as "created_at!",
                  holdfast_now() + make_interval(secs => $9) as "due_at!"
             from c"#,
        &ids,
        &clients,
        &kinds,
        &keys as &[&str],
        &header_keys as &[Option<&str>],
        &fingerprints as &[&[u8]],
        &bodies as &[&str],
        &traceparents as &[Option<&str>],
        due_in.as_secs_f64(),
        &accepted_at as &[Option<DateTime<Utc>>],
        from_message,
        marked,
    );
    let rows = pool.fetch_all(query).await?;
    let accepted = rows.into_iter().map(|row| Accepted {
        id: CommandId(row.id),
        no: CommandNo(row.no),
        created_at: row.created_at,
        due_at: row.due_at,
        marked,
    });
    Ok(accepted.collect())
}

/// Writes a request down that came too late: under its key stands other content. It has ended as it begins; its client is
/// told if it has an endpoint, or if the request `names_endpoint`. Writing it twice is harmless.
pub async fn reject(pool: &Pool, rejected: &Command, conflicts_with: CommandId, names_endpoint: bool) -> Result<()> {
    let detail = format!("{conflicts_with} stands under this key, with other content");
    let progress = Progress { conflicts_with: Some(conflicts_with), ..Progress::default() };
    let happening = serde_json::to_value(Happening::Rejected { conflicts_with }).expect("an entry always serialises");
    let query = sqlx::query!(
        r#"with c as (
             insert into commands (id, client, kind, key, header_key, fingerprint, body, traceparent, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, least($9, holdfast_now()))
                 on conflict (id) do nothing
             returning no, id, client, kind, key, fingerprint, body, created_at
           ),
           n as (
             select *, holdfast_acceptance_hash(no, id, client, kind, created_at, fingerprint, key, body) as previous,
                    jsonb_build_array($12::jsonb || jsonb_build_object('at', holdfast_now())) as trail
               from c
           ),
           h as (
             select *, holdfast_event_hash(previous, no, 1, 0::smallint, holdfast_now(), trail) as hash from n
           ),
           o as (
             insert into outcomes (no, status, reason, detail, progress, sequence, client, kind, created_at, chain)
             select no, 'failed', 'idempotency_key_reused', $10, $11, 1, client, kind, created_at, hash from h
           ),
           e as (
             insert into events (no, sequence, at, data, previous, hash)
             select no, 1, holdfast_now(), trail, previous, hash from h
           )
           insert into wakeups (no, lane, kind, due_at, sequence)
           select c.no, 1, c.kind, holdfast_now(), 1
             from c
             join clients k on k.no = c.client
            where $13 or k.callback_url is not null"#,
        rejected.id.0,
        rejected.client.0,
        rejected.kind.code(),
        rejected.key,
        rejected.header_key,
        &rejected.fingerprint[..],
        rejected.body,
        rejected.traceparent,
        rejected.accepted_at,
        detail,
        Json(progress) as Json<Progress>,
        Json(happening) as Json<Value>,
        names_endpoint,
    );
    pool.execute(query).await?;
    Ok(())
}

/// What stands under these ids, in no particular order.
pub async fn existing(pool: &Pool, ids: &[CommandId]) -> Result<Vec<Existing>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let query = sqlx::query!(
        r#"select c.id as "id!", c.client as "client!", c.kind as "kind!", c.key as "key!", c.fingerprint as "fingerprint!",
                  c.created_at as "created_at!", coalesce(o.status, w.status) as status,
                  o.finished_at as "finished_at?", o.expunged_at as "expunged_at?"
             from commands c
             left join outcomes o on o.no = c.no
             left join wakeups w on w.no = any(array[c.no]) and w.lane + 0 = 0
            where c.id = any($1)"#,
        &ids
    );
    let rows = pool.fetch_all(query).await?;
    let existing = rows.into_iter().map(|row| {
        let (id, kind, status) = (CommandId(row.id), kind(row.kind)?, status(row.status)?);
        Ok(Existing {
            id,
            client: ClientNo(row.client),
            kind,
            key: row.key,
            fingerprint: row.fingerprint,
            status,
            created_at: row.created_at,
            tombstone: tombstone(id, kind, status, row.finished_at.zip(row.expunged_at)),
        })
    });
    existing.collect()
}

/// A command and where it stands, as its client may see it.
#[derive(Clone)]
pub struct Current {
    pub no: CommandNo,
    pub kind: Kind,
    pub body: String,
    pub created_at: DateTime<Utc>,
    pub status: Status,
    pub step: Option<Step>,
    pub reason: Option<Reason>,
    pub progress: Progress,
    pub sequence: i32,
    pub finished_at: Option<DateTime<Utc>>,
    /// Its payload is no longer kept: neither body nor progress can be read.
    pub tombstone: Option<Tombstone>,
}

/// Reads one command of this client. Another client's command does not exist here.
pub async fn current(pool: &Pool, client: ClientNo, kind: Kind, id: CommandId) -> Result<Option<Current>> {
    let query = sqlx::query!(
        r#"select c.no as "no!", c.body as "body!", c.created_at as "created_at!",
                  coalesce(o.status, w.status) as status, w.step as "step?", o.reason as "reason?", o.detail as "detail?",
                  coalesce(o.progress, w.progress) as "progress: Json<Progress>",
                  coalesce(o.sequence, w.sequence) as "sequence!", o.finished_at as "finished_at?",
                  o.expunged_at as "expunged_at?", c.client as "client!", c.kind as "kind!"
             from commands c
             left join outcomes o on o.no = c.no
             left join wakeups w on w.no = any(array[c.no]) and w.lane + 0 = 0
            where c.id = $1"#,
        id.0
    );
    let row = pool.fetch_optional(query).await?;
    // Not in the query: a plan made while the table was empty could read all of this client's commands by their index.
    let Some(row) = row.filter(|row| row.client == client.0 && row.kind == kind.code()) else { return Ok(None) };
    let step = match row.step.as_deref() {
        Some(name) if row.finished_at.is_none() => Some(step(name)?),
        _ => None,
    };
    let reason = row.reason.map(|code| Reason { code, detail: row.detail.unwrap_or_default() });
    let status = status(row.status)?;
    Ok(Some(Current {
        no: CommandNo(row.no),
        kind,
        body: row.body,
        created_at: row.created_at,
        status,
        step,
        reason,
        progress: row.progress.map(|json| json.0).unwrap_or_default(),
        sequence: row.sequence,
        finished_at: row.finished_at,
        tombstone: tombstone(id, kind, status, row.finished_at.zip(row.expunged_at)),
    }))
}

/// `times`: of its end, and of the moment from which its payload was no longer kept, if that has come.
fn tombstone(
    id: CommandId,
    kind: Kind,
    status: Status,
    times: Option<(DateTime<Utc>, DateTime<Utc>)>,
) -> Option<Tombstone> {
    times.map(|(finished_at, archived_at)| Tombstone { id, kind, status, finished_at, archived_at })
}

/// What changes whenever the representation of a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    pub sequence: i32,
    pub status: Status,
}

impl Version {
    /// Every write raises the sequence; the first claim alone changes the status without one. What somebody else's poll
    /// saw last may be older than what the caller has read since.
    pub fn is_newer_than(self, known: Self) -> bool {
        let order = |version: Self| (version.sequence, version.status != Status::Accepted);
        order(self) > order(known)
    }
}

/// The present versions of many commands, for everybody who waits for one of them.
pub async fn versions(pool: &Pool, nos: &[CommandNo]) -> Result<Vec<(CommandNo, Version)>> {
    let nos: Vec<i64> = nos.iter().map(|no| no.0).collect();
    let query = sqlx::query!(
        r#"select n.no as "no!", coalesce(o.status, w.status) as status, coalesce(o.sequence, w.sequence) as "sequence!"
             from unnest($1::bigint[]) n(no)
             left join outcomes o on o.no = n.no
             left join wakeups w on w.no = any(array[n.no]) and w.lane + 0 = 0
            where o.no is not null or w.no is not null"#,
        &nos
    );
    let rows = pool.fetch_all(query).await?;
    let version = rows
        .into_iter()
        .map(|row| Ok((CommandNo(row.no), Version { sequence: row.sequence, status: status(row.status)? })));
    version.collect()
}

/// Which of these ids have a row.
pub async fn known(pool: &Pool, ids: &[CommandId]) -> Result<Vec<CommandId>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let known = pool.fetch_all(sqlx::query!("select id from commands where id = any($1)", &ids)).await?;
    Ok(known.into_iter().map(|row| CommandId(row.id)).collect())
}

/// Reads what was accepted.
pub fn content(kind: Kind, body: &str) -> Result<Content> {
    let unreadable = Error::Unreadable { what: "command body" };
    let Ok(body) = json::parse(body.as_bytes()) else { return Err(unreadable) };
    Content::parse(kind, body).map_err(|_| unreadable)
}

pub(crate) fn kind(code: i16) -> Result<Kind> {
    Kind::from_code(code).ok_or(Error::Unreadable { what: "command kind" })
}

pub(crate) fn status(name: Option<String>) -> Result<Status> {
    name.as_deref().and_then(Status::from_name).ok_or(Error::Unreadable { what: "command status" })
}

pub(crate) fn step(name: &str) -> Result<Step> {
    Step::from_name(name).ok_or(Error::Unreadable { what: "command step" })
}

/// Whose a command is, and what it says.
pub struct Owned {
    pub client: ClientNo,
    pub body: String,
}

/// For operators: whichever client's it is.
pub async fn owned(pool: &Pool, no: CommandNo) -> Result<Option<Owned>> {
    let row = pool.fetch_optional(sqlx::query!("select client, body from commands where no = $1", no.0)).await?;
    Ok(row.map(|row| Owned { client: ClientNo(row.client), body: row.body }))
}
