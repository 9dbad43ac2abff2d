//! The schema's version. Binaries refuse a schema that is older than they are. One that is newer serves them too: a migration
//! only adds, until no binary is left that needs what a later one removes.

use crate::Pool;
use crate::error::LOCK_NOT_AVAILABLE;
use sqlx::migrate::{Migrate as _, MigrateDatabase as _, MigrateError, Migrator};
use sqlx::{AssertSqlSafe, PgConnection};
use std::time::Duration;

fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!("../../migrations");
    // See `my_turn`.
    migrations.set_locking(false);
    // Those of a later version, where this one has come back.
    migrations.set_ignore_missing(true);
    migrations
}

/// How long a migration waits for a lock: everybody who wants the table waits behind it, for what stands in its way may be
/// a report that takes an hour.
const LOCK_PATIENCE: &str = "300ms";

/// The same for an index that is built beside everything else: it waits for old transactions, and nobody waits behind it.
const UNHURRIED: &str = "60s";

/// How often a migration asks for its locks, and the shortest pause between: with what is added to it, minutes in all, of
/// which others wait a sixth at the most.
const LOCK_TRIES: u32 = 120;
const PAUSE: Duration = Duration::from_secs(1);

/// How often it is asked whether it is our turn.
const TURN: Duration = Duration::from_millis(200);

/// SQLSTATE
const UNDEFINED_TABLE: &str = "42P01";

#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("the database has no Holdfast schema: run `holdfast migrate`")]
    Missing,
    #[error(
        "the database schema is older than this binary (lacks migration {needed}, newest is {found}): run `holdfast migrate`"
    )]
    Older { found: i64, needed: i64 },
    #[error("the last migration ({0}) did not finish: see `holdfast migrate`")]
    Unfinished(i64),
    #[error(transparent)]
    Store(#[from] crate::Error),
}

/// Applies what is missing. Safe to run from several machines at once: an advisory lock lets one at a time. An index over a
/// large table may take its time; a lock that does not come soon is given up and asked for again, because everybody else
/// waits behind whoever waits for one.
pub async fn migrate(pool: &Pool) -> Result<(), MigrateError> {
    let migrations = migrations();
    let mut tries = 1;
    loop {
        let mut connection = pool.connections().acquire().await?.detach();
        sqlx::raw_sql("set statement_timeout = 0").execute(&mut connection).await?;
        my_turn(&mut connection).await?;
        match apply(&migrations, &mut connection).await {
            Err(error) if tries < LOCK_TRIES && is_lock_timeout(&error) => {
                tracing::warn!(%error, tries, "could not lock what is to be migrated, trying again");
                tries += 1;
                pause(&mut connection).await?;
            }
            migrated => return migrated,
        }
    }
}

/// One by one: how long each may wait for a lock depends on who would wait behind it.
async fn apply(migrations: &Migrator, connection: &mut PgConnection) -> Result<(), MigrateError> {
    set_patience(connection, UNHURRIED).await?;
    remove_unfinished(migrations, connection).await?;
    for migration in migrations.iter() {
        set_patience(connection, if migration.no_tx { UNHURRIED } else { LOCK_PATIENCE }).await?;
        migrations.run_to(migration.version, &mut *connection).await?;
    }
    Ok(())
}

async fn set_patience(connection: &mut PgConnection, patience: &str) -> Result<(), sqlx::Error> {
    sqlx::query("select set_config('lock_timeout', $1, false)").bind(patience).execute(connection).await?;
    Ok(())
}

/// One to two seconds, in which everybody else goes on. Never the same: what stands in the way may come at intervals too.
#[expect(clippy::disallowed_methods, reason = "this crate knows no other that waits")]
async fn pause(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let jitter = sqlx::query_scalar("select random()").fetch_one(connection).await?;
    tokio::time::sleep(PAUSE + PAUSE.mul_f64(jitter)).await;
    Ok(())
}

/// Asked again and again: a statement that waits would itself be waited for by an index that is built concurrently. The lock
/// ends with the connection.
#[expect(clippy::disallowed_methods, reason = "this crate knows no other that waits")]
async fn my_turn(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let sql = "select pg_try_advisory_lock(hashtext('holdfast migrate'))";
    let mut told = false;
    while !sqlx::query_scalar::<_, bool>(sql).fetch_one(&mut *connection).await? {
        if !told {
            tracing::warn!(
                "another migration is under way (who holds an advisory lock in pg_locks), waiting for its end"
            );
            told = true;
        }
        tokio::time::sleep(TURN).await;
    }
    Ok(())
}

/// An index whose building was given up, or not noted as done, stands in the way of the next attempt.
async fn remove_unfinished(migrations: &Migrator, connection: &mut PgConnection) -> Result<(), MigrateError> {
    connection.ensure_migrations_table(&migrations.table_name).await?;
    let applied = connection.list_applied_migrations(&migrations.table_name).await?;
    let pending = |version| !applied.iter().any(|applied| applied.version == version);
    for migration in migrations.iter().filter(|migration| migration.no_tx && pending(migration.version)) {
        for built in migration.sql.as_str().split("create index concurrently ").skip(1) {
            let name = built.split_whitespace().next().unwrap_or_default();
            let sql = format!("drop index concurrently if exists {name}");
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

fn is_lock_timeout(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else { return false };
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some(LOCK_NOT_AVAILABLE))
}

/// Which version stands, and which one this binary was built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    pub found: i64,
    pub known: i64,
}

/// Compares the applied migrations with those that this binary was built with.
pub async fn check(pool: &Pool) -> Result<(), SchemaError> {
    let Applied { found, known } = applied(pool).await?;
    if found > known {
        tracing::warn!(found, known, "the database schema is newer than this binary");
    }
    Ok(())
}

/// The same, and says what was found where it serves.
pub async fn applied(pool: &Pool) -> Result<Applied, SchemaError> {
    let query = sqlx::query!("select version, success from _sqlx_migrations order by version");
    let applied = match pool.fetch_all(query).await {
        Err(crate::Error::Failed(sqlx::Error::Database(error))) if error.code().as_deref() == Some(UNDEFINED_TABLE) => {
            return Err(SchemaError::Missing);
        }
        applied => applied?,
    };
    let found = applied.last().ok_or(SchemaError::Missing)?.version;
    if let Some(unfinished) = applied.iter().find(|migration| !migration.success) {
        return Err(SchemaError::Unfinished(unfinished.version));
    }
    let migrations = migrations();
    let known = migrations.iter().map(|migration| migration.version);
    if let Some(needed) = known.clone().find(|known| applied.iter().all(|applied| applied.version != *known)) {
        return Err(SchemaError::Older { found, needed });
    }
    Ok(Applied { found, known: known.max().unwrap_or_default() })
}

/// Creates the database that the URL names, if it is not there. For development and tests: where databases are
/// provisioned, nobody needs this right.
pub async fn ensure_database(database_url: &str) -> Result<(), sqlx::Error> {
    match sqlx::Postgres::database_exists(database_url).await? {
        true => Ok(()),
        false => sqlx::Postgres::create_database(database_url).await,
    }
}
