//! How commands ended. Written by `wakeups::finish`, in the statement that ends the run.

use crate::commands::status;
use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::progress::Progress;
use holdfast_domain::status::Reason;
use holdfast_domain::{CommandNo, Status};

use sqlx::types::Json;

#[derive(Clone, Debug)]
pub struct Ended {
    pub status: Status,
    pub reason: Option<Reason>,
    pub progress: Progress,
    pub sequence: i32,
    pub finished_at: DateTime<Utc>,
}

pub async fn get(pool: &Pool, no: CommandNo) -> Result<Option<Ended>> {
    let query = sqlx::query!(
        r#"select status, reason, detail, progress as "progress: Json<Progress>", sequence, finished_at
             from outcomes
            where no = $1"#,
        no.0
    );
    let row = pool.fetch_optional(query).await?;
    let Some(row) = row else { return Ok(None) };
    let reason = row.reason.map(|code| Reason { code, detail: row.detail.unwrap_or_default() });
    Ok(Some(Ended {
        status: status(Some(row.status))?,
        reason,
        progress: row.progress.0,
        sequence: row.sequence,
        finished_at: row.finished_at,
    }))
}
