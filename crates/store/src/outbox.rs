//! The events that others have yet to be told of: rows of `commands` (their acceptance) and of `events`, by a cursor.
//!
//! A cursor that goes along numbers or times skips what was numbered early and committed late. Each row therefore carries the
//! transaction that wrote it (`xid`), and only those are read that are older than every transaction still under way: below
//! `pg_snapshot_xmin`, nothing can appear any more. Who keeps a transaction open that has written something, in any database
//! of this server, holds up everything behind it.
//!
//! Along transactions the rows of one command need not be in their order: a statement that writes for many commands has drawn
//! its number, waits for the lock of one row, and appends there to what a later transaction has committed meanwhile. So each
//! batch brings along what comes before any of its rows in the trail of that command and behind it on the cursor's way. It is
//! visible to the same snapshot: whoever appends holds the lock under which the row before was committed. The cursor reaches
//! it later all the same, and it is published once more. That is rare, and to look for it costs as much as all the rest: it
//! is done where some row of a batch comes before the one that precedes it.

use crate::commands::{content, kind};
use crate::{Error, Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::content::Content;
use holdfast_domain::trail::Entry;
use holdfast_domain::{CommandId, CommandNo, Kind};
use serde_json::value::RawValue;
use sqlx::types::Json;
use std::fmt;
use uuid::Uuid;

/// A place on the cursor's way. What is published next is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The transaction that wrote the row.
    pub xid: i64,
    pub no: i64,
    pub sequence: i32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { xid, no, sequence } = self;
        write!(f, "{xid}/{no}/{sequence}")
    }
}

/// One row, as far as this version can read it.
#[derive(Clone, Debug)]
pub struct Found {
    pub no: CommandNo,
    /// 0 is the acceptance.
    pub sequence: i32,
    pub id: CommandId,
    /// `None`: it is one of a newer version's.
    pub kind: Option<Kind>,
    /// Where the cursor meets it. `None`: that is yet to come, and something behind it in its trail is read before.
    pub position: Option<Position>,
    /// `None`: a newer version has written it.
    pub written: Option<Written>,
}

/// One row, with all that an event is made of.
#[derive(Clone)]
pub struct Written {
    /// 0 is the acceptance.
    pub sequence: i32,
    pub id: CommandId,
    pub client: String,
    pub kind: Kind,
    pub key: String,
    /// `None`: it is no longer kept.
    pub content: Option<Content>,
    pub traceparent: Option<String>,
    pub accepted_at: DateTime<Utc>,
    pub at: DateTime<Utc>,
    /// What happened; nothing else than the acceptance at sequence 0.
    pub entries: Vec<Entry>,
    /// The row before, unless that was the acceptance.
    pub before: Option<Vec<Entry>>,
    /// Of a refund, in minor units: what the step `record` has found out.
    pub refund: Option<(i64, String)>,
}

/// Without what its client has written.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, sequence, .. } = self;
        f.debug_struct("Written").field("id", id).field("sequence", sequence).finish_non_exhaustive()
    }
}

/// What is published next.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Each command's in their order.
    pub rows: Vec<Found>,
    /// Where the cursor stands when all of them are published, if it has moved.
    pub end: Option<Position>,
    /// There was more than the limit.
    pub is_full: bool,
    /// Of what was read, in bytes, about.
    pub size: usize,
    /// Of the server, which a standby that takes over counts on. `None`: there was nothing.
    pub timeline: Option<i64>,
}

struct Row {
    xid: Option<i64>,
    no: i64,
    sequence: i32,
    early: bool,
    id: Uuid,
    client: String,
    kind: i16,
    key: String,
    body: String,
    traceparent: Option<String>,
    accepted_at: DateTime<Utc>,
    at: DateTime<Utc>,
    entries: Option<Json<Box<RawValue>>>,
    before: Option<Json<Box<RawValue>>>,
    amount: Option<i64>,
    currency: Option<String>,
    /// The transaction of the row before.
    before_xid: Option<i64>,
    timeline: i64,
}

