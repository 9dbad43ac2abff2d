//! One command: everything about it, and what can be done with it.

use super::archived_view;
use super::command_view::{self, Known};
use crate::act::Act;
use crate::failure::Failure;
use crate::fields::{Fields, address};
use crate::layout::{self, Frame, Refresh, Tab};
use crate::session::Session;
use crate::state::Console;
use axum::extract::{Path, State};
use axum::response::{Html, Redirect};
use holdfast_app::callbacks::{self, Resent};
use holdfast_app::query::{self, Found, Lookup, View};
use holdfast_app::{App, attention};
use holdfast_domain::{CommandId, Status};
use holdfast_store::attention::{Filter, Parked, parked};
use holdfast_store::commands::{Existing, existing};
use holdfast_store::{callback_resends, clients, events, wakeups};

pub(crate) async fn page(
    State(console): State<Console>,
    session: Session,
    Path(id): Path<String>,
    query: Fields,
) -> Result<Html<String>, Failure> {
    let existing = known(&console.app, &id).await?;
    let title = format!("{} {}", existing.kind, existing.key);
    let body = match query::find(&console.app, existing.client, existing.kind, existing.id).await? {
        Found::Command(view) => command_view::page(&read(&console.app, existing, *view).await?, &session),
        Found::Archived(tombstone) => {
            let client = clients::name(&console.app.pool, existing.client).await?;
            archived_view::page(&existing, client.as_deref(), &tombstone)
        }
        Found::IssuedOnly | Found::Nothing => {
            return Err(Failure::refused("Its id was not computed with the server key of this configuration."));
        }
    };
    let frame = Frame { title: &title, tab: Tab::Search, session: &session, query: &query, refresh: Refresh::Never };
    Ok(layout::page(&frame, &body))
}

/// Has a parked command carried on.
pub(crate) async fn retry(
    State(console): State<Console>,
    Path(id): Path<String>,
    act: Act,
) -> Result<Redirect, Failure> {
    let parked = still_parked(&console.app, &id).await?;
    if !attention::retry(&console.app, &parked, act.operator()).await? {
        return Err(no_longer());
    }
    tracing::info!(operator.login = act.operator().by, command.id = id, "an operator has a command carried on");
    Ok(back(&id, "retried"))
}

/// Ends a parked command as a person has found out that it ended.
pub(crate) async fn resolve(
    State(console): State<Console>,
    Path(id): Path<String>,
    act: Act,
) -> Result<Redirect, Failure> {
    let end = match act.fields.get("end") {
        Some("completed") => Status::Completed,
        Some("failed") => Status::Failed,
        _ => return Err(Failure::refused("Say how it ended: completed or failed.")),
    };
    let undone = act.fields.get("undone").is_some();
    let parked = still_parked(&console.app, &id).await?;
    // It may have been carried on and parked again, for another reason, since the page was made.
    if act.fields.get("sequence") != Some(parked.sequence.to_string().as_str()) {
        return Err(no_longer());
    }
    if !attention::resolve(&console.app, &parked, end, undone, act.operator()).await? {
        return Err(no_longer());
    }
    tracing::info!(operator.login = act.operator().by, command.id = id, %end, "an operator has resolved a command");
    Ok(back(&id, "resolved"))
}

/// Has a callback sent once more.
pub(crate) async fn resend(
    State(console): State<Console>,
    Path(id): Path<String>,
    act: Act,
) -> Result<Redirect, Failure> {
    let callback = act.fields.get("callback").ok_or(Failure::NotFound)?;
    let existing = known(&console.app, &id).await?;
    let whose = (existing.client, existing.kind, existing.id);
    match callbacks::resend_for(&console.app, whose, callback, act.operator()).await? {
        Resent::Owed(_) => {
            tracing::info!(
                operator.login = act.operator().by,
                command.id = id,
                "an operator has a callback sent again"
            );
            Ok(back(&id, "resent"))
        }
        Resent::Refused(why) => Err(Failure::refused(format!("{why}."))),
        Resent::Archived(tombstone) => Err(Failure::refused(format!("{tombstone}."))),
        Resent::Nothing => Err(Failure::NotFound),
    }
}

fn back(id: &str, done: &str) -> Redirect {
    Redirect::to(&address(&format!("/console/commands/{id}"), &[("done", done)]))
}

fn no_longer() -> Failure {
    Failure::refused("It is no longer parked as you saw it. Look at it again.")
}

async fn still_parked(app: &App, id: &str) -> Result<Parked, Failure> {
    let id: CommandId = id.parse().map_err(|_| Failure::NotFound)?;
    let filter = Filter { ids: Some(vec![id]), limit: 1, ..Filter::default() };
    parked(&app.pool, &filter).await?.pop().ok_or_else(no_longer)
}

async fn known(app: &App, id: &str) -> Result<Existing, Failure> {
    let id = id.parse().map_err(|_| Failure::NotFound)?;
    existing(&app.pool, &[id]).await?.pop().ok_or(Failure::NotFound)
}

async fn read(app: &App, existing: Existing, view: View) -> Result<Known, Failure> {
    let whose = (existing.client, existing.kind, existing.id);
    // What is archived at this very moment has none.
    let callbacks = match callbacks::list(app, whose.0, whose.1, whose.2).await? {
        Lookup::Found(callbacks) => callbacks,
        Lookup::Archived(_) | Lookup::Nothing => Vec::new(),
    };
    let appended = events::of(&app.pool, view.no).await?;
    Ok(Known {
        callbacks,
        client: clients::name(&app.pool, existing.client).await?,
        entries: appended.into_iter().flat_map(|appended| appended.entries).collect(),
        resends: callback_resends::of(&app.pool, view.no).await?,
        standing: wakeups::standing(&app.pool, view.no).await?,
        now: app.pool.now().await?,
        existing,
        view,
    })
}
