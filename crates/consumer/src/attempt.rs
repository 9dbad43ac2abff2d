//! One attempt at an event: everything that happens in one transaction.

use crate::delivery::{Act, Delivery, Grave, Hold};
use crate::store::{Moved, Turn};
use crate::waits::Waits;
use crate::{Begin, Consumer, Event, Failed, Handler};
use futures::FutureExt as _;
use sqlx::{PgConnection, Postgres, Transaction};
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What Postgres may take beside the handler, and a dead letter until it lies where it belongs.
const MARGIN: Duration = Duration::from_secs(15);

/// Where an attempt has stopped.
pub(crate) enum Attempt {
    /// Whatever is not [`Moved::Yes`] has left nothing behind. `overtook`: without its predecessors.
    Ended { moved: Moved, overtook: bool },
    /// The consumer is to stop, and the event's turn had not come.
    Stopped,
}

impl<H: Handler> Consumer<H> {
    /// Takes the event's turn and acts in it.
    pub(crate) async fn attempt<G: Grave>(
        &self,
        delivery: &Delivery<'_, G>,
        act: &Act,
        waits: &Waits,
        stop: &CancellationToken,
    ) -> Result<Attempt, Failed> {
        let started = Instant::now();
        let connecting = in_time(self.limit(), self.store.connect());
        let Some(conn) = stop.run_until_cancelled(connecting).await else { return Ok(Attempt::Stopped) };
        let mut conn = conn?;
        let attempted = self.attempt_over(&mut conn, delivery, act, waits, stop).await;
        if !matches!(attempted, Ok(Attempt::Ended { .. })) {
            // Something may be under way on it that was not waited for: the pool would wait for that, for ever.
            conn.close_on_drop();
        }
        if let Ok(Attempt::Ended { moved: Moved::Yes(_), .. }) = &attempted {
            delivery.metrics.took(started.elapsed());
        }
        attempted
    }

    async fn attempt_over<G: Grave>(
        &self,
        conn: &mut PgConnection,
        delivery: &Delivery<'_, G>,
        act: &Act,
        waits: &Waits,
        stop: &CancellationToken,
    ) -> Result<Attempt, Failed> {
        let beginning = in_time(self.limit(), async {
            let mut transaction = self.store.begin(conn, self.limit()).await?;
            let taken = self.take_turn(&mut transaction, delivery, waits).await?;
            Ok((transaction, taken))
        });
        let Some(begun) = stop.run_until_cancelled(beginning).await else { return Ok(Attempt::Stopped) };
        let (mut transaction, (moved, overtook)) = begun?;
        let Moved::Yes(turn) = &moved else {
            in_time(self.limit(), transaction.rollback()).await?;
            return Ok(Attempt::Ended { moved, overtook });
        };
        match act {
            Act::Handle => self.handle(delivery.event, &mut transaction).await?,
            Act::Bury { reason, .. } => delivery.grave.bury(reason).await?,
        }
        self.commit(transaction, turn).await?;
        Ok(Attempt::Ended { moved, overtook })
    }

    /// Answers whether it overtakes others, too.
    async fn take_turn<G>(
        &self,
        conn: &mut PgConnection,
        delivery: &Delivery<'_, G>,
        waits: &Waits,
    ) -> sqlx::Result<(Moved, bool)> {
        let moved = self.store.advance(conn, delivery.event).await?;
        let Moved::Missing { begun } = moved else { return Ok((moved, false)) };
        let joins = !begun && self.settings.begin == Begin::Anywhere;
        let is_over = match delivery.hold {
            Hold::InItsQueue { again, is_last, .. } => is_last || joins && again,
            Hold::Here | Hold::WhileThereIsRoom => waits.are_over(self.patience(joins), &self.calm),
        };
        if !is_over {
            return Ok((moved, false));
        }
        let moved = self.store.overtake(conn, delivery.event).await?;
        let overtook = !joins && matches!(moved, Moved::Yes(_));
        Ok((moved, overtook))
    }

    async fn handle(&self, event: &Event, conn: &mut PgConnection) -> Result<(), Failed> {
        let handling = AssertUnwindSafe(self.handler.handle(event, conn)).catch_unwind();
        match tokio::time::timeout(self.settings.timeout, handling).await {
            Ok(Ok(handled)) => handled,
            Ok(Err(_panic)) => Err(Failed::retry("the handler panicked")),
            Err(_elapsed) => Err(Failed::retry("the handler took too long")),
        }
    }

    /// Should its answer be lost, the next attempt will find whether it was done.
    async fn commit(&self, mut transaction: Transaction<'_, Postgres>, turn: &Turn) -> Result<(), Failed> {
        let committing = async {
            self.store.confirm(&mut transaction, turn).await?;
            Ok(transaction.commit().await?)
        };
        tokio::time::timeout(self.limit(), committing).await.unwrap_or_else(|_elapsed| Err(too_slow()))
    }

    /// Of a transaction, and of each of our own steps in it.
    fn limit(&self) -> Duration {
        self.settings.timeout + MARGIN
    }
}

/// Of statements of our own: whatever Postgres says to them, it is not the event's fault.
async fn in_time<T>(limit: Duration, asking: impl Future<Output = sqlx::Result<T>>) -> Result<T, Failed> {
    match tokio::time::timeout(limit, asking).await {
        Ok(answer) => answer.map_err(away),
        Err(_elapsed) => Err(too_slow()),
    }
}

fn too_slow() -> Failed {
    Failed::away("postgres did not answer in time")
}

fn away(error: sqlx::Error) -> Failed {
    let (Failed::Retry(reason) | Failed::Away(reason) | Failed::Refuse(reason)) = error.into();
    Failed::Away(reason)
}
