//! Clients.

use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::ClientNo;
use std::time::Duration;

/// More clients than are created between a backup and the accident.
const GAP: i32 = 1_000;

/// Requests a second that a client may make of one process, where they are not what is configured for all. 0: as many as it
/// likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    pub submissions_per_s: Option<u32>,
    pub reads_per_s: Option<u32>,
}

impl Rates {
    /// Neither column is negative.
    pub(crate) fn of(submissions_per_s: Option<i32>, reads_per_s: Option<i32>) -> Self {
        let rate = |rate: Option<i32>| rate.map(i32::unsigned_abs);
        Self { submissions_per_s: rate(submissions_per_s), reads_per_s: rate(reads_per_s) }
    }
}

/// Where and how a client is told. Secrets are as they are stored: sealed.
#[derive(Clone)]
pub struct CallbackEndpoint {
    /// The client's.
    pub name: String,
    pub callback_url: Option<String>,
    pub secret: Vec<u8>,
    /// Those before, while they are still valid, the newer one first.
    pub previous_secrets: Vec<Vec<u8>>,
}

pub struct Listed {
    pub no: ClientNo,
    pub name: String,
    pub callback_url: Option<String>,
    pub disabled: bool,
    pub rates: Rates,
    pub keys: Vec<String>,
    pub created_at: DateTime<Utc>,
}

pub struct NewClient<'a> {
    /// The number that it had in a database that is lost. Else the next one.
    pub no: Option<ClientNo>,
    pub name: &'a str,
    pub callback_url: Option<&'a str>,
    /// As it is to be stored.
    pub callback_secret: &'a [u8],
    pub key_id: &'a str,
    pub key_hash: &'a [u8],
}

/// Creates a client with its first key, or `None` if the name or the number is taken.
pub async fn create(pool: &Pool, client: NewClient<'_>) -> Result<Option<ClientNo>> {
    let query = sqlx::query!(
        "with c as (
           insert into clients (no, name, callback_url, callback_secret) overriding system value
           values (coalesce($6, nextval('clients_no_seq')::int), $1, $2, $3)
               on conflict do nothing
           returning no
         ),
         -- the next one comes after it
         s as (
           select setval('clients_no_seq', greatest(c.no, (select last_value from clients_no_seq))) from c where $6 is not null
         )
         insert into api_keys (key_id, client, hash) select $4, c.no, $5 from c left join s on true
         returning client",
        client.name,
        client.callback_url,
        client.callback_secret,
        client.key_id,
        client.key_hash,
        client.no.map(|no| no.0),
    );
    let row = pool.fetch_optional(query).await?;
    Ok(row.map(|row| ClientNo(row.client)))
}

/// After a restore: numbers of clients that were created since are not given to others. Returns the next one.
pub async fn leave_gap(pool: &Pool) -> Result<i64> {
    let query = sqlx::query!(
        r#"select setval('clients_no_seq', greatest((select last_value from clients_no_seq),
                                                    (select coalesce(max(no), 0) from clients) + $1)) + 1 as "next!""#,
        GAP
    );
    Ok(pool.fetch_one(query).await?.next)
}

pub async fn list(pool: &Pool) -> Result<Vec<Listed>> {
    let query = sqlx::query!(
        r#"select c.no, c.name, c.callback_url, c.disabled_at is not null as "disabled!", c.created_at,
                  c.submissions_per_s, c.reads_per_s,
                  array(select k.key_id from api_keys k where k.client = c.no order by k.created_at) as "keys!"
             from clients c
            order by c.no"#
    );
    let rows = pool.fetch_all(query).await?;
    let listed = rows.into_iter().map(|row| Listed {
        no: ClientNo(row.no),
        name: row.name,
        callback_url: row.callback_url,
        disabled: row.disabled,
        rates: Rates::of(row.submissions_per_s, row.reads_per_s),
        keys: row.keys,
        created_at: row.created_at,
    });
    Ok(listed.collect())
}

