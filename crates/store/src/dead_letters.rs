//! Messages that nobody could act on, kept with the reason until an operator has settled them.

use crate::commands::kind;
use crate::operator::Operator;
use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::{CommandId, Kind};
use std::time::Duration;
use uuid::Uuid;

pub struct DeadLetter<'a> {
    pub queue: &'a str,
    pub message_id: &'a str,
    pub body: &'a str,
    pub cause: &'a str,
    pub kind: Option<Kind>,
    pub command: Option<CommandId>,
    pub receive_count: u32,
}

/// Stored before the message is deleted; storing it twice is harmless.
pub async fn store(pool: &Pool, letter: DeadLetter<'_>) -> Result<()> {
    let query = sqlx::query!(
        "insert into dead_letters (queue, message_id, body, cause, kind, command_id, receive_count)
         values ($1, $2, $3, $4, $5, $6, $7)
             on conflict do nothing",
        letter.queue,
        letter.message_id,
        letter.body,
        letter.cause,
        letter.kind.map(Kind::code),
        letter.command.map(|id| id.0),
        i32::try_from(letter.receive_count).unwrap_or(i32::MAX),
    );
    pool.execute(query).await?;
    Ok(())
}

/// Which letters; every condition must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub nos: Option<Vec<i64>>,
    pub kind: Option<Kind>,
    /// A part of the cause.
    pub cause: Option<String>,
    pub older_than: Option<Duration>,
    /// Those that are settled too.
    pub settled: bool,
    pub limit: i64,
}

#[derive(Clone)]
pub struct Kept {
    pub no: i64,
    pub queue: String,
    pub body: String,
    pub cause: String,
    pub kind: Option<Kind>,
    pub command: Option<CommandId>,
    pub receive_count: i32,
    /// How often the same body was sent again.
    pub redrives: i64,
    pub state: String,
    pub received_at: DateTime<Utc>,
    pub settled_by: Option<String>,
    pub settled_why: Option<String>,
}

/// Oldest first.
pub async fn find(pool: &Pool, filter: &Filter) -> Result<Vec<Kept>> {
    let query = sqlx::query_as!(
        Row,
        r#"select no, queue, body, cause, kind, command_id, receive_count, state, received_at, settled_by, settled_why,
                (select count(*) from dead_letters same
                  where md5(same.body) = md5(d.body) and same.state = 'redriven') as "redrives!"
           from dead_letters d
          where ($1::bigint[] is null or no = any($1))
            and ($2::smallint is null or kind = $2)
            and ($3::text is null or strpos(cause, $3) > 0)
            and ($4::float8 is null or received_at < holdfast_now() - make_interval(secs => $4))
            and ($5 or state = 'kept')
          order by no
          limit $6"#,
        filter.nos.as_deref(),
        filter.kind.map(Kind::code),
        filter.cause,
        filter.older_than.map(|age| age.as_secs_f64()),
        filter.settled,
        filter.limit,
    );
    let rows = pool.fetch_all(query).await?;
    rows.into_iter().map(Row::kept).collect()
}

/// As every query for letters has it.
pub(crate) struct Row {
    pub(crate) no: i64,
    pub(crate) queue: String,
    pub(crate) body: String,
    pub(crate) cause: String,
    pub(crate) kind: Option<i16>,
    pub(crate) command_id: Option<Uuid>,
    pub(crate) receive_count: i32,
    pub(crate) redrives: i64,
    pub(crate) state: String,
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) settled_by: Option<String>,
    pub(crate) settled_why: Option<String>,
}

impl Row {
    pub(crate) fn kept(self) -> Result<Kept> {
        Ok(Kept {
            no: self.no,
            queue: self.queue,
            body: self.body,
            cause: self.cause,
            kind: self.kind.map(kind).transpose()?,
            command: self.command_id.map(CommandId),
            receive_count: self.receive_count,
            redrives: self.redrives,
            state: self.state,
            received_at: self.received_at,
            settled_by: self.settled_by,
            settled_why: self.settled_why,
        })
    }
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    Redriven,
    Discarded,
}

/// Settles those of these letters that nobody has settled yet. Answers how many.
pub async fn settle(pool: &Pool, nos: &[i64], settled: Settled, operator: Operator<'_>) -> Result<u64> {
    let state = match settled {
        Settled::Redriven => "redriven",
        Settled::Discarded => "discarded",
    };
    let query = sqlx::query!(
        "update dead_letters
            set state = $2, settled_at = holdfast_now(), settled_by = $3, settled_why = $4
          where no = any($1) and state = 'kept'",
        nos,
        state,
        operator.by,
        operator.why
    );
    Ok(pool.execute(query).await?.rows_affected())
}
