//! Finding a command by its id, by its client's own id, or by its idempotency key. Ids are computed, so nothing is searched.

use super::command_view::status_pill;
use crate::failure::Failure;
use crate::fields::Fields;
use crate::layout::{self, Frame, Refresh, Tab, command, head};
use crate::session::Session;
use crate::state::Console;
use crate::text;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use chrono::{DateTime, Utc};
use holdfast_app::App;
use holdfast_domain::command::is_key;
use holdfast_domain::{ClientNo, CommandId, Kind};
use holdfast_store::clients;
use holdfast_store::commands::{Existing, existing};
use maud::{Markup, html};
use uuid::Uuid;

/// Whoever has more clients must say which one. Each costs three computed ids.
const MOST_CLIENTS: i64 = 2_000;

/// Ids that are asked for at once.
const CHUNK: usize = 1_000;

type Clients = Vec<(ClientNo, String)>;

/// What came of it.
enum Answer {
    NotAsked,
    Commands(Vec<Existing>),
    /// An id of ours without a row: whose.
    OnItsWay(String, Kind),
    Nothing(&'static str),
}

pub(crate) async fn page(State(console): State<Console>, session: Session, query: Fields) -> Result<Response, Failure> {
    let app = &console.app;
    let clients = clients::names(&app.pool, MOST_CLIENTS + 1).await?;
    let answer = match query.get("q") {
        None => Answer::NotAsked,
        Some(text) => match read_id(text) {
            Some(id) if !existing(&app.pool, &[id]).await?.is_empty() => {
                return Ok(Redirect::to(&format!("/console/commands/{id}")).into_response());
            }
            Some(id) => on_its_way(app, &clients, id),
            None => by_key(app, &clients, text, query.number("client").map(ClientNo)).await?,
        },
    };
    let body = shown(&query, &clients, &answer, app.pool.now().await?);
    let frame = Frame { title: "Search", tab: Tab::Search, session: &session, query: &query, refresh: Refresh::Never };
    Ok(layout::page(&frame, &body).into_response())
}

/// An id, or that of one of its callbacks.
pub(crate) fn read_id(text: &str) -> Option<CommandId> {
    let text = match text.strip_prefix("evt_") {
        Some(callback) => callback.split('_').next()?,
        None => text,
    };
    Uuid::parse_str(text).ok().map(CommandId)
}

fn on_its_way(app: &App, clients: &Clients, id: CommandId) -> Answer {
    let issued = |client: ClientNo, kind| id.was_issued_to(&app.server_key, client, kind);
    let whose = clients.iter().find_map(|(no, name)| {
        let kind = Kind::ALL.into_iter().find(|kind| issued(*no, *kind))?;
        Some(Answer::OnItsWay(name.clone(), kind))
    });
    whose.unwrap_or(Answer::Nothing("No command has this id, and it was computed for none of the clients."))
}

async fn by_key(app: &App, clients: &Clients, key: &str, client: Option<ClientNo>) -> Result<Answer, Failure> {
    if !is_key(key) {
        return Ok(Answer::Nothing("This is neither an id nor a key: keys have 1 to 255 visible ASCII characters."));
    }
    let asked: Vec<ClientNo> = match client {
        Some(client) => vec![client],
        None if clients.len() as i64 > MOST_CLIENTS => {
            return Ok(Answer::Nothing("There are too many clients to try each: say the number of the client."));
        }
        None => clients.iter().map(|(no, _)| *no).collect(),
    };
    let id = |client: ClientNo, kind| CommandId::compute(&app.server_key, client, kind, key);
    let ids: Vec<_> = asked.into_iter().flat_map(|client| Kind::ALL.map(|kind| id(client, kind))).collect();
    let mut found = Vec::new();
    for chunk in ids.chunks(CHUNK) {
        found.extend(existing(&app.pool, chunk).await?);
    }
    found.sort_by_key(|command| std::cmp::Reverse(command.created_at));
    match found.is_empty() {
        true => Ok(Answer::Nothing("No command of these clients has this key.")),
        false => Ok(Answer::Commands(found)),
    }
}

fn shown(query: &Fields, clients: &Clients, answer: &Answer, now: DateTime<Utc>) -> Markup {
    let chosen: Option<i32> = query.number("client");
    html! {
        div.title { h1 { "Search" } }
        form.line.filter method="get" action="/console/search" {
            input.wide type="search" name="q" value=(query.raw("q")) autofocus aria-label="What"
                placeholder="Id, callback’s id, client’s own id, idempotency key";
            @if clients.len() as i64 > MOST_CLIENTS {
                input type="number" name="client" min="1" value=[chosen] placeholder="client no" aria-label="Client";
            } @else {
                select name="client" aria-label="Client" {
                    option value="" { "any client" }
                    @for (no, name) in clients { option value=(no.0) selected[chosen == Some(no.0)] { (name) } }
                }
            }
            button.primary type="submit" { "Search" }
        }
        @match answer {
            Answer::NotAsked => p.dim { "The client’s own id is transactionId, refundId or orderId." },
            Answer::Nothing(why) => p.empty { (why) },
            Answer::OnItsWay(client, kind) => p.empty {
                "This id was computed for a " (kind) " of " (client) ", but there is no such command: it may still be in the \
                 journal queue, or it was never accepted."
            },
            Answer::Commands(found) => (commands(found, clients, now)),
        }
    }
}

fn commands(found: &[Existing], clients: &Clients, now: DateTime<Utc>) -> Markup {
    let name = |no: ClientNo| clients.iter().find(|(client, _)| *client == no).map_or("", |(_, name)| name);
    html! {
        table.rows {
            (head(&["Kind", "Key", "Command", "Client", "Status", "#Age"]))
            tbody {
                @for known in found {
                    tr {
                        td { (known.kind) }
                        td { (known.key) }
                        td { (command(known.id)) }
                        td { (name(known.client)) " " span.dim { "no " (known.client.0) } }
                        td {
                            (status_pill(known.status))
                            @if known.tombstone.is_some() { " " span.dim { "archived" } }
                        }
                        td.number { (text::ago(known.created_at, now)) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_every_form_in_which_they_are_seen() {
        let id: CommandId = "9a6d12b7-6deb-8b42-8b75-d76a4b1e8cf1".parse().expect("an id");
        let simple = "9a6d12b76deb8b428b75d76a4b1e8cf1";
        for text in [&id.to_string(), simple, &format!("evt_{simple}_3_completed")] {
            assert_eq!(read_id(text), Some(id), "{text}");
        }
        assert_eq!((read_id("order-1"), read_id("evt_x_1")), (None, None));
    }
}
