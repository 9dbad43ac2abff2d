//! What other services are told: how far each sink is, and what is wrong with it.

use crate::failure::Failure;
use crate::fields::Fields;
use crate::layout::{self, Frame, Refresh, Tab, Tone, head, pill};
use crate::session::Session;
use crate::state::Console;
use crate::text;
use axum::extract::State;
use axum::response::Html;
use chrono::{DateTime, Utc};
use holdfast_app::config::Config;
use holdfast_store::event_sinks::{self, Standing};
use maud::{Markup, html};
use std::time::Duration;

/// Between two looks of a browser, in seconds.
const REFRESH: u32 = 10;

/// Events that are counted for a sink.
const COUNTED: i64 = 10_000;

/// What has been waiting for longer is late.
const LATE: Duration = Duration::from_secs(60);

pub(crate) async fn page(
    State(console): State<Console>,
    session: Session,
    query: Fields,
) -> Result<Html<String>, Failure> {
    let pool = &console.app.pool;
    let (sinks, now) = (event_sinks::standing(pool, COUNTED).await?, pool.now().await?);
    let body = html! {
        div.title { h1 { "Events for other services" } span.dim { "to the sinks that are configured" } }
        @if sinks.is_empty() { p.empty { "There are none." } }
        @else { (table(&sinks, &console.app.config, now)) }
    };
    let refresh = Refresh::Always(REFRESH);
    Ok(layout::page(&Frame { title: "Events", tab: Tab::Events, session: &session, query: &query, refresh }, &body))
}

fn table(sinks: &[Standing], config: &Config, now: DateTime<Utc>) -> Markup {
    html! {
        table.rows {
            (head(&["Sink", "State", "#Waiting", "#Oldest", "Last confirmed", "#Left out", "What it says"]))
            tbody {
                @for sink in sinks {
                    @let (tone, state) = state(sink, config);
                    tr {
                        td { (sink.name) }
                        td { (pill(tone, state)) }
                        td.number { (sink.lag) }
                        td.number { @if sink.lag > 0 { (text::seconds(sink.oldest.as_secs_f64())) } }
                        td {
                            @match sink.published_at {
                                Some(at) => { (text::between(at, now)) " ago" }
                                None => "never",
                            }
                        }
                        td.number { (sink.skipped) }
                        td { (says(sink)) }
                    }
                }
            }
        }
    }
}

fn state(sink: &Standing, config: &Config) -> (Tone, &'static str) {
    match sink {
        sink if !config.events.sinks.contains_key(&sink.name) => (Tone::Plain, "not configured"),
        Standing { is_ahead: true, .. } => (Tone::Bad, "of another server"),
        Standing { refused: Some(_), .. } => (Tone::Bad, "held up"),
        Standing { failures: 1.., .. } => (Tone::Warn, "failing"),
        sink if sink.lag > 0 && !sink.is_held => (Tone::Warn, "nobody publishes"),
        sink if sink.oldest >= LATE => (Tone::Warn, "late"),
        _ => (Tone::Good, "well"),
    }
}

fn says(sink: &Standing) -> Markup {
    html! {
        @if let Some(id) = &sink.refused {
            @let subject = id.split('/').next().unwrap_or_default();
            "refuses " a href={ "/console/commands/" (subject) } { code { (id) } } ": "
        }
        @if let Some(error) = &sink.error { (error) " " }
        @if sink.failures > 0 { span.dim { (sink.failures) " times in a row" } }
    }
}
