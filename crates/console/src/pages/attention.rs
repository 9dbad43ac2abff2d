//! What needs a person: parked commands, and items about commands that have ended.

use super::page_of;
use crate::act::Act;
use crate::failure::Failure;
use crate::fields::{Fields, address};
use crate::layout::{self, Frame, Refresh, Tab, Tone, command, csrf, head, pill, why};
use crate::session::Session;
use crate::state::Console;
use crate::text;
use axum::extract::{Path, State};
use axum::response::{Html, Redirect};
use chrono::{DateTime, Utc};
use holdfast_app::attention;
use holdfast_domain::{CommandId, CommandNo, Kind};
use holdfast_store::attention::{self as store, Filter, Item, Parked, Place};
use maud::{Markup, html};
use std::time::Duration;

const HERE: &str = "/console/attention";

/// Items that are shown; they are few.
const ITEMS: i64 = 100;

/// Choices of age, in hours.
const AGES: [(&str, &str); 4] = [("", "any age"), ("1", "over an hour"), ("24", "over a day"), ("168", "over a week")];

struct Inbox {
    reasons: Vec<(Kind, String, i64)>,
    parked: Vec<Parked>,
    next: Option<String>,
    items: Vec<Item>,
    now: DateTime<Utc>,
}

pub(crate) async fn page(
    State(console): State<Console>,
    session: Session,
    query: Fields,
) -> Result<Html<String>, Failure> {
    let pool = &console.app.pool;
    let (parked, last) = page_of(store::parked_after(pool, &filter(&query), place(&query)).await?);
    let inbox = Inbox {
        reasons: store::reasons(pool).await?,
        parked,
        next: last.map(|last| further(&query, &last)),
        items: store::items(pool, ITEMS).await?,
        now: pool.now().await?,
    };
    let frame =
        Frame { title: "Attention", tab: Tab::Attention, session: &session, query: &query, refresh: Refresh::Never };
    Ok(layout::page(&frame, &shown(&inbox, &query, &session)))
}

/// Has those that are ticked carried on.
pub(crate) async fn retry(State(console): State<Console>, act: Act) -> Result<Redirect, Failure> {
    let ids: Vec<CommandId> = act.fields.all("id").filter_map(|id| id.parse().ok()).collect();
    if ids.is_empty() {
        return Err(Failure::refused("Tick the commands that are to be carried on."));
    }
    let filter = Filter { ids: Some(ids), limit: super::PAGE, ..Filter::default() };
    for parked in store::parked(&console.app.pool, &filter).await? {
        attention::retry(&console.app, &parked, act.operator()).await?;
        let by = act.operator().by;
        tracing::info!(operator.login = by, command.id = %parked.id, "an operator has a command carried on");
    }
    Ok(Redirect::to(&address(HERE, &[("done", "some-retried")])))
}

/// Closes an item.
pub(crate) async fn close(State(console): State<Console>, Path(no): Path<i64>, act: Act) -> Result<Redirect, Failure> {
    match store::close(&console.app.pool, no, act.operator()).await? {
        true => Ok(Redirect::to(&address(HERE, &[("done", "closed")]))),
        false => Err(Failure::refused("Somebody has closed it already.")),
    }
}

fn filter(query: &Fields) -> Filter {
    let kind = query.get("kind").and_then(|name| Kind::ALL.into_iter().find(|kind| kind.name() == name));
    let hours: Option<u64> = query.number("hours");
    Filter {
        ids: None,
        kind,
        reason: query.get("reason").map(ToOwned::to_owned),
        // Further back than there are commands, no number of hours makes a difference.
        older_than: hours.map(|hours| Duration::from_secs(hours.min(1_000_000) * 3_600)),
        limit: super::PAGE + 1,
    }
}

fn place(query: &Fields) -> Option<Place> {
    let since = DateTime::from_timestamp_micros(query.number("after")?)?;
    Some(Place { since, no: CommandNo(query.number("no")?) })
}

