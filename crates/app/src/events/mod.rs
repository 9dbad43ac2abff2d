//! What others are told: rows of the outbox as events, to the sinks that are configured.

mod outlet;
mod pace;
mod portion;
pub mod publisher;
mod reader;
pub mod replay;

use crate::App;
use crate::config::Config;
use anyhow::Context as _;
use holdfast_domain::event::{self, Event, Subject, Write};
use holdfast_domain::money::{Currency, Money};
use holdfast_queue::{Clients, Endpoint};
use holdfast_sinks::Sink;
use holdfast_store::outbox::Written;
use std::sync::Arc;

/// The sink of this name, connected to nothing yet. `replay` is the id of one.
async fn connect(config: &Config, name: &str, replay: Option<String>) -> anyhow::Result<Arc<dyn Sink>> {
    let sink = config.events.sinks.get(name).with_context(|| format!("there is no events.sinks.{name}"))?;
    let endpoint = Endpoint { region: config.sqs.region.clone(), url: config.sqs.endpoint_url.clone() };
    let (settings, clients) = (sink.settings()?, Clients::connect(endpoint).await);
    let settings = match replay {
        Some(id) => settings.for_replay(id),
        None => settings,
    };
    settings.connect(&clients).with_context(|| format!("build events.sinks.{name}"))
}

/// Names of the sinks that are configured.
pub fn names(app: &App) -> Vec<String> {
    app.config.events.sinks.keys().cloned().collect()
}

/// The event of a row, the same whenever it is made.
fn event(written: Written) -> Event {
    let Written { id, kind, sequence, at, entries, before, refund, .. } = written;
    let subject = Subject {
        id,
        client: written.client,
        kind,
        key: written.key,
        content: written.content,
        traceparent: written.traceparent,
        accepted_at: written.accepted_at,
    };
    if sequence == 0 {
        return event::accepted(subject);
    }
    let amount = refund.and_then(|(minor, currency)| Money::from_minor(minor, Currency::parse(&currency)?));
    event::changed(subject, Write { sequence, at, entries: &entries, before: before.as_deref(), amount })
}
