//! Callbacks that an operator had sent once more: who and why.

use crate::operator::Operator;
use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::CommandNo;

#[derive(Clone, Debug)]
pub struct Resend {
    pub callback_id: String,
    pub at: DateTime<Utc>,
    pub by: String,
    pub why: String,
}

pub async fn record(pool: &Pool, command: CommandNo, callback_id: &str, operator: Operator<'_>) -> Result<()> {
    let query = sqlx::query!(
        "insert into callback_resends (command, callback_id, resent_by, resent_why) values ($1, $2, $3, $4)",
        command.0,
        callback_id,
        operator.by,
        operator.why
    );
    pool.execute(query).await?;
    Ok(())
}

/// Of one command, oldest first.
pub async fn of(pool: &Pool, command: CommandNo) -> Result<Vec<Resend>> {
    let query = sqlx::query!(
        "select callback_id, resent_at, resent_by, resent_why from callback_resends where command = $1 order by no",
        command.0
    );
    let rows = pool.fetch_all(query).await?;
    let resends = rows.into_iter().map(|row| Resend {
        callback_id: row.callback_id,
        at: row.resent_at,
        by: row.resent_by,
        why: row.resent_why,
    });
    Ok(resends.collect())
}
