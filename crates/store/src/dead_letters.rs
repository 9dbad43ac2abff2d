//! Messages that nobody could act on, kept with the reason.

use crate::Result;
use sqlx::PgPool;

pub struct DeadLetter<'a> {
    pub queue: &'a str,
    pub message_id: &'a str,
    pub body: &'a str,
    pub cause: &'a str,
}

/// Stored before the message is deleted; storing it twice is harmless.
pub async fn store(pool: &PgPool, letter: DeadLetter<'_>) -> Result<()> {
    sqlx::query!(
        "insert into dead_letters (queue, message_id, body, cause) values ($1, $2, $3, $4) on conflict do nothing",
        letter.queue,
        letter.message_id,
        letter.body,
        letter.cause
    )
    .execute(pool)
    .await?;
    Ok(())
}
