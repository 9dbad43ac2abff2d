//! Clients and their API keys.

use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use holdfast_domain::ClientNo;

/// Who an API key belongs to.
#[derive(Clone, Debug)]
pub struct Owner {
    pub client: ClientNo,
    pub hash: Vec<u8>,
    pub disabled: bool,
}

/// Where and how a client is told.
#[derive(Clone)]
pub struct CallbackEndpoint {
    pub callback_url: Option<String>,
    pub secret: Vec<u8>,
}

pub struct Listed {
    pub no: ClientNo,
    pub name: String,
    pub callback_url: Option<String>,
    pub disabled: bool,
    pub keys: Vec<String>,
    pub created_at: DateTime<Utc>,
}

pub struct NewClient<'a> {
    pub name: &'a str,
    pub callback_url: Option<&'a str>,
    pub callback_secret: &'a [u8],
    pub key_id: &'a str,
    pub key_hash: &'a [u8],
}

/// Creates a client with its first key, or `None` if the name is taken.
pub async fn create(pool: &Pool, client: NewClient<'_>) -> Result<Option<ClientNo>> {
    let query = sqlx::query!(
        "with c as (
           insert into clients (name, callback_url, callback_secret) values ($1, $2, $3)
               on conflict (name) do nothing
           returning no
         )
         insert into api_keys (key_id, client, hash) select $4, c.no, $5 from c
         returning client",
        client.name,
        client.callback_url,
        client.callback_secret,
        client.key_id,
        client.key_hash,
    );
    let row = pool.fetch_optional(query).await?;
    Ok(row.map(|row| ClientNo(row.client)))
}

pub async fn list(pool: &Pool) -> Result<Vec<Listed>> {
    let query = sqlx::query!(
        r#"select c.no, c.name, c.callback_url, c.disabled_at is not null as "disabled!", c.created_at,
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
        keys: row.keys,
        created_at: row.created_at,
    });
    Ok(listed.collect())
}

pub async fn owner_of_key(pool: &Pool, key_id: &str) -> Result<Option<Owner>> {
    let query = sqlx::query!(
        r#"select k.client, k.hash, c.disabled_at is not null as "disabled!"
             from api_keys k
             join clients c on c.no = k.client
            where k.key_id = $1"#,
        key_id
    );
    let row = pool.fetch_optional(query).await?;
    Ok(row.map(|row| Owner { client: ClientNo(row.client), hash: row.hash, disabled: row.disabled }))
}

pub async fn callback_endpoint(pool: &Pool, client: ClientNo) -> Result<Option<CallbackEndpoint>> {
    let query = sqlx::query!("select callback_url, callback_secret from clients where no = $1", client.0);
    let row = pool.fetch_optional(query).await?;
    Ok(row.map(|row| CallbackEndpoint { callback_url: row.callback_url, secret: row.callback_secret }))
}
