//! Trails as they are stored, for whoever verifies them. Read range by range of the key, each range as of one moment; what
//! is made of them is not decided here.

use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::audit::{Audited, End, Identity, Outcome};
use holdfast_domain::chain::{Acceptance, Row};
use holdfast_domain::{ClientNo, CommandId, CommandNo};
use uuid::Uuid;

/// Which commands; every condition must hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub client: Option<ClientNo>,
    pub id: Option<CommandId>,
    /// Accepted at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Accepted before.
    pub until: Option<DateTime<Utc>>,
}

/// The numbers after `after`, up to `to`.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub after: i64,
    pub to: i64,
}

/// All numbers that have a command or a trail at present, or that of the one command.
pub async fn range(pool: &Pool, id: Option<CommandId>) -> Result<Range> {
    if let Some(id) = id {
        let row = pool.fetch_optional(sqlx::query!("select no from commands where id = $1", id.0)).await?;
        return Ok(row.map_or(Range { after: 0, to: 0 }, |row| Range { after: row.no - 1, to: row.no }));
    }
    let query = sqlx::query!(
        r#"select coalesce(least((select min(no) from commands), (select min(no) from events)), 1) as "first!",
                  coalesce(greatest((select max(no) from commands), (select max(no) from events)), 0) as "last!""#
    );
    let row = pool.fetch_one(query).await?;
    Ok(Range { after: row.first.saturating_sub(1), to: row.last })
}

/// Since when rows are written with hashes.
pub async fn chained_since(pool: &Pool) -> Result<Option<DateTime<Utc>>> {
    let query = sqlx::query!("select installed_on from _sqlx_migrations where description = 'chained events'");
    Ok(pool.fetch_optional(query).await?.map(|row| row.installed_on))
}

/// The commands of this range with their trails, in the order of their numbers.
pub async fn read(pool: &Pool, range: Range, filter: &Filter) -> Result<Vec<Audited>> {
    // One statement: what the outcome says and what the trail holds are of the same moment.
    let query = sqlx::query_as!(
        Stored,
        r#"select c.no as "no!", c.id as "id!", c.client as "client!", c.kind as "kind!", c.created_at as "created_at!",
                  c.fingerprint as "fingerprint!", c.key as "key!", c.body as "body!",
                  o.status as "status?", o.finished_at as "finished_at?",
                  coalesce(o.sequence, w.sequence) as end_sequence,
                  case when o.no is null then w.chain else o.chain end as end_chain,
                  o.expunged_at as archived_at,
                  e.sequences as "sequences!", e.attempts as "attempts!", e.ats as "ats!", e.data as "data!",
                  e.previous as "previous!: Vec<Option<Vec<u8>>>", e.hashes as "hashes!: Vec<Option<Vec<u8>>>"
             from commands c
             left join outcomes o on o.no = c.no
             left join wakeups w on w.no = any(array[c.no]) and w.lane + 0 = 0
            cross join lateral (
                    select coalesce(array_agg(sequence), '{}') as sequences, coalesce(array_agg(attempt), '{}') as attempts,
                           coalesce(array_agg(at), '{}') as ats, coalesce(array_agg(data::text), '{}') as data,
                           coalesce(array_agg(previous), '{}') as previous, coalesce(array_agg(hash), '{}') as hashes
                      from (select * from events where no = c.no order by sequence, attempt) e) e
            where c.no > $1 and c.no <= $2
              and ($3::int is null or c.client = $3)
              and ($4::timestamptz is null or c.created_at >= $4)
              and ($5::timestamptz is null or c.created_at < $5)
            order by c.no"#,
        range.after,
        range.to,
        filter.client.map(|client| client.0),
        filter.since,
        filter.until,
    );
    let rows = pool.fetch_all(query).await?;
    Ok(rows.into_iter().map(Stored::audited).collect())
}

/// Numbers of this range under which there are events, but no command.
pub async fn without_command(pool: &Pool, range: Range) -> Result<Vec<CommandNo>> {
    let query = sqlx::query!(
        "select distinct e.no
           from events e
          where e.no > $1 and e.no <= $2 and not exists (select from commands c where c.no = e.no)
          order by e.no",
        range.after,
        range.to
    );
    Ok(pool.fetch_all(query).await?.into_iter().map(|row| CommandNo(row.no)).collect())
}

struct Stored {
    no: i64,
    id: Uuid,
    client: i32,
    kind: i16,
    created_at: DateTime<Utc>,
    fingerprint: Vec<u8>,
    key: String,
    body: String,
    status: Option<String>,
    finished_at: Option<DateTime<Utc>>,
    end_sequence: Option<i32>,
    end_chain: Option<Vec<u8>>,
    archived_at: Option<DateTime<Utc>>,
    sequences: Vec<i32>,
    attempts: Vec<i16>,
    ats: Vec<DateTime<Utc>>,
    data: Vec<String>,
    previous: Vec<Option<Vec<u8>>>,
    hashes: Vec<Option<Vec<u8>>>,
}

impl Stored {
    fn audited(self) -> Audited {
        let (no, id, created_at) = (CommandNo(self.no), CommandId(self.id), self.created_at);
        let Self { client, kind, fingerprint, key, body, .. } = &self;
        let client = ClientNo(*client);
        let accepted = Acceptance { no, id, client, kind: *kind, created_at, fingerprint, key, body }.hash();
        let outcome = self.status.zip(self.finished_at);
        let outcome = outcome.map(|(status, finished_at)| Outcome { status, finished_at });
        let end = self.end_sequence.map(|sequence| End { sequence, chain: self.end_chain, outcome });
        let places = self.sequences.into_iter().zip(self.attempts).zip(self.ats).zip(self.data);
        let rows =
            places.zip(self.previous).zip(self.hashes).map(|(((((sequence, attempt), at), data), previous), hash)| {
                Row { sequence, attempt, at, data, previous, hash }
            });
        let rows = rows.collect();
        let identity =
            Identity { client, kind: self.kind, key: self.key, fingerprint: self.fingerprint, body: self.body };
        Audited { no, id, created_at, identity, accepted, archived: self.archived_at.is_some(), end, rows }
    }
}
