//! API keys: whose they are, what they may do, and how long. A client has two live ones at most, so that it can change from
//! one to the next: live is what is neither disabled nor expired.

use crate::clients::Rates;
use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::{ClientNo, Scopes};
use std::collections::HashMap;
use std::time::Duration;

/// Who a key belongs to, and what it may do.
#[derive(Clone, Debug)]
pub struct Owner {
    pub client: ClientNo,
    pub hash: Vec<u8>,
    pub scopes: Scopes,
    /// The key, or its client.
    pub disabled: bool,
    /// What is left of its life, nothing if that is over. `None`: it does not expire.
    pub expires_in: Option<Duration>,
    /// What its client may ask for.
    pub rates: Rates,
}

pub struct Listed {
    pub key_id: String,
    pub scopes: Scopes,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    /// The key, or its client.
    pub disabled: bool,
    pub expired: bool,
}

/// A key to be issued.
#[derive(Clone, Copy)]
pub struct NewKey<'a> {
    pub key_id: &'a str,
    pub hash: &'a [u8],
}

/// What came of issuing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issued {
    /// It may do this.
    Done(Scopes),
    NoClient,
    /// There would be a third live key.
    Full,
    /// Somebody else issued one at the same moment.
    Raced,
}

pub async fn owner(pool: &Pool, key_id: &str) -> Result<Option<Owner>> {
    let query = sqlx::query!(
        r#"select k.client, k.hash, k.scopes, c.disabled_at is not null or k.disabled_at is not null as "disabled!",
                  extract(epoch from k.expires_at - holdfast_now())::float8 as expires_in_s,
                  c.submissions_per_s, c.reads_per_s
             from api_keys k
             join clients c on c.no = k.client
            where k.key_id = $1"#,
        key_id
    );
    let row = pool.fetch_optional(query).await?;
    Ok(row.map(|row| Owner {
        client: ClientNo(row.client),
        hash: row.hash,
        scopes: scopes(&row.scopes),
        disabled: row.disabled,
        expires_in: row.expires_in_s.map(left),
        rates: Rates::of(row.submissions_per_s, row.reads_per_s),
    }))
}

/// The same of many, by their ids.
pub async fn owners(pool: &Pool, key_ids: &[String]) -> Result<HashMap<String, Owner>> {
    let query = sqlx::query!(
        r#"select k.key_id, k.client, k.hash, k.scopes, c.disabled_at is not null or k.disabled_at is not null as "disabled!",
                  extract(epoch from k.expires_at - holdfast_now())::float8 as expires_in_s,
                  c.submissions_per_s, c.reads_per_s
             from unnest($1::text[]) t(key_id)
             join api_keys k on k.key_id = t.key_id
             join clients c on c.no = k.client"#,
        key_ids
    );
    let rows = pool.fetch_all(query).await?;
    let owners = rows.into_iter().map(|row| {
        let owner = Owner {
            client: ClientNo(row.client),
            hash: row.hash,
            scopes: scopes(&row.scopes),
            disabled: row.disabled,
            expires_in: row.expires_in_s.map(left),
            rates: Rates::of(row.submissions_per_s, row.reads_per_s),
        };
        (row.key_id, owner)
    });
    Ok(owners.collect())
}

fn left(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

/// All keys of the client of this name, the newest last. Each client has had one.
pub async fn of_client(pool: &Pool, name: &str) -> Result<Vec<Listed>> {
    let query = sqlx::query!(
        r#"select k.key_id, k.scopes, k.created_at, k.expires_at, k.last_used_at,
                  c.disabled_at is not null or k.disabled_at is not null as "disabled!",
                  coalesce(k.expires_at <= holdfast_now(), false) as "expired!"
             from clients c
             join api_keys k on k.client = c.no
            where c.name = $1
            order by k.created_at, k.key_id"#,
        name
    );
    let rows = pool.fetch_all(query).await?;
    let listed = rows.into_iter().map(|row| Listed {
        key_id: row.key_id,
        scopes: scopes(&row.scopes),
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        disabled: row.disabled,
        expired: row.expired,
    });
    Ok(listed.collect())
}

/// Gives the client of this name one more key. The others stay as they are.
pub async fn add(
    pool: &Pool,
    name: &str,
    key: NewKey<'_>,
    scopes: Scopes,
    lifetime: Option<Duration>,
) -> Result<Issued> {
    let names = scopes.names();
    let query = sqlx::query!(
        r#"with seen as (
             select c.no, c.keys_issued,
                    (select count(*)
                       from api_keys k
                      where k.client = c.no
                        and k.disabled_at is null
                        and coalesce(k.expires_at > holdfast_now(), true)) as live
               from clients c
              where c.name = $1
           ),
           -- whoever waits for this row finds it changed: what was counted may be true no more
           c as (
             update clients c
                set keys_issued = c.keys_issued + 1
               from seen s
              where c.no = s.no
                and c.keys_issued = s.keys_issued
                and s.live < 2
             returning c.no
           ),
           k as (
             insert into api_keys (key_id, client, hash, scopes, expires_at)
             select $2, no, $3, $4, holdfast_now() + make_interval(secs => $5)
               from c
           )
           select s.live >= 2 as "is_full!", c.no is not null as "is_issued!"
             from seen s
             left join c using (no)"#,
        name,
        key.key_id,
        key.hash,
        &names,
        lifetime.map(|lifetime| lifetime.as_secs_f64())
    );
    let row = pool.fetch_optional(query).await?;
    Ok(match row {
        None => Issued::NoClient,
        Some(row) if row.is_full => Issued::Full,
        Some(row) if row.is_issued => Issued::Done(scopes),
        Some(_) => Issued::Raced,
    })
}