/// The second half of every way to read rows. The first half is a CTE `r (xid, no, sequence, early, at, data)`; `early` are
/// those that the cursor has yet to reach, and of an acceptance there is neither time nor data. Rows are looked up one by one
/// (`limit 1`), whatever the planner thinks of the size of a table on the day on which it makes the plan, and only where
/// there can be one.
macro_rules! read {
    ($first:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            Row,
            $first
                + r#"
               select r.xid::text::bigint as xid, r.no as "no!", r.sequence as "sequence!", r.early as "early!", c.id as "id!",
                      coalesce(k.name, c.client::text) as "client!", c.kind as "kind!", c.key as "key!", c.body as "body!",
                      c.traceparent as "traceparent?", c.created_at as "accepted_at!",
                      coalesce(r.at, c.created_at) as "at!", r.data as "entries?: Json<Box<RawValue>>",
                      p.data as "before?: Json<Box<RawValue>>",
                      f.amount as "amount?", f.currency as "currency?", null::bigint as before_xid,
                      (select holdfast_timeline()) as "timeline!"
                 from r
                cross join lateral (select * from commands c where c.no = r.no limit 1) c
                 left join clients k on k.no = c.client
                 left join lateral (
                        select * from events e
                         where r.sequence > 1 and e.no = r.no and e.sequence = r.sequence - 1 and e.attempt = 0
                         limit 1) p on true
                 left join lateral (select * from refunds f where c.kind = 2 and f.no = r.no limit 1) f on true
                order by r.no, r.sequence"#,
            $($argument),+
        )
    };
}

/// What is behind this place, at most `limit` rows and what must come before them.
pub async fn batch(pool: &Pool, after: Position, limit: i64) -> Result<Batch> {
    let mut rows = straight_on(pool, after, limit).await?;
    if overtakes(&rows) {
        rows = with_what_precedes(pool, after, limit).await?;
    }
    let (size, timeline) = (rows.iter().map(Row::size).sum(), rows.first().map(|row| row.timeline));
    let rows: Vec<_> = rows.into_iter().map(Row::found).collect();
    let reached = rows.iter().filter_map(|row| row.position);
    Ok(Batch { end: reached.clone().max(), is_full: reached.count() as i64 >= limit, rows, size, timeline })
}

/// Whether the cursor comes to one of these before it has come to the row that precedes it.
fn overtakes(rows: &[Row]) -> bool {
    let last = rows.iter().filter_map(|row| Some((row.xid?, row.no, row.sequence))).max();
    let before = |row: &Row| Some((row.before_xid?, row.no, row.sequence - 1));
    rows.iter().any(|row| before(row).is_some_and(|before| Some(before) > last))
}

