//! What goes on, for those who look on: nothing here gets slower with the number of commands that have ended.

use crate::{Pool, Result};

/// New commands that are counted at once. Who has not looked for long is told of the others the next time.
const MOST: i64 = 200_000;

/// What is owed of one kind in one lane.
#[derive(Clone, Copy, Debug, Default)]
pub struct Owed {
    pub kind: i16,
    pub lane: i16,
    /// Not before later.
    pub waiting: i64,
    /// At once, and claimed by nobody.
    pub due: i64,
    pub claimed: i64,
    /// Runs that have failed at least twice without any progress.
    pub suspect: i64,
    /// For how long the oldest of those that are due has been so.
    pub oldest_due_s: f64,
}

/// Commands of one kind that were accepted since the last look.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    pub kind: i16,
    pub count: i64,
}

/// All of one moment: what was accepted and is owed no more has ended.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    pub owed: Vec<Owed>,
    pub accepted: Vec<Accepted>,
    /// The youngest command that was counted.
    pub last: i64,
}

/// Where to begin with [`moment`].
pub async fn youngest(pool: &Pool) -> Result<i64> {
    let query = sqlx::query!(r#"select coalesce(max(no), 0) as "no!" from commands"#);
    Ok(pool.fetch_one(query).await?.no)
}

/// One look. Commands are counted from `after` on.
pub async fn moment(pool: &Pool, after: i64) -> Result<Moment> {
    let query = sqlx::query!(
        r#"select kind as "kind!", lane,
                  count(*) filter (where run_at > holdfast_now() and coalesce(lease_until <= holdfast_now(), true)) as "waiting!",
                  count(*) filter (where run_at <= holdfast_now() and coalesce(lease_until <= holdfast_now(), true)) as "due!",
                  count(*) filter (where lease_until > holdfast_now()) as "claimed!",
                  count(*) filter (where failures >= 2) as "suspect!",
                  coalesce(max(extract(epoch from holdfast_now() - greatest(run_at, lease_until)))
                           filter (where run_at <= holdfast_now() and coalesce(lease_until <= holdfast_now(), true)), 0)::float8
                    as "oldest_due_s!",
                  0::bigint as "last!"
             from wakeups
            group by kind, lane
            union all
           select kind, null, count(*), 0, 0, 0, 0, max(no)
             from (select no, kind from commands where no > $1 order by no limit $2) c
            group by kind"#,
        after,
        MOST
    );
    let mut moment = Moment { last: after, ..Moment::default() };
    for row in pool.fetch_all(query).await? {
        moment.last = moment.last.max(row.last);
        match row.lane {
            Some(lane) => moment.owed.push(Owed {
                kind: row.kind,
                lane,
                waiting: row.waiting,
                due: row.due,
                claimed: row.claimed,
                suspect: row.suspect,
                oldest_due_s: row.oldest_due_s,
            }),
            None => moment.accepted.push(Accepted { kind: row.kind, count: row.waiting }),
        }
    }
    Ok(moment)
}

/// What waits for a person, and who works.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attention {
    pub parked: i64,
    pub items: i64,
    pub letters: i64,
    pub oldest_letter_s: f64,
    pub workers: i64,
}

pub async fn attention(pool: &Pool) -> Result<Attention> {
    let query = sqlx::query!(
        r#"select (select count(*) from outcomes where status = 'needs_attention') as "parked!",
                  (select count(*) from attention_items where closed_at is null) as "items!",
                  (select count(*) from dead_letters where state = 'kept') as "letters!",
                  (select coalesce(max(extract(epoch from holdfast_now() - received_at)), 0)::float8
                     from dead_letters where state = 'kept') as "oldest_letter_s!",
                  (select count(*) from workers where beat > holdfast_now() - interval '10 s') as "workers!""#
    );
    let row = pool.fetch_one(query).await?;
    Ok(Attention {
        parked: row.parked,
        items: row.items,
        letters: row.letters,
        oldest_letter_s: row.oldest_letter_s,
        workers: row.workers,
    })
}
