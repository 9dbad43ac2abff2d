//! After a restore from a backup.

use crate::{Pool, Result};
use chrono::{DateTime, Utc};

/// Rows of one statement: many of them take longer than a statement may.
const BATCH: i64 = 5_000;

/// What was owed at that time may have been done since, and Postgres knows nothing of it: the next claim of each command
/// doubts it, as after a crash. Returns how many there are. For as long as no worker runs.
pub async fn doubt(pool: &Pool, restored_to: DateTime<Utc>) -> Result<u64> {
    let (mut doubted, mut after) = (0, 0);
    loop {
        let query = sqlx::query!(
            "update wakeups
                set dirty = 1,
                    first_sent_at = coalesce(first_sent_at, $1),
                    status = case status when 'accepted' then 'processing' else status end
              where lane = 0 and token is null and dirty = 0
                and no in (select no
                             from wakeups
                            where lane = 0 and token is null and dirty = 0 and no > $2
                            order by no
                            limit $3)
             returning no",
            restored_to,
            after,
            BATCH
        );
        let rows = pool.fetch_all(query).await?;
        let Some(last) = rows.iter().map(|row| row.no).max() else { return Ok(doubted) };
        doubted += rows.len() as u64;
        after = last;
    }
}
