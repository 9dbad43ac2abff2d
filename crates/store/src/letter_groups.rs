//! Dead letters by what befell them, a page at a time.

use crate::commands::kind;
use crate::dead_letters::{Kept, Row};
use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::Kind;

/// Those of one queue with one cause, that nobody has settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub queue: String,
    pub cause: String,
}

#[derive(Clone, Debug)]
pub struct Counted {
    pub group: Group,
    pub kind: Option<Kind>,
    pub count: i64,
    pub oldest: DateTime<Utc>,
    pub youngest: DateTime<Utc>,
}

/// The largest groups first.
pub async fn list(pool: &Pool, limit: i64) -> Result<Vec<Counted>> {
    let query = sqlx::query!(
        r#"select queue, cause, min(kind) as kind, count(*) as "count!", min(received_at) as "oldest!",
                  max(received_at) as "youngest!"
             from dead_letters
            where state = 'kept'
            group by queue, cause
            order by 4 desc, queue, cause
            limit $1"#,
        limit
    );
    let rows = pool.fetch_all(query).await?;
    let counted = rows.into_iter().map(|row| {
        Ok(Counted {
            group: Group { queue: row.queue, cause: row.cause },
            kind: row.kind.map(kind).transpose()?,
            count: row.count,
            oldest: row.oldest,
            youngest: row.youngest,
        })
    });
    counted.collect()
}

/// Letters of a group with higher numbers than `after`, up to `upto`.
pub async fn page(pool: &Pool, group: &Group, after: i64, upto: i64, limit: i64) -> Result<Vec<Kept>> {
    let query = sqlx::query_as!(
        Row,
        r#"select no, queue, body, cause, kind, command_id, receive_count, state, received_at, settled_by, settled_why,
                (select count(*) from dead_letters same
                  where md5(same.body) = md5(d.body) and same.state = 'redriven') as "redrives!"
           from dead_letters d
          where state = 'kept' and queue = $1 and cause = $2 and no > $3 and no <= $4
          order by no
          limit $5"#,
        group.queue,
        group.cause,
        after,
        upto,
        limit
    );
    let rows = pool.fetch_all(query).await?;
    rows.into_iter().map(Row::kept).collect()
}