/// At most `limit` rows, as the cursor comes to them. With the transaction of the row that precedes each.
async fn straight_on(pool: &Pool, after: Position, limit: i64) -> Result<Vec<Row>> {
    let query = sqlx::query_as!(
        Row,
        r#"select b.xid::text::bigint as xid, b.no as "no!", b.sequence as "sequence!", false as "early!",
                  coalesce(b.id, c.id) as "id!", coalesce(k.name, coalesce(b.client, c.client)::text) as "client!",
                  coalesce(b.kind, c.kind) as "kind!", coalesce(b.key, c.key) as "key!",
                  coalesce(b.body, c.body) as "body!", coalesce(b.traceparent, c.traceparent) as traceparent,
                  coalesce(c.created_at, b.at) as "accepted_at!", b.at as "at!", b.data as "entries?: Json<Box<RawValue>>",
                  p.data as "before?: Json<Box<RawValue>>", f.amount as "amount?", f.currency as "currency?",
                  coalesce(p.xid, case when b.sequence = 1 then c.xid end)::text::bigint as before_xid,
                  (select holdfast_timeline()) as "timeline!"
             from (
                    select *
                      from ((select c.xid, c.no, 0 as sequence, c.created_at as at, null::jsonb as data,
                                    c.id, c.client, c.kind, c.key, c.body, c.traceparent
                               from commands c
                              where (c.xid, c.no) > ($1::text::xid8, $2::bigint)
                                and c.xid < (select pg_snapshot_xmin(pg_current_snapshot()))
                              order by c.xid, c.no
                              limit $4)
                            union all
                            (select e.xid, e.no, e.sequence, e.at, e.data, null, null, null, null, null, null
                               from events e
                              where (e.xid, e.no, e.sequence) > ($1::text::xid8, $2::bigint, $3::int) and e.attempt = 0
                                and e.xid < (select pg_snapshot_xmin(pg_current_snapshot()))
                              order by e.xid, e.no, e.sequence
                              limit $4)) u
                     order by xid, no, sequence
                     limit $4) b
             left join lateral (select * from commands c where b.sequence > 0 and c.no = b.no limit 1) c on true
             left join clients k on k.no = coalesce(b.client, c.client)
             left join lateral (
                    select * from events e
                     where b.sequence > 1 and e.no = b.no and e.sequence = b.sequence - 1 and e.attempt = 0
                     limit 1) p on true
             left join lateral (
                    select * from refunds f where coalesce(b.kind, c.kind) = 2 and f.no = b.no limit 1) f on true"#,
        after.xid.to_string(),
        after.no,
        after.sequence,
        limit
    );
    let mut rows = pool.fetch_all(query).await?;
    // Cheaper than by Postgres, which has other things to do.
    rows.sort_unstable_by_key(|row| (row.no, row.sequence));
    Ok(rows)
}

/// The same with what must come before them.
async fn with_what_precedes(pool: &Pool, after: Position, limit: i64) -> Result<Vec<Row>> {
    let query = read!(
        r#"with b as materialized (
             select xid, no, sequence, at, data
               from ((select c.xid, c.no, 0 as sequence, null::timestamptz as at, null::jsonb as data
                        from commands c
                       where (c.xid, c.no) > ($1::text::xid8, $2::bigint)
                         and c.xid < (select pg_snapshot_xmin(pg_current_snapshot()))
                       order by c.xid, c.no
                       limit $4)
                     union all
                     (select e.xid, e.no, e.sequence, e.at, e.data
                        from events e
                       where (e.xid, e.no, e.sequence) > ($1::text::xid8, $2::bigint, $3::int) and e.attempt = 0
                         and e.xid < (select pg_snapshot_xmin(pg_current_snapshot()))
                       order by e.xid, e.no, e.sequence
                       limit $4)) u
              order by xid, no, sequence
              limit $4
           ),
           l as materialized (
             select xid, no, sequence from b order by xid desc, no desc, sequence desc limit 1
           ),
           m as materialized (
             select no, max(sequence) as sequence from b group by no
           ),
           r as (
             select xid, no, sequence, false as early, at, data from b
              union all
             -- Written before one of those, by a transaction with a higher number: it may even be above what is read.
             select e.xid, e.no, e.sequence, true, e.at, e.data
               from l
              cross join m
              cross join lateral (
                      select * from events e
                       where m.sequence > 1 and e.no = m.no and e.sequence < m.sequence and e.attempt = 0
                      offset 0) e
              where (e.xid, e.no, e.sequence) > (l.xid, l.no, l.sequence)
              union all
             select c.xid, c.no, 0, true, null, null
               from l
              cross join m
              cross join lateral (select * from commands c where c.no = m.no limit 1) c
              where m.sequence > 0 and (c.xid, c.no, 0) > (l.xid, l.no, l.sequence)
           )"#,
        after.xid.to_string(),
        after.no,
        after.sequence,
        limit
    );
    pool.fetch_all(query).await
}

/// A stretch of time, for a replay.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// Inclusive.
    pub from: DateTime<Utc>,
    /// Exclusive.
    pub to: DateTime<Utc>,
    pub kind: Option<Kind>,
}

