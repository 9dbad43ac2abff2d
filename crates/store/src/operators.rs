//! Who may use the console, and their sessions.

use crate::{Pool, Result};
use chrono::{DateTime, Utc};
use std::time::Duration;

pub struct Listed {
    pub login: String,
    pub created_at: DateTime<Utc>,
    pub disabled: bool,
    /// Sessions that have not expired.
    pub sessions: i64,
    pub last_seen: Option<DateTime<Utc>>,
}

/// What a login is checked against.
pub struct Credentials {
    pub operator: i32,
    pub password_hash: String,
}

pub struct NewSession<'a> {
    pub operator: i32,
    /// That was found to be the password's.
    pub password_hash: &'a str,
    pub hash: &'a [u8],
    pub csrf_secret: &'a [u8],
    /// However busy it is.
    pub lifetime: Duration,
}

/// One that goes on.
pub struct Session {
    pub login: String,
    pub csrf_secret: Vec<u8>,
}

/// `false`: the login is taken.
pub async fn create(pool: &Pool, login: &str, password_hash: &str) -> Result<bool> {
    let query = sqlx::query!(
        "insert into operators (login, password_hash) values ($1, $2) on conflict (login) do nothing",
        login,
        password_hash
    );
    Ok(pool.execute(query).await?.rows_affected() == 1)
}

pub async fn list(pool: &Pool) -> Result<Vec<Listed>> {
    let query = sqlx::query!(
        r#"select o.login, o.created_at, o.disabled_at is not null as "disabled!",
                  (select count(*) from operator_sessions s
                    where s.operator = o.no and s.expires_at > holdfast_now()) as "sessions!",
                  (select max(s.last_seen) from operator_sessions s where s.operator = o.no) as last_seen
             from operators o
            order by o.login"#
    );
    let rows = pool.fetch_all(query).await?;
    let listed = rows.into_iter().map(|row| Listed {
        login: row.login,
        created_at: row.created_at,
        disabled: row.disabled,
        sessions: row.sessions,
        last_seen: row.last_seen,
    });
    Ok(listed.collect())
}

/// Another password; whoever is signed in with the old one is signed out. `false`: there is no such operator.
pub async fn set_password(pool: &Pool, login: &str, password_hash: &str) -> Result<bool> {
    let query = sqlx::query!(
        "with o as (
           update operators set password_hash = $2 where login = $1 returning no
         ),
         s as (
           delete from operator_sessions s using o where s.operator = o.no
         )
         select no from o",
        login,
        password_hash
    );
    Ok(pool.fetch_optional(query).await?.is_some())
}

/// Signs an operator out everywhere and lets them in no more, or takes that back. `false`: there is no such operator.
pub async fn set_disabled(pool: &Pool, login: &str, disabled: bool) -> Result<bool> {
    let query = sqlx::query!(
        "with o as (
           update operators
              set disabled_at = case when $2 then coalesce(disabled_at, holdfast_now()) end
            where login = $1
           returning no
         ),
         s as (
           delete from operator_sessions s using o where s.operator = o.no
         )
         select no from o",
        login,
        disabled
    );
    Ok(pool.fetch_optional(query).await?.is_some())
}

/// `None`: nobody of this login may come in.
pub async fn credentials(pool: &Pool, login: &str) -> Result<Option<Credentials>> {
    let query = sqlx::query!("select no, password_hash from operators where login = $1 and disabled_at is null", login);
    let row = pool.fetch_optional(query).await?;
    Ok(row.map(|row| Credentials { operator: row.no, password_hash: row.password_hash }))
}

/// Begins a session, and forgets those of this operator that are over. `false`: the password is another by now, or nobody
/// of this login may come in any more.
pub async fn open_session(pool: &Pool, session: NewSession<'_>) -> Result<bool> {
    let query = sqlx::query!(
        "with over as (
           delete from operator_sessions where operator = $2 and expires_at <= holdfast_now()
         )
         insert into operator_sessions (hash, operator, csrf_secret, expires_at)
         select $1, no, $3, holdfast_now() + make_interval(secs => $4)
           from operators
          where no = $2 and password_hash = $5 and disabled_at is null
            -- who is about to set another password ends the sessions of the old one after this
            for share",
        session.hash,
        session.operator,
        session.csrf_secret,
        session.lifetime.as_secs_f64(),
        session.password_hash
    );
    Ok(pool.execute(query).await?.rows_affected() == 1)
}

/// The session of this token, unless it was idle for too long. That it was seen is written once a minute.
pub async fn session(pool: &Pool, hash: &[u8], idle: Duration) -> Result<Option<Session>> {
    let query = sqlx::query!(
        "with seen as (
           update operator_sessions
              set last_seen = holdfast_now()
            where hash = $1 and last_seen < holdfast_now() - interval '1 min'
              and last_seen > holdfast_now() - make_interval(secs => $2)
         )
         select o.login, s.csrf_secret
           from operator_sessions s
           join operators o on o.no = s.operator
          where s.hash = $1 and s.expires_at > holdfast_now() and o.disabled_at is null
            and s.last_seen > holdfast_now() - make_interval(secs => $2)",
        hash,
        idle.as_secs_f64()
    );
    let row = pool.fetch_optional(query).await?;
    Ok(row.map(|row| Session { login: row.login, csrf_secret: row.csrf_secret }))
}

/// The same for who looks on without being there: it does not count as seen.
pub async fn glance(pool: &Pool, hash: &[u8], idle: Duration) -> Result<Option<Session>> {
    let query = sqlx::query!(
        "select o.login, s.csrf_secret
           from operator_sessions s
           join operators o on o.no = s.operator
          where s.hash = $1 and s.expires_at > holdfast_now() and o.disabled_at is null
            and s.last_seen > holdfast_now() - make_interval(secs => $2)",
        hash,
        idle.as_secs_f64()
    );
    let row = pool.fetch_optional(query).await?;
    Ok(row.map(|row| Session { login: row.login, csrf_secret: row.csrf_secret }))
}

pub async fn close_session(pool: &Pool, hash: &[u8]) -> Result<()> {
    pool.execute(sqlx::query!("delete from operator_sessions where hash = $1", hash)).await?;
    Ok(())
}
