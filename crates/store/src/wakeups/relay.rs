//! The net below publishing: the mark that says "it is in the queue", and the taking of what is overdue.

use crate::commands::kind;
use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::{ClientNo, CommandId, CommandNo, Kind, Lane};

use std::time::Duration;

/// A first message that SQS took.
#[derive(Clone, Copy, Debug)]
pub struct Marked {
    pub no: CommandNo,
    /// As accept returned it: the mark is a compare-and-set.
    pub due_at: DateTime<Utc>,
}

/// Notes that these need no second message for `quiet`. Called about a second after the send: in the happy path the row
/// has been claimed or is gone, and nothing is written. An unconditional mark would push a retry into the future.
pub async fn mark_published(pool: &Pool, marked: &[Marked], quiet: Duration) -> Result<u64> {
    let nos: Vec<i64> = marked.iter().map(|mark| mark.no.0).collect();
    let due: Vec<DateTime<Utc>> = marked.iter().map(|mark| mark.due_at).collect();
    let query = sqlx::query!(
        "with l as materialized (
           select w.no, w.lane
             from wakeups w
             join unnest($1::bigint[], $2::timestamptz[], $4::smallint[]) s(no, due_at, lane)
               on w.no = any(array[s.no]) and w.lane + 0 = s.lane and w.due_at + interval '0' = s.due_at
            where w.token is null
            order by s.no
              -- whoever holds the row is about to make the mark pointless
              for update of w skip locked
         )
         update wakeups w
            set due_at = holdfast_now() + make_interval(secs => $3), publishes = w.publishes + 1
           from l
          where w.no = any(array[l.no]) and w.lane + 0 = l.lane",
        &nos,
        &due,
        quiet.as_secs_f64(),
        &vec![Lane::Run.code(); marked.len()]
    );
    let updated = pool.execute(query).await?;
    Ok(updated.rows_affected())
}

/// What SQS did not take was not published: whoever looks next need not wait as long as after a message that led to nothing.
pub async fn not_published(pool: &Pool, lane: Lane, nos: &[CommandNo], wait: Duration) -> Result<()> {
    let mut nos: Vec<i64> = nos.iter().map(|no| no.0).collect();
    nos.sort_unstable();
    let query = sqlx::query!(
        "update wakeups w
            -- What has been put off since is not due before.
            set due_at = least(w.due_at, greatest(w.run_at, holdfast_now() + make_interval(secs => $3))),
                publishes = greatest(w.publishes - 1, 0)
           from unnest($1::bigint[], $2::smallint[]) d(no, lane)
          where w.no = any(array[d.no]) and w.lane + 0 = d.lane and w.token is null",
        &nos,
        &vec![lane.code(); nos.len()],
        wait.as_secs_f64()
    );
    pool.execute(query).await?;
    Ok(())
}

/// Has the relay look at what is owed of a command whose message is known to be gone, as soon as it may run. A claim that
/// stands is left alone: its holder says when to look.
pub async fn hasten(pool: &Pool, command: CommandId) -> Result<()> {
    let query = sqlx::query!(
        "update wakeups w
            set due_at = greatest(holdfast_now(), w.run_at)
           from commands c
          where c.id = $1 and w.no = any(array[c.no])
            and w.token is null and w.due_at > greatest(holdfast_now(), w.run_at)",
        command.0
    );
    pool.execute(query).await?;
    Ok(())
}

/// A row that somebody must look at.
#[derive(Clone, Copy, Debug)]
pub struct Overdue {
    pub no: CommandNo,
    pub id: CommandId,
    pub client: ClientNo,
    pub kind: Kind,
    pub lane: Lane,
}

/// Takes rows that are overdue by `by`, oldest first, to publish them. Each comes back after 30 s, doubling up to 15 min,
/// (a callback: after 10 s) if nobody has claimed it by then; see [`not_published`] for what could not be sent. Expired claims
/// are taken over.
pub async fn take_overdue(pool: &Pool, lane: Lane, by: Duration, limit: i64) -> Result<Vec<Overdue>> {
    let query = sqlx::query!(
        r#"with l as materialized (
             select no, lane
               from wakeups
              where lane = $4 and due_at <= holdfast_now() - make_interval(secs => $1) and run_at <= holdfast_now()
                and (token is null or lease_until <= holdfast_now())
                -- kinds that this version does not know are a newer one's business
                and kind = any($3)
              order by due_at
              limit $2
                -- several relays share the work
                for update skip locked
           ),
           w as (
             update wakeups w
                set due_at = holdfast_now() + case w.lane
                      when 0 then least(interval '30 s' * 2 ^ least(w.publishes, 10), interval '15 min')
                      -- Whoever has no room for a callback drops the message: look again soon.
                      else interval '10 s'
                    end,
                    publishes = least(w.publishes + 1, 1000),
                    status = case when w.status = 'accepted' and w.token is not null then 'processing' else w.status end,
                    dirty = least(w.dirty + case when w.token is null then 0 else 1 end, 1000),
                    failures = least(w.failures + case when w.token is null then 0 else 1 end, 1000),
                    token = null,
                    worker = null,
                    lease_until = null
               from l
              where w.no = any(array[l.no]) and w.lane + 0 = l.lane
             returning w.no
           )
           select w.no as "no!", c.id as "id!", c.client as "client!", c.kind as "kind!"
             from w
             join commands c using (no)"#,
        by.as_secs_f64(),
        limit,
        &Kind::ALL.map(Kind::code)[..],
        lane.code()
    );
    let rows = pool.fetch_all(query).await?;
    let overdue = rows.into_iter().map(|row| {
        let (no, id, client) = (CommandNo(row.no), CommandId(row.id), ClientNo(row.client));
        Ok(Overdue { no, id, client, kind: kind(row.kind)?, lane })
    });
    overdue.collect()
}
