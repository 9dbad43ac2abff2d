//! What is stored of clients' callback secrets, as bytes: plain, or sealed by `app::vault`, whose form the statements here
//! know as far as the name of the key.

use crate::{Pool, Result};
use holdfast_domain::ClientNo;

/// One client's.
pub struct Stored {
    pub client: ClientNo,
    pub name: String,
    pub secret: Vec<u8>,
    /// While they are still valid.
    pub previous: Option<Vec<u8>>,
    pub older: Option<Vec<u8>>,
}

/// Other bytes for the same secrets. What they were is compared: a secret that was exchanged meanwhile stays as it is.
pub struct Resealed {
    pub stored: Stored,
    pub secret: Vec<u8>,
    pub previous: Option<Vec<u8>>,
    pub older: Option<Vec<u8>>,
}

/// By number, those that come after this one.
pub async fn after(pool: &Pool, client: ClientNo, limit: i64) -> Result<Vec<Stored>> {
    let query = sqlx::query!(
        "select no, name, callback_secret,
                case when callback_previous_until > holdfast_now() then callback_previous_secret end as previous,
                case when callback_older_until > holdfast_now() then callback_older_secret end as older
           from clients
          where no > $1
          order by no
          limit $2",
        client.0,
        limit
    );
    let rows = pool.fetch_all(query).await?;
    let stored = rows.into_iter().map(|row| Stored {
        client: ClientNo(row.no),
        name: row.name,
        secret: row.callback_secret,
        previous: row.previous,
        older: row.older,
    });
    Ok(stored.collect())
}

/// Answers how many were as they were said to be, and are changed.
pub async fn replace(pool: &Pool, resealed: &[Resealed]) -> Result<u64> {
    let column = |of: fn(&Resealed) -> &Vec<u8>| -> Vec<Vec<u8>> { resealed.iter().map(of).cloned().collect() };
    let clients: Vec<i32> = resealed.iter().map(|one| one.stored.client.0).collect();
    let optional =
        |of: fn(&Resealed) -> &Option<Vec<u8>>| -> Vec<Option<Vec<u8>>> { resealed.iter().map(of).cloned().collect() };
    let query = sqlx::query!(
        "update clients c
            set callback_secret = r.secret,
                callback_previous_secret = r.previous,
                callback_older_secret = r.older
           from unnest($1::int[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[])
             as r(no, secret_before, secret, previous_before, previous, older_before, older)
          where c.no = r.no
            and c.callback_secret = r.secret_before
            and c.callback_previous_secret is not distinct from r.previous_before
            and c.callback_older_secret is not distinct from r.older_before",
        &clients,
        &column(|one| &one.stored.secret),
        &column(|one| &one.secret),
        &optional(|one| &one.stored.previous) as &[Option<Vec<u8>>],
        &optional(|one| &one.previous) as &[Option<Vec<u8>>],
        &optional(|one| &one.stored.older) as &[Option<Vec<u8>>],
        &optional(|one| &one.older) as &[Option<Vec<u8>>],
    );
    Ok(pool.execute(query).await?.rows_affected())
}

/// Secrets that are not valid any more are not kept.
pub async fn forget_expired(pool: &Pool) -> Result<u64> {
    let query = sqlx::query!(
        "update clients
            set callback_previous_secret = case when callback_previous_until > holdfast_now() then callback_previous_secret end,
                callback_previous_until = case when callback_previous_until > holdfast_now() then callback_previous_until end,
                callback_older_secret = case when callback_older_until > holdfast_now() then callback_older_secret end,
                callback_older_until = case when callback_older_until > holdfast_now() then callback_older_until end
          where callback_previous_until <= holdfast_now() or callback_older_until <= holdfast_now()"
    );
    Ok(pool.execute(query).await?.rows_affected())
}

/// How many secrets are sealed with which key; those without one are plain.
pub async fn keys(pool: &Pool) -> Result<Vec<(Option<String>, i64)>> {
    let query = sqlx::query!(
        r#"select case when octet_length(s.secret) > 64
                       -- behind the mark and the version: the length of the name, then the name
                       then encode(substring(s.secret from 13 for get_byte(s.secret, 11)), 'escape') end as key,
                  count(*) as "count!"
             from clients c
             cross join lateral (values
                 (c.callback_secret),
                 (case when c.callback_previous_until > holdfast_now() then c.callback_previous_secret end),
                 (case when c.callback_older_until > holdfast_now() then c.callback_older_secret end)
             ) s(secret)
            where s.secret is not null
            group by 1
            order by 1"#
    );
    let rows = pool.fetch_all(query).await?;
    Ok(rows.into_iter().map(|row| (row.key, row.count)).collect())
}