fn further(query: &Fields, last: &Parked) -> String {
    let (after, no) = (last.since.timestamp_micros().to_string(), last.no.0.to_string());
    let kept = |name| query.get(name).unwrap_or_default();
    let kept = [("kind", kept("kind")), ("reason", kept("reason")), ("hours", kept("hours"))];
    address(HERE, &[&kept[..], &[("after", &*after), ("no", &*no)]].concat())
}

fn shown(inbox: &Inbox, query: &Fields, session: &Session) -> Markup {
    html! {
        div.title { h1 { "Needs attention" } (narrowing(inbox, query)) }
        @if inbox.parked.is_empty() && inbox.items.is_empty() {
            p.empty { "Nothing needs a person." }
        }
        @if !inbox.parked.is_empty() {
            form method="post" action="/console/attention/retry" {
                (csrf(session))
                (parked(inbox))
                div.foot {
                    (why())
                    button.primary type="submit" { "Retry those ticked" }
                    @if let Some(next) = &inbox.next { a.next href=(next) { "Older are above, more below: next page" } }
                }
            }
        }
        @if !inbox.items.is_empty() {
            section {
                h2 { "Items" }
                p.dim { "About commands that have ended: what was found out since. Closing one changes nothing else." }
                (items(inbox, session))
            }
        }
    }
}

fn narrowing(inbox: &Inbox, query: &Fields) -> Markup {
    let mut reasons: Vec<&str> = inbox.reasons.iter().map(|(_, reason, _)| reason.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    let total: i64 = inbox.reasons.iter().map(|(.., count)| count).sum();
    let is = |name, value: &str| query.get(name).unwrap_or_default() == value;
    html! {
        span.dim { (text::count(total)) " parked" }
        form.filter method="get" action=(HERE) {
            select name="kind" aria-label="Kind" {
                option value="" { "any kind" }
                @for kind in Kind::ALL {
                    option value=(kind.name()) selected[is("kind", kind.name())] { (kind.plural()) }
                }
            }
            select name="reason" aria-label="Reason" {
                option value="" { "any reason" }
                @for reason in reasons { option value=(reason) selected[is("reason", reason)] { (reason) } }
            }
            select name="hours" aria-label="Age" {
                @for (hours, name) in AGES { option value=(hours) selected[is("hours", hours)] { (name) } }
            }
            button type="submit" { "Filter" }
        }
    }
}

fn parked(inbox: &Inbox) -> Markup {
    html! {
        table.rows {
            (head(&["", "Kind", "Command", "Reason", "Detail", "Partners", "#For"]))
            tbody {
                @for parked in &inbox.parked {
                    tr {
                        td.tick {
                            input type="checkbox" name="id" value=(parked.id) aria-label={ "Retry " (parked.id) };
                        }
                        td { (parked.kind) }
                        td { (command(parked.id)) }
                        td { (pill(Tone::Warn, &parked.reason.code)) }
                        td.detail { (text::short(&parked.reason.detail, 160)) }
                        td {
                            @for partner in &parked.progress.partners {
                                @let state = format!("{:?}", partner.state).to_lowercase();
                                span.part { (partner.partner) " " span.dim { (state) } }
                            }
                        }
                        td.number { (text::ago(parked.since, inbox.now)) }
                    }
                }
            }
        }
    }
}

fn items(inbox: &Inbox, session: &Session) -> Markup {
    html! {
        table.rows {
            (head(&["Kind", "Command", "What", "Detail", "#For", "Close"]))
            tbody {
                @for item in &inbox.items {
                    tr {
                        td { (item.kind) }
                        td { (command(item.command)) }
                        td { (pill(Tone::Warn, &item.reason.code)) }
                        td.detail { (text::short(&item.reason.detail, 160)) }
                        td.number { (text::ago(item.since, inbox.now)) }
                        td {
                            form.line method="post" action={ (HERE) "/items/" (item.no) "/close" } {
                                (csrf(session)) (why()) button type="submit" { "Close" }
                            }
                        }
                    }
                }
            }
        }
    }
}
