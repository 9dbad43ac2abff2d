//! The audit trail. Its order is that of time: what is told about an earlier state may come after the run's next write.
//! Appended by the statements in `wakeups`, under the row's lock, each row chained to one before it (see [`chain`]); read
//! here.

use crate::{Pool, Result, chain};
use chrono::{DateTime, Utc};
use holdfast_domain::CommandNo;
use holdfast_domain::chain::Hash;
use holdfast_domain::trail::Entry;

use sqlx::types::Json;

/// What one write appended.
#[derive(Clone, Debug)]
pub struct Appended {
    pub sequence: i32,
    /// Of telling the client the state of that sequence; 0 is the run's own write.
    pub attempt: i16,
    pub at: DateTime<Utc>,
    pub entries: Vec<Entry>,
}

/// The whole trail of a command, oldest first.
pub async fn of(pool: &Pool, no: CommandNo) -> Result<Vec<Appended>> {
    let query = sqlx::query!(
        r#"select sequence, attempt, at, data as "data: Json<Vec<Entry>>"
             from events
            where no = $1
            order by at, sequence, attempt"#,
        no.0
    );
    let rows = pool.fetch_all(query).await?;
    Ok(rows
        .into_iter()
        .map(|row| Appended { sequence: row.sequence, attempt: row.attempt, at: row.at, entries: row.data.0 })
        .collect())
}

/// What the trail holds of telling one state.
#[derive(Clone, Copy, Debug)]
pub struct Attempts {
    pub made: i16,
    /// What the next one follows. `None`: neither the state nor an attempt to tell it has a hash.
    pub last: Option<Hash>,
}

/// The attempts to tell the state of this sequence. Only who has claimed the lane `tell` may build upon them.
pub async fn attempts(pool: &Pool, no: CommandNo, sequence: i32) -> Result<Attempts> {
    let query = sqlx::query!(
        r#"select coalesce(max(attempt), 0::smallint) as "made!",
                  (array_agg(hash order by attempt desc) filter (where hash is not null))[1] as last
             from events
            where no = $1 and sequence = $2"#,
        no.0,
        sequence
    );
    let row = pool.fetch_one(query).await?;
    Ok(Attempts { made: row.made, last: row.last.map(chain::hash).transpose()? })
}
