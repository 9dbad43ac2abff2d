//! Messages that nobody could act on, kept with the reason.

use crate::{Pool, Result};

pub struct DeadLetter<'a> {
    pub queue: &'a str,
    pub message_id: &'a str,
    pub body: &'a str,
    pub cause: &'a str,
}

/// Stored before the message is deleted; storing it twice is harmless.
pub async fn store(pool: &Pool, letter: DeadLetter<'_>) -> Result<()> {
    let query = sqlx::query!(
        "insert into dead_letters (queue, message_id, body, cause) values ($1, $2, $3, $4) on conflict do nothing",
        letter.queue,
        letter.message_id,
        letter.body,
        letter.cause
    );
    pool.execute(query).await?;
    Ok(())
}