pub async fn callback_endpoint(pool: &Pool, client: ClientNo) -> Result<Option<CallbackEndpoint>> {
    let query = sqlx::query!(
        "select name, callback_url, callback_secret,
                case when callback_previous_until > holdfast_now() then callback_previous_secret end as previous,
                case when callback_older_until > holdfast_now() then callback_older_secret end as older
           from clients
          where no = $1",
        client.0
    );
    let row = pool.fetch_optional(query).await?;
    Ok(row.map(|row| CallbackEndpoint {
        name: row.name,
        callback_url: row.callback_url,
        secret: row.callback_secret,
        previous_secrets: row.previous.into_iter().chain(row.older).collect(),
    }))
}

pub async fn set_callback_url(pool: &Pool, client: ClientNo, url: Option<&str>) -> Result<()> {
    pool.execute(sqlx::query!("update clients set callback_url = $2 where no = $1", client.0, url)).await?;
    Ok(())
}

/// How long the secrets before a new one stay valid.
#[derive(Clone, Copy, Debug)]
pub struct Overlap {
    /// The one that was the newest.
    pub newest: Duration,
    /// Whether the oldest goes on for as long as it was said to: its client may have no other yet.
    pub oldest: bool,
}

/// From now on callbacks are signed with this secret, as it is to be stored, and for an overlap with those before too.
pub async fn rotate_callback_secret(pool: &Pool, client: ClientNo, secret: &[u8], overlap: Overlap) -> Result<()> {
    let query = sqlx::query!(
        "update clients
            set callback_secret = $2,
                callback_older_secret = case when not $4 then null
                                             when callback_older_until > holdfast_now() then callback_older_secret
                                             when callback_previous_until > holdfast_now() then callback_previous_secret
                                        end,
                callback_older_until = case when not $4 then null
                                            when callback_older_until > holdfast_now() then callback_older_until
                                            when callback_previous_until > holdfast_now() then callback_previous_until
                                       end,
                callback_previous_secret = callback_secret,
                callback_previous_until = holdfast_now() + make_interval(secs => $3)
          where no = $1",
        client.0,
        secret,
        overlap.newest.as_secs_f64(),
        overlap.oldest
    );
    pool.execute(query).await?;
    Ok(())
}

/// Refuses all of this client's keys from now on, or takes that back. What it has submitted goes on. Answers whether there
/// is such a client.
pub async fn set_disabled(pool: &Pool, name: &str, disabled: bool) -> Result<bool> {
    let query = sqlx::query!(
        "update clients set disabled_at = case when $2 then coalesce(disabled_at, holdfast_now()) end where name = $1",
        name,
        disabled
    );
    Ok(pool.execute(query).await?.rows_affected() == 1)
}

/// How many requests this client may make. What is not given stays. Answers whether there is such a client.
pub async fn set_rates(pool: &Pool, name: &str, rates: Rates) -> Result<bool> {
    let column = |rate: Option<u32>| rate.map(|rate| i32::try_from(rate).unwrap_or(i32::MAX));
    let query = sqlx::query!(
        "update clients
            set submissions_per_s = coalesce($2, submissions_per_s),
                reads_per_s = coalesce($3, reads_per_s)
          where name = $1",
        name,
        column(rates.submissions_per_s),
        column(rates.reads_per_s)
    );
    Ok(pool.execute(query).await?.rows_affected() == 1)
}

/// From now on this client may make as many requests as is configured for all. Answers whether there is such a client.
pub async fn clear_rates(pool: &Pool, name: &str) -> Result<bool> {
    let query = sqlx::query!("update clients set submissions_per_s = null, reads_per_s = null where name = $1", name);
    Ok(pool.execute(query).await?.rows_affected() == 1)
}

/// Numbers and names, by name.
pub async fn names(pool: &Pool, limit: i64) -> Result<Vec<(ClientNo, String)>> {
    let rows = pool.fetch_all(sqlx::query!("select no, name from clients order by name limit $1", limit)).await?;
    Ok(rows.into_iter().map(|row| (ClientNo(row.no), row.name)).collect())
}

pub async fn name(pool: &Pool, client: ClientNo) -> Result<Option<String>> {
    let row = pool.fetch_optional(sqlx::query!("select name from clients where no = $1", client.0)).await?;
    Ok(row.map(|row| row.name))
}