/// What was written in this time about these commands. Those whose payload is no longer kept have nothing to tell.
pub async fn written(pool: &Pool, nos: &[CommandNo], stretch: Stretch) -> Result<Vec<Found>> {
    let nos: Vec<i64> = nos.iter().map(|no| no.0).collect();
    let query = read!(
        r#"with n as materialized (
             select c.no, c.created_at
               from unnest($1::bigint[]) n(no)
              cross join lateral (select * from commands c where c.no = n.no limit 1) c
              where c.body <> '' and ($4::smallint is null or c.kind = $4) and c.created_at < $3::timestamptz
           ),
           r as (
             select null::xid8 as xid, no, 0 as sequence, false as early, null::timestamptz as at, null::jsonb as data
               from n
              where created_at >= $2::timestamptz
              union all
             select null::xid8, e.no, e.sequence, false, e.at, e.data
               from n
              cross join lateral (select * from events e where e.no = n.no and e.attempt = 0 offset 0) e
              where e.at >= $2::timestamptz and e.at < $3::timestamptz
           )"#,
        &nos,
        stretch.from,
        stretch.to,
        stretch.kind.map(Kind::code)
    );
    Ok(pool.fetch_all(query).await?.into_iter().map(Row::found).collect())
}

/// The numbers of the next commands behind `after`, none above `last`.
pub async fn numbers(pool: &Pool, after: CommandNo, last: CommandNo, limit: i64) -> Result<Vec<CommandNo>> {
    let query =
        sqlx::query!("select no from commands where no > $1 and no <= $2 order by no limit $3", after.0, last.0, limit);
    Ok(pool.fetch_all(query).await?.into_iter().map(|row| CommandNo(row.no)).collect())
}

/// The last command before the first that was accepted at this time or later, by halving: numbers grow with time, but for
/// what was accepted while Postgres was down.
pub async fn before(pool: &Pool, time: DateTime<Utc>) -> Result<CommandNo> {
    let row = pool.fetch_one(sqlx::query!(r#"select coalesce(max(no), 0) as "last!" from commands"#)).await?;
    // Everything up to `low` is too early, and nothing above `high`.
    let (mut low, mut high) = (0, row.last);
    while low < high {
        let middle = low + (high - low) / 2 + 1;
        let query = sqlx::query!(
            r#"select no, created_at < $2 as "is_early!" from commands where no <= $1 order by no desc limit 1"#,
            middle,
            time
        );
        match pool.fetch_optional(query).await? {
            Some(found) if found.is_early => low = middle,
            Some(found) => high = (found.no - 1).max(low),
            None => low = middle,
        }
    }
    Ok(CommandNo(low))
}

impl Row {
    fn size(&self) -> usize {
        let texts = [&self.entries, &self.before].map(|json| json.as_ref().map_or(0, |json| json.get().len()));
        size_of::<Self>() + self.client.len() + self.key.len() + self.body.len() + texts.into_iter().sum::<usize>()
    }

    fn found(self) -> Found {
        let Self { no, sequence, .. } = self;
        Found {
            no: CommandNo(no),
            sequence,
            id: CommandId(self.id),
            kind: kind(self.kind).ok(),
            position: self.xid.filter(|_| !self.early).map(|xid| Position { xid, no, sequence }),
            written: self.written().ok(),
        }
    }

    fn written(self) -> Result<Written> {
        let (refund, kind) = (self.amount.zip(self.currency), kind(self.kind)?);
        let is_kept = !self.body.is_empty();
        Ok(Written {
            sequence: self.sequence,
            id: CommandId(self.id),
            client: self.client,
            kind,
            key: self.key,
            content: is_kept.then(|| content(kind, &self.body)).transpose()?,
            traceparent: self.traceparent,
            accepted_at: self.accepted_at,
            at: self.at,
            entries: self.entries.map(entries).transpose()?.unwrap_or_default(),
            before: self.before.map(entries).transpose()?,
            refund,
        })
    }
}

fn entries(data: Json<Box<RawValue>>) -> Result<Vec<Entry>> {
    serde_json::from_str(data.get()).map_err(|_| Error::Unreadable { what: "event" })
}
