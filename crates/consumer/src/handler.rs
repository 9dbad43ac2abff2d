//! What a service writes: its own answer to an event.

use crate::Event;
use sqlx::PgConnection;

/// Makes of an event what the service needs of it.
///
/// It is given a transaction of the consumer's own database, in which the event is already noted as handled: what is
/// written through it commits together with that note, or not at all. So it is written once, however often the event is
/// delivered. What is done elsewhere (a mail, a request to another service) is done at least once: write it down here,
/// and let somebody else send it.
///
/// Events of one subject are handled one after the other, in their order. Those of different subjects are handled at once.
///
/// ```
/// use holdfast_consumer::{Event, Failed, Handler, sqlx};
///
/// struct Orders;
///
/// impl Handler for Orders {
///     async fn handle(&self, event: &Event, transaction: &mut sqlx::PgConnection) -> Result<(), Failed> {
///         if event.kind != "order.completed" {
///             return Ok(());
///         }
///         let Some(product) = event.data["productName"].as_str() else {
///             return Err(Failed::refuse("an order without a product"));
///         };
///         sqlx::query("insert into orders (id, product) values ($1, $2)")
///             .bind(&event.subject)
///             .bind(product)
///             .execute(transaction)
///             .await?;
///         Ok(())
///     }
/// }
/// ```
pub trait Handler: Send + Sync + 'static {
    /// An error or a panic rolls everything back. So does an end of the transaction by the handler itself.
    fn handle(&self, event: &Event, transaction: &mut PgConnection) -> impl Future<Output = Result<(), Failed>> + Send;
}

/// Why an event was not handled. The reason is logged and kept with a dead letter: it must not repeat what the event holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// It may work another time. It is tried again, later each time, and is a dead letter after the last try.
    #[error("{0}")]
    Retry(String),
    /// Something is away that every event needs. It is tried again until that is back, and no try is counted.
    #[error("{0}")]
    Away(String),
    /// It will never work. It is a dead letter at once.
    #[error("{0}")]
    Refuse(String),
}

impl Failed {
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry(reason.into())
    }

    pub fn away(reason: impl Into<String>) -> Self {
        Self::Away(reason.into())
    }

    pub fn refuse(reason: impl Into<String>) -> Self {
        Self::Refuse(reason.into())
    }
}

/// [`Failed::Away`] where the database cannot be reached, else [`Failed::Retry`]. Names Postgres's code and the constraint
/// and does not repeat its message, which may show what it was given.
impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::Database(said) => {
                let code = said.code().unwrap_or_default().into_owned();
                let reason = format!("postgres refused it: {code} {}", said.constraint().unwrap_or_default());
                if is_away(&code) { Self::Away(reason) } else { Self::Retry(reason) }
            }
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed => {
                Self::Away(format!("postgres: {error}"))
            }
            _ => Self::Retry(format!("postgres: {error}")),
        }
    }
}

/// Of [Postgres's codes](https://www.postgresql.org/docs/current/errcodes-appendix.html): no connection, too few of them,
/// a server that ends, starts or only reads.
fn is_away(code: &str) -> bool {
    code.starts_with("08") || ["25006", "53300", "57P01", "57P02", "57P03"].contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_away_costs_no_try() {
        assert!(matches!(Failed::from(sqlx::Error::PoolTimedOut), Failed::Away(_)));
        assert!(matches!(Failed::from(sqlx::Error::RowNotFound), Failed::Retry(_)));
        // It may be what is asked that cannot be said.
        assert!(matches!(Failed::from(sqlx::Error::Protocol("too long".to_owned())), Failed::Retry(_)));
        assert!(is_away("08006") && is_away("57P03"));
        // A unique violation, a deadlock, a statement that took too long.
        assert!(["23505", "40P01", "57014"].iter().all(|code| !is_away(code)));
    }
}