/// Gives the client of this name another key, which may do what its live ones may, or else what its newest one might; those
/// that it has expire after `overlap`, if not before. Where that is at once, none of them is in the way.
pub async fn rotate(pool: &Pool, name: &str, key: NewKey<'_>, overlap: Duration) -> Result<Issued> {
    let query = sqlx::query!(
        r#"with seen as (
             select c.no, c.keys_issued,
                    (select count(*)
                       from api_keys k
                      where k.client = c.no
                        and k.disabled_at is null
                        and least(k.expires_at, holdfast_now() + make_interval(secs => $4)) > holdfast_now()) as live,
                    coalesce(
                      (select array_agg(distinct may)
                         from api_keys k, unnest(k.scopes) may
                        where k.client = c.no
                          and k.disabled_at is null
                          and coalesce(k.expires_at > holdfast_now(), true)),
                      (select k.scopes from api_keys k where k.client = c.no order by k.created_at desc limit 1)
                    ) as scopes
               from clients c
              where c.name = $1
           ),
           -- whoever waits for this row finds it changed: what was counted may be true no more
           c as (
             update clients c
                set keys_issued = c.keys_issued + 1
               from seen s
              where c.no = s.no
                and c.keys_issued = s.keys_issued
                and s.live < 2
             returning c.no, s.scopes
           ),
           old as (
             update api_keys k
                set expires_at = least(k.expires_at, holdfast_now() + make_interval(secs => $4))
               from c
              where k.client = c.no
           ),
           new as (
             insert into api_keys (key_id, client, hash, scopes) select $2, no, $3, scopes from c
           )
           select s.live >= 2 as "is_full!", c.no is not null as "is_issued!", s.scopes as "scopes!"
             from seen s
             left join c using (no)"#,
        name,
        key.key_id,
        key.hash,
        overlap.as_secs_f64()
    );
    let row = pool.fetch_optional(query).await?;
    Ok(match row {
        None => Issued::NoClient,
        Some(row) if row.is_full => Issued::Full,
        Some(row) if row.is_issued => Issued::Done(scopes(&row.scopes)),
        Some(_) => Issued::Raced,
    })
}

/// Refuses this key from now on. Answers whether there is such a key.
pub async fn disable(pool: &Pool, key_id: &str) -> Result<bool> {
    let query = sqlx::query!(
        "update api_keys set disabled_at = coalesce(disabled_at, holdfast_now()) where key_id = $1",
        key_id
    );
    Ok(pool.execute(query).await?.rows_affected() == 1)
}

/// These were used just now. Those of which that is known from less than `resolution` ago are left as they are.
pub async fn mark_used(pool: &Pool, key_ids: &[String], resolution: Duration) -> Result<()> {
    let query = sqlx::query!(
        "with used as (
           select key_id
             from api_keys
            where key_id = any($1)
              and coalesce(last_used_at <= holdfast_now() - make_interval(secs => $2), true)
            order by key_id
              -- whoever has hold of one writes the same
              for update skip locked
         )
         update api_keys k
            set last_used_at = holdfast_now()
           from used
          where k.key_id = used.key_id",
        key_ids,
        resolution.as_secs_f64()
    );
    pool.execute(query).await?;
    Ok(())
}

fn scopes(names: &[String]) -> Scopes {
    Scopes::known(names.iter().map(String::as_str))
}
