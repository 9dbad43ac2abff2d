//! What can go wrong with a statement, told apart once, here.

/// Only four things matter to a caller: come back later, one of these rows is in somebody's hands, this data will never fit,
/// or this is a bug.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer, or an answer that says "not now". Whether a write happened is unknown.
    #[error("postgres is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// Somebody else holds the lock on a row for too long. The other rows of the statement are free.
    #[error("a row is locked by somebody else")]
    Locked(#[source] sqlx::Error),
    /// A standby, or a primary that was demoted.
    #[error("postgres takes no writes")]
    ReadOnly,
    /// SQLSTATE class 22 or 23: these rows will be refused every time.
    #[error("postgres refused the data")]
    Refused(#[source] sqlx::Error),
    #[error("postgres statement failed")]
    Failed(#[source] sqlx::Error),
    /// A stored value that this version cannot read.
    #[error("stored {what} cannot be read")]
    Unreadable { what: &'static str },
}

/// SQLSTATE after `lock_timeout`.
pub(crate) const LOCK_NOT_AVAILABLE: &str = "55P03";

impl Error {
    /// With its cause, for whoever finds a letter that was kept because of it.
    pub fn described(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }

    /// There was no connection, which says nothing about the server: all of them may have been busy.
    pub const fn is_without_connection(&self) -> bool {
        matches!(self, Self::Unavailable(sqlx::Error::PoolTimedOut))
    }

    /// It would work at another time, and it is not known whether it has worked.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Locked(_))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let code = match &error {
            sqlx::Error::Database(database) => database.code(),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => return Self::Unavailable(error),
            _ => return Self::Failed(error),
        };
        if code.as_deref() == Some(LOCK_NOT_AVAILABLE) {
            return Self::Locked(error);
        }
        match code.as_deref().and_then(|code| code.get(..2)) {
            Some("22" | "23") => Self::Refused(error),
            // Connection, read-only (a demoted primary), authorisation and catalogue (while it is being set up), rollback
            // (deadlock), resources, object state, operator intervention (shutdown, timeout), system error.
            Some("08" | "25" | "28" | "3D" | "40" | "53" | "55" | "57" | "58") => Self::Unavailable(error),
            _ => Self::Failed(error),
        }
    }
}

/// For a caller whose statement was lost inside this process.
pub const fn worker_crashed() -> sqlx::Error {
    sqlx::Error::WorkerCrashed
}
