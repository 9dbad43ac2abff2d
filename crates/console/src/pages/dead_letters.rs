//! Messages that nobody could act on: grouped by cause, looked at, sent again after a dry run.

use super::letters_view::{self, Plan, Planned};
use super::page_of;
use crate::act::Act;
use crate::failure::Failure;
use crate::fields::{Fields, address};
use crate::layout::{self, Frame, Refresh, Tab};
use crate::redrives::{DEFAULT_RATE, MAX_RATE, MOST, Wanted};
use crate::session::Session;
use crate::state::Console;
use axum::extract::{Path, State};
use axum::response::{Html, Redirect};
use holdfast_app::redrive as app;
use holdfast_store::dead_letters::Kept;
use holdfast_store::letter_groups::{self, Group};
use maud::Markup;

/// Groups that are shown: the largest ones.
const GROUPS: i64 = 100;

pub(crate) async fn groups(
    State(console): State<Console>,
    session: Session,
    query: Fields,
) -> Result<Html<String>, Failure> {
    let pool = &console.app.pool;
    let groups = letter_groups::list(pool, GROUPS).await?;
    let body = letters_view::groups(&groups, &console.redrives.list(), pool.now().await?);
    Ok(page("Dead letters", &session, &query, Refresh::Never, &body))
}

pub(crate) async fn group(
    State(console): State<Console>,
    session: Session,
    query: Fields,
) -> Result<Html<String>, Failure> {
    let pool = &console.app.pool;
    let group = named(&query)?;
    let after = query.number("after").unwrap_or(0);
    let (letters, last) = page_of(letter_groups::page(pool, &group, after, i64::MAX, super::PAGE + 1).await?);
    let next = last.map(|last| link("group", &group, &[("after", &last.no.to_string())]));
    let body = letters_view::group(&group, &letters, next.as_deref(), pool.now().await?);
    Ok(page("Dead letters", &session, &query, Refresh::Never, &body))
}

/// The dry run: what would become of each letter. Changes nothing.
pub(crate) async fn plan(
    State(console): State<Console>,
    session: Session,
    query: Fields,
) -> Result<Html<String>, Failure> {
    let group = named(&query)?;
    let force = query.get("force").is_some();
    let letters = letter_groups::page(&console.app.pool, &group, 0, i64::MAX, MOST).await?;
    let planned = letters.into_iter().map(|letter| planned(&console, letter, force)).collect();
    let plan = Plan { group, force, rate: rate(&query), letters: planned };
    Ok(page("Redrive: dry run", &session, &query, Refresh::Never, &letters_view::plan(&plan, &session)))
}

pub(crate) async fn redrive(State(console): State<Console>, act: Act) -> Result<Redirect, Failure> {
    let wanted = Wanted {
        group: named(&act.fields)?,
        upto: act.fields.number("upto").ok_or_else(|| Failure::refused("Make a dry run first."))?,
        force: act.fields.get("force").is_some(),
        rate: rate(&act.fields),
        by: act.operator().by.to_owned(),
        why: act.operator().why.to_owned(),
    };
    let no = console.redrives.start(console.clone(), wanted);
    let no = no.ok_or_else(|| Failure::refused("A redrive of these letters is under way."))?;
    Ok(Redirect::to(&format!("/console/redrives/{no}")))
}

pub(crate) async fn progress(
    State(console): State<Console>,
    session: Session,
    Path(no): Path<u64>,
    query: Fields,
) -> Result<Html<String>, Failure> {
    let unknown = "This process knows of no such redrive: it has restarted since, or another one runs it. What was not sent \
                   is still among the dead letters.";
    let progress = console.redrives.get(no).ok_or_else(|| Failure::refused(unknown))?;
    let refresh = if progress.end.is_none() { Refresh::Always(1) } else { Refresh::Never };
    Ok(page("Redrive", &session, &query, refresh, &letters_view::progress(&progress)))
}

fn page(title: &str, session: &Session, query: &Fields, refresh: Refresh, body: &Markup) -> Html<String> {
    layout::page(&Frame { title, tab: Tab::DeadLetters, session, query, refresh }, body)
}

fn named(fields: &Fields) -> Result<Group, Failure> {
    match (fields.get("queue"), fields.raw("cause")) {
        (Some(queue), cause) => Ok(Group { queue: queue.to_owned(), cause: cause.to_owned() }),
        _ => Err(Failure::NotFound),
    }
}

fn rate(fields: &Fields) -> u32 {
    fields.number("rate").unwrap_or(DEFAULT_RATE).clamp(1, MAX_RATE)
}

fn planned(console: &Console, letter: Kept, force: bool) -> Planned {
    let fate = match app::plan(&console.app, &letter, force) {
        app::Plan::SendTo(queue) => Ok(queue.name().to_owned()),
        app::Plan::Looping => Err(format!("came back {} times", letter.redrives)),
        app::Plan::Homeless => Err("its queue is not known".to_owned()),
    };
    Planned { letter, fate }
}

/// The page of a group.
pub(super) fn link(page: &str, group: &Group, more: &[(&str, &str)]) -> String {
    let group = [("queue", group.queue.as_str()), ("cause", group.cause.as_str())];
    address(&format!("/console/dead-letters/{page}"), &[&group[..], more].concat())
}
