//! Third parties: how each is treated, and what each worker makes of it at present.

use crate::failure::Failure;
use crate::fields::Fields;
use crate::layout::{self, Frame, Refresh, Tab, Tone, head, pill};
use crate::session::Session;
use crate::state::Console;
use crate::text;
use axum::extract::State;
use axum::response::Html;
use holdfast_app::config::{Config, Partner};
use holdfast_domain::breaker::{Breaker, Seen};
use holdfast_store::workers::Listed;
use maud::{Markup, html};
use std::collections::BTreeSet;

pub(crate) async fn page(
    State(console): State<Console>,
    session: Session,
    query: Fields,
) -> Result<Html<String>, Failure> {
    let workers = holdfast_store::workers::list(&console.app.pool, 200).await?;
    let config = &console.app.config;
    let known = config.partners.keys().map(String::as_str);
    let seen = workers.iter().filter_map(|worker| worker.partners.as_ref()).flat_map(|partners| partners.keys());
    let names: BTreeSet<&str> = known.chain(seen.map(String::as_str)).collect();
    let body = html! {
        div.title { h1 { "Partners" } span.dim { "each worker finds out for itself whether one answers" } }
        @if names.is_empty() { p.empty { "None is configured, and no worker speaks of one." } }
        @for name in names { (partner(name, config, &workers)) }
    };
    let frame =
        Frame { title: "Partners", tab: Tab::Partners, session: &session, query: &query, refresh: Refresh::Never };
    Ok(layout::page(&frame, &body))
}

fn partner(name: &str, config: &Config, workers: &[Listed]) -> Markup {
    let part = parts(name, config).join(", ");
    html! {
        section.partner {
            div.title { h2 { (name) } @if !part.is_empty() { span.dim { "takes " (part) } } }
            div.columns {
                div { (views(name, workers)) }
                div { @if let Some(terms) = config.partners.get(name) { (terms_of(terms)) } }
            }
        }
    }
}

fn parts(name: &str, config: &Config) -> Vec<&'static str> {
    let takes = [
        ("transactions", config.transactions.partner == name),
        ("refunds", config.refunds.partners.iter().any(|partner| partner == name)),
        ("orders", config.orders.partner.as_deref() == Some(name)),
    ];
    takes.into_iter().filter(|(_, takes)| *takes).map(|(kind, _)| kind).collect()
}

fn views(name: &str, workers: &[Listed]) -> Markup {
    let views: Vec<(&Listed, Seen)> =
        workers.iter().filter_map(|worker| Some((worker, *worker.partners.as_ref()?.get(name)?))).collect();
    html! {
        @if views.is_empty() { p.dim { "No worker speaks of it." } }
        @else {
            table {
                (head(&["Worker", "Breaker", "#Failures in a row", "#Under way"]))
                tbody {
                    @for (worker, seen) in views {
                        tr {
                            td { (worker.name) " " span.dim { (worker.id.0) } }
                            td { (breaker(seen.breaker)) }
                            td.number { (seen.failures) }
                            td.number { (seen.under_way) }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn breaker(breaker: Breaker) -> Markup {
    let tone = match breaker {
        Breaker::Closed => Tone::Good,
        Breaker::Open => Tone::Bad,
        Breaker::Probing => Tone::Warn,
    };
    pill(tone, breaker.name())
}

/// Without what it is told who we are with.
fn terms_of(terms: &Partner) -> Markup {
    let keys = match (terms.at_most_once, terms.idempotent) {
        (true, _) => "none: after an unknown outcome it is looked up, never created again",
        (false, true) => "it dedupes by ours",
        (false, false) => "it forgets ours at times",
    };
    let time = |ms: holdfast_app::config::Millis| text::seconds(ms.get().as_secs_f64());
    html! {
        dl.facts {
            dt { "address" } dd { (super::content::address(terms.base_url.as_str())) }
            dt { "deadlines" } dd {
                "creation " (time(terms.create_timeout_ms)) ", look-up " (time(terms.lookup_timeout_ms))
            }
            dt { "creations" } dd { "at most " (terms.tries) ", " (time(terms.try_delay_ms)) " apart" }
            dt { "keys" } dd { (keys) }
            dt { "settles within" } dd { (time(terms.settle_within_ms)) }
            dt { "at once" } dd { (terms.concurrency) " requests per process" }
            dt { "breaker" } dd {
                "opens after " (terms.breaker_failures) " failures, for "
                (time(terms.breaker_open_ms)) " to " (time(terms.breaker_cap_ms))
            }
            dt { "webhooks" } dd { @if terms.webhook_secret.is_some() { "signed" } @else { "none" } }
        }
    }
}
