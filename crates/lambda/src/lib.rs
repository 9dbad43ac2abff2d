//! holdfast-lambda: the worker's handlers behind an SQS event source, and the relay behind a schedule.
//!
//! The event source deletes what is not reported as failed. Each invocation is a worker's whole life: between two of them
//! the process is frozen, and must owe nobody anything.

mod batch;
pub mod secrets;

use anyhow::Context as _;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use holdfast_app::{App, relay};
use lambda_runtime::{Context, LambdaEvent, service_fn};
use serde::Deserialize;
use std::time::{Duration, SystemTime};
use tokio::sync::OnceCell;

/// For spans, of the time that [`batch::work`] leaves: what is not sent by then is sent when the process thaws.
const LAST_MOMENT: Duration = Duration::from_millis(300);

/// What a function is invoked with.
#[derive(Deserialize)]
struct Event {
    /// Of an SQS event source. A schedule's event has none.
    #[serde(rename = "Records")]
    messages: Option<Vec<SqsMessage>>,
}

/// Serves invocations until the process is ended.
pub async fn run(app: App) -> anyhow::Result<()> {
    let schema_checked = OnceCell::new();
    let (app, schema_checked) = (&app, &schema_checked);
    let handler = |event: LambdaEvent<Event>| async move {
        let invoked = Box::pin(invoke(app, schema_checked, event)).await;
        // With what led to it: that is all that anybody gets to see.
        invoked.map_err(|error| lambda_runtime::Error::from(format!("{error:#}")))
    };
    lambda_runtime::run(service_fn(handler)).await.map_err(anyhow::Error::from_boxed)
}

async fn invoke(
    app: &App,
    schema_checked: &OnceCell<()>,
    event: LambdaEvent<Event>,
) -> anyhow::Result<SqsBatchResponse> {
    let (event, context) = event.into_parts();
    schema_checked.get_or_try_init(|| app.check_schema()).await.context("cannot work with this database")?;
    let answer = match event.messages {
        Some(messages) => Box::pin(batch::work(app, messages, time_left(&context))).await,
        None => tick(app).await.map(|()| SqsBatchResponse::default()),
    };
    app.tracer.flush(LAST_MOMENT).await;
    answer
}

/// With no process that runs all the time, a schedule must publish what is overdue.
async fn tick(app: &App) -> anyhow::Result<()> {
    let all = relay::publish_overdue_now(app).await.context("publish what is overdue")?;
    tracing::info!(all, "published what was overdue");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the deadline is given by the clock of this machine")]
fn time_left(context: &Context) -> Duration {
    context.deadline().duration_since(SystemTime::now()).unwrap_or_default()
}
