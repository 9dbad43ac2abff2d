//! Whom we still have to tell, in the order in which it is due.

use super::page_of;
use crate::failure::Failure;
use crate::fields::{Fields, address};
use crate::layout::{self, Frame, Refresh, Tab, Tone, head, pill};
use crate::session::Session;
use crate::state::Console;
use crate::text;
use axum::extract::State;
use axum::response::Html;
use chrono::{DateTime, Utc};
use holdfast_domain::{ClientNo, CommandNo};
use holdfast_store::clients;
use holdfast_store::wakeups::{After, Telling, telling};
use maud::{Markup, html};
use std::collections::HashMap;

const HERE: &str = "/console/callbacks";

pub(crate) async fn page(
    State(console): State<Console>,
    session: Session,
    query: Fields,
) -> Result<Html<String>, Failure> {
    let pool = &console.app.pool;
    let tries: i16 = query.number("tries").unwrap_or(0);
    let (owed, last) = page_of(telling(pool, tries, after(&query), super::PAGE + 1).await?);
    let mut names = HashMap::new();
    for client in owed.iter().map(|owed| owed.client).collect::<std::collections::BTreeSet<_>>() {
        names.insert(client, clients::name(pool, client).await?.unwrap_or_default());
    }
    let next = last.map(|last| further(tries, &last));
    let body = shown(&owed, &names, tries, next.as_deref(), pool.now().await?);
    let frame =
        Frame { title: "Callbacks", tab: Tab::Callbacks, session: &session, query: &query, refresh: Refresh::Never };
    Ok(layout::page(&frame, &body))
}

fn after(query: &Fields) -> Option<After> {
    let due_at = DateTime::from_timestamp_micros(query.number("after")?)?;
    Some(After { due_at, no: CommandNo(query.number("no")?) })
}

fn further(tries: i16, last: &Telling) -> String {
    let (after, no) = (last.due_at.timestamp_micros().to_string(), last.no.0.to_string());
    address(HERE, &[("tries", &tries.to_string()), ("after", &after), ("no", &no)])
}

fn shown(
    owed: &[Telling],
    names: &HashMap<ClientNo, String>,
    tries: i16,
    next: Option<&str>,
    now: DateTime<Utc>,
) -> Markup {
    html! {
        div.title {
            h1 { "Callbacks that are owed" }
            form.filter method="get" action=(HERE) {
                select name="tries" aria-label="Attempts" {
                    @for (least, name) in [(0, "all"), (1, "that have failed"), (3, "that have failed three times")] {
                        option value=(least) selected[tries == least] { (name) }
                    }
                }
                button type="submit" { "Filter" }
            }
        }
        @if owed.is_empty() { p.empty { "Every client knows what it is to know." } }
        @else {
            table.rows {
                (head(&["Kind", "Command", "Client", "#Failed attempts", "Next attempt"]))
                tbody {
                    @for owed in owed {
                        tr {
                            td { (owed.kind) }
                            td {
                                a href={ "/console/commands/" (owed.id) "#callbacks" } { code { (owed.id) } }
                            }
                            td {
                                (names.get(&owed.client).map_or("", String::as_str)) " "
                                span.dim { "no " (owed.client.0) }
                            }
                            td.number { (owed.tries) }
                            td { (when(owed, now)) }
                        }
                    }
                }
            }
            @if let Some(next) = next { p { a.next href=(next) { "Next page" } } }
        }
    }
}

fn when(owed: &Telling, now: DateTime<Utc>) -> Markup {
    match (owed.claimed, owed.run_at > now) {
        (true, _) => pill(Tone::Busy, "under way"),
        (false, true) => html! { "in " (text::between(now, owed.run_at)) },
        (false, false) => pill(Tone::Warn, "due"),
    }
}
