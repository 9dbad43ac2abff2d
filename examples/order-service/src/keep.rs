//! The handler: an order is what its last event says.

use holdfast_consumer::{Event, Failed, Handler};
use sqlx::PgConnection;

pub(crate) struct Keep;

impl Handler for Keep {
    async fn handle(&self, event: &Event, transaction: &mut PgConnection) -> Result<(), Failed> {
        // Other kinds of command come over the same channel.
        let Some(change) = event.kind.strip_prefix("order.") else { return Ok(()) };
        if !event.data.is_object() {
            return Err(Failed::refuse("the data is no object"));
        }
        let status = event.data["status"].as_str().unwrap_or(change);
        let order = "insert into orders (id, status, sequence, data)
                     values ($1, $2, $3, $4)
                     on conflict (id) do update
                        set status = excluded.status, sequence = excluded.sequence, data = excluded.data,
                            changed_at = now()";
        let query = sqlx::query(order).bind(&event.subject).bind(status).bind(event.sequence).bind(&event.data);
        query.execute(&mut *transaction).await?;
        let trail = "insert into order_events (order_id, sequence, kind) values ($1, $2, $3)";
        let query = sqlx::query(trail).bind(&event.subject).bind(event.sequence).bind(&event.kind);
        query.execute(transaction).await?;
        Ok(())
    }
}
