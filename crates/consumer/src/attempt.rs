//! One attempt at an event: everything that happens in one transaction.

use crate::delivery::{Act, Delivery, Grave};
use crate::store::Moved;
use crate::waits::Waits;
use crate::{Begin, Consumer, Event, Failed, Handler};
use futures::FutureExt as _;
use sqlx::PgConnection;
use std::panic::AssertUnwindSafe;
use tokio::time::Instant;

impl<H: Handler> Consumer<H> {
    /// Takes the event's turn and acts in it. Whatever is not [`Moved::Yes`] has left nothing behind.
    pub(crate) async fn attempt<G: Grave>(
        &self,
        delivery: &Delivery<'_, G>,
        act: &Act,
        waits: &Waits,
    ) -> Result<Moved, Failed> {
        let started = Instant::now();
        let mut transaction = self.store.begin().await.map_err(away)?;
        let moved = self.take_turn(&mut transaction, delivery, waits).await.map_err(away)?;
        if let Moved::Yes(turn) = &moved {
            match act {
                Act::Handle => self.handle(delivery.event, &mut transaction).await?,
                Act::Bury { reason, .. } => delivery.grave.bury(reason).await?,
            }
            self.store.confirm(&mut transaction, turn).await?;
            transaction.commit().await?;
            delivery.metrics.took(started.elapsed());
        }
        Ok(moved)
    }

    async fn take_turn<G>(
        &self,
        conn: &mut PgConnection,
        delivery: &Delivery<'_, G>,
        waits: &Waits,
    ) -> sqlx::Result<Moved> {
        let moved = self.store.advance(conn, delivery.event).await?;
        let Moved::Missing { begun } = moved else { return Ok(moved) };
        if !begun && self.settings.begin == Begin::Anywhere {
            return self.store.overtake(conn, delivery.event, false).await;
        }
        if !waits.are_over(self.settings.patience) {
            return Ok(moved);
        }
        let moved = self.store.overtake(conn, delivery.event, true).await?;
        if matches!(moved, Moved::Yes(_)) {
            tracing::warn!(event.id = delivery.event.id, "its predecessors never came: going on without them");
            delivery.metrics.overtaken();
        }
        Ok(moved)
    }

    async fn handle(&self, event: &Event, conn: &mut PgConnection) -> Result<(), Failed> {
        let handling = AssertUnwindSafe(self.handler.handle(event, conn)).catch_unwind();
        match tokio::time::timeout(self.settings.timeout, handling).await {
            Ok(Ok(handled)) => handled,
            Ok(Err(_panic)) => Err(Failed::retry("the handler panicked")),
            Err(_elapsed) => Err(Failed::retry("the handler took too long")),
        }
    }
}

/// Of statements of our own: whatever Postgres says to them, it is not the event's fault.
fn away(error: sqlx::Error) -> Failed {
    let (Failed::Retry(reason) | Failed::Away(reason) | Failed::Refuse(reason)) = error.into();
    Failed::Away(reason)
}
