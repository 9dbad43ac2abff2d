//! The schema's version. Binaries refuse a schema that they do not know.

use crate::Pool;
use sqlx::migrate::{MigrateDatabase as _, MigrateError, Migrator};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("the database has no Holdfast schema: run `holdfast migrate`")]
    Missing,
    #[error("the database schema is older than this binary (at {found}, needs {needed}): run `holdfast migrate`")]
    Older { found: i64, needed: i64 },
    #[error("the database schema is newer than this binary (at {found}, knows {known}): deploy a newer binary")]
    Newer { found: i64, known: i64 },
    #[error("the last migration ({0}) did not finish: see `holdfast migrate`")]
    Unfinished(i64),
    #[error(transparent)]
    Store(#[from] crate::Error),
}

/// Applies what is missing. Safe to run from several machines at once: an advisory lock lets one at a time.
pub async fn migrate(pool: &Pool) -> Result<(), MigrateError> {
    MIGRATIONS.run(pool.connections()).await
}

/// Compares the applied migrations with those that this binary was built with.
pub async fn check(pool: &Pool) -> Result<(), SchemaError> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
    let applied = sqlx::query!("select version, success from _sqlx_migrations order by version desc limit 1")
        .fetch_optional(pool.connections())
        .await;
    let applied = match applied {
        // 42P01 undefined_table
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => {
            return Err(SchemaError::Missing);
        }
        Err(error) => return Err(crate::Error::from(error).into()),
        Ok(None) => return Err(SchemaError::Missing),
        Ok(Some(applied)) => applied,
    };
    match applied.version {
        version if !applied.success => Err(SchemaError::Unfinished(version)),
        version if version < known => Err(SchemaError::Older { found: version, needed: known }),
        version if version > known => Err(SchemaError::Newer { found: version, known }),
        _ => Ok(()),
    }
}

/// Creates the database that the URL names, if it is not there. For development and tests: where databases are
/// provisioned, nobody needs this right.
pub async fn ensure_database(database_url: &str) -> Result<(), sqlx::Error> {
    match sqlx::Postgres::database_exists(database_url).await? {
        true => Ok(()),
        false => sqlx::Postgres::create_database(database_url).await,
    }
}
