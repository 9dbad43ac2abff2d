//! Taking payloads away, a batch in one statement: whatever kills it, a batch was done whole or not at all.

use crate::{Pool, Result};
use std::time::Duration;

/// A stretch of the walk.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// Where the walk stands.
    pub position: i64,
    /// The next commands in order, none of them too young.
    pub nos: Vec<i64>,
}

/// The next commands that were accepted at least `age` ago, at most `limit`. None follows the first younger one: what was
/// accepted after it is younger still, but for what came late by the journal, and that has not ended long ago either.
pub async fn stretch(pool: &Pool, age: Duration, limit: i64) -> Result<Stretch> {
    let query = sqlx::query!(
        r#"select p.position, coalesce(array_agg(c.no order by c.no) filter (where not c.is_young), '{}') as "nos!"
             from retention_progress p
             left join lateral (
                    select x.no, bool_or(x.created_at >= holdfast_now() - make_interval(secs => $1)) over (order by x.no) as is_young
                      -- By rows, not by numbers: a gap costs nothing.
                      from (select no, created_at from commands where no > p.position order by no limit $2) x
                  ) c on true
            group by p.position"#,
        age.as_secs_f64(),
        limit
    );
    let row = pool.fetch_one(query).await?;
    Ok(Stretch { position: row.position, nos: row.nos })
}

/// What came of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Their payload is gone.
    pub archived: u64,
    /// Their time has not come.
    pub postponed: u64,
}

/// What came of a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Batch(Batch),
    /// Somebody else has gone on from where it began. Nothing was done.
    Overtaken,
}

struct Row {
    looked_at: i64,
    archived: i64,
    postponed: i64,
}

/// The second half of both ways to archive. The first half is a CTE `d (no)`; $1 is the age in seconds from which a command
/// that has ended is archived. `outcomes` is the row that decides: every predicate that another statement can change is on
/// it, so that it is looked at again after a wait for its lock. Who owes a client something about a command that has ended
/// changes this row too (`owe_again`).
///
/// Rows are looked up one by one (`limit 1`, `any(array(…))`), whatever the planner thinks of the size of a table today: for
/// so many at once it would rather read all of one that is not large yet.
macro_rules! archive {
    ($first:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            Row,
            $first
                + r#", f as materialized (
                 select o.no
                   from d
                  cross join lateral (
                          select o.no
                            from outcomes o
                           where o.no = d.no and o.status in ('completed', 'failed', 'cancelled') and o.expunged_at is null
                             and greatest(o.finished_at, o.resent_at) < holdfast_now() - make_interval(secs => $1)
                           limit 1
                             -- Who holds it is about to change it: another time.
                             for update skip locked
                        ) o
                   -- Somebody is owed it still, or has yet to look into it.
                   left join lateral (select w.no from wakeups w where w.no = d.no limit 1) w on true
                  where w.no is null
                    and not exists (select from attention_items i where i.command = d.no and i.closed_at is null)
               ),
               c as (
                 update commands
                    set body = '', header_key = null, traceparent = null
                  where no = any(array(select no from f))
                 returning no, id
               ),
               o as (
                 update outcomes
                    -- Readable by every version.
                    set expunged_at = holdfast_now(), detail = null, progress = '{"partners": []}'
                  where no = any(array(select no from c))
               ),
               e as (
                 delete from events where no = any(array(select no from c))
               ),
               u as (
                 delete from partner_updates where command_id = any(array(select id from c))
               ),
               r as (
                 delete from callback_resends where command = any(array(select no from c))
               ),
               i as (
                 delete from attention_items where command = any(array(select no from c))
               ),
               -- The sums of transactions and refunds stay: a refund of this transaction may still come.
               b as (
                 delete from orders where no = any(array(select no from c))
               ),
               p as (
                 insert into retention_postponed (no, look_at)
                 select d.no,
                        -- Not much later than known now, because the age may be set lower.
                        least(holdfast_now() + interval '7 days',
                              case
                                -- It has to end first.
                                when o.no is null or o.status = 'needs_attention' then 'infinity'
                                when greatest(o.finished_at, o.resent_at) >= holdfast_now() - make_interval(secs => $1)
                                  then greatest(o.finished_at, o.resent_at) + make_interval(secs => $1)
                                else holdfast_now() + interval '1 day'
                              end)
                   from d
                  cross join lateral (select k.no from commands k where k.no = d.no limit 1) k
                   left join lateral (select * from outcomes o where o.no = d.no limit 1) o on true
                  where o.expunged_at is null and d.no not in (select no from c)
                  order by d.no
                     on conflict (no) do update set look_at = excluded.look_at
                 returning no
               ),
               g as (
                 delete from retention_postponed
                  where no = any(array(select no from d)) and no not in (select no from p)
               )
               select (select count(*) from d) as "looked_at!", (select count(*) from c) as "archived!",
                      (select count(*) from p) as "postponed!""#,
            $($argument),+
        )
    };
}

/// Archives what may go of a stretch, notes the rest, and moves the walk on behind it.
pub async fn archive(pool: &Pool, stretch: &Stretch, age: Duration) -> Result<Done> {
    let query = archive!(
        "with m as (
           update retention_progress set position = (select max(no) from unnest($2::bigint[]) n(no))
            where position = $3 and cardinality($2::bigint[]) > 0
           returning one
         ),
         d as materialized (
           select n.no from unnest($2::bigint[]) n(no) cross join m
         )",
        age.as_secs_f64(),
        &stretch.nos,
        stretch.position
    );
    let row = pool.fetch_one(query).await?;
    Ok(if row.looked_at == 0 { Done::Overtaken } else { Done::Batch(row.batch()) })
}

/// The same for those whose time was to have come by now, at most `limit`. `None`: there are none.
pub async fn archive_postponed(pool: &Pool, age: Duration, limit: i64) -> Result<Option<Batch>> {
    let query = archive!(
        "with d as materialized (
           select no
             from retention_postponed
            where look_at <= holdfast_now()
            order by look_at, no
            limit $2
              -- two who do this share it
              for update skip locked
         )",
        age.as_secs_f64(),
        limit
    );
    let row = pool.fetch_one(query).await?;
    Ok((row.looked_at > 0).then(|| row.batch()))
}

impl Row {
    fn batch(&self) -> Batch {
        let count = |count: i64| u64::try_from(count).unwrap_or_default();
        Batch { archived: count(self.archived), postponed: count(self.postponed) }
    }
}
