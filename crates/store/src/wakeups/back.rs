//! Claims that are given back.

use super::claim::Claim;
use crate::{Pool, Result};
use std::time::Duration;

/// Notes that this claim is carried alone in its process. Answers how often that was so; `None`: the claim is lost.
pub async fn go_alone(pool: &Pool, claim: Claim) -> Result<Option<i16>> {
    let query = sqlx::query!(
        "update wakeups set alone = least(alone + 1, 1000)
          where no = $1 and lane + 0 = $2::smallint and token = $3
         returning alone",
        claim.no.0,
        claim.lane.code(),
        claim.token.0
    );
    Ok(pool.fetch_optional(query).await?.map(|row| row.alone))
}

/// A claim that is given back without any blame.
#[derive(Clone, Copy, Debug)]
pub struct PutBack {
    pub claim: Claim,
    /// Seen at the claim: whoever knocked since is heard at once.
    pub nudge: i32,
    pub wait: Duration,
    /// It had been counted by [`go_alone`].
    pub alone: bool,
    /// Something was done with it of which nothing is written. Else what was in doubt before it is so after it, and no more.
    pub in_doubt: bool,
}

pub async fn put_back(pool: &Pool, back: PutBack) -> Result<()> {
    let PutBack { claim, nudge, wait, alone, in_doubt } = back;
    let query = sqlx::query!(
        "update wakeups
            set token = null, worker = null, lease_until = null, publishes = 0,
                dirty = least(dirty + case when $7 then 1 else 0 end, 1000),
                alone = case when $6 then greatest(alone - 1, 0) else alone end,
                due_at = holdfast_now() + make_interval(secs => case when nudge = $5 then $4::float8 else 0 end),
                run_at = holdfast_now() + make_interval(secs => case when nudge = $5 then $4::float8 else 0 end)
          where no = $1 and lane + 0 = $2::smallint and token = $3",
        claim.no.0,
        claim.lane.code(),
        claim.token.0,
        wait.as_secs_f64(),
        nudge,
        alone,
        in_doubt
    );
    pool.execute(query).await?;
    Ok(())
}
