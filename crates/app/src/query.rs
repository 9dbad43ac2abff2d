//! Reading where a command stands, and what happened to it.

use crate::App;
use chrono::{DateTime, Utc};
use holdfast_domain::content::Content;
use holdfast_domain::progress::Progress;
use holdfast_domain::resource::{self, Links, Resource};
use holdfast_domain::status::{Reason, Step};
use holdfast_domain::{ClientNo, CommandId, CommandNo, Kind, Status, Tombstone};
use holdfast_store::commands::{self, Current, Version};
use holdfast_store::lists;
use holdfast_store::{Error, events};
use serde::Serialize;

pub use holdfast_store::commands::content as read;
pub use holdfast_store::lists::{Place, Wanted};
use serde_json::Value;

/// What stands under an id that a client asked for.
pub enum Found {
    Command(Box<View>),
    /// It ended long ago, and its payload is no longer kept.
    Archived(Tombstone),
    /// We computed this id for this client, but no row is visible: the command may be on its way.
    IssuedOnly,
    Nothing,
}

/// What belongs to a command that a client asked for.
pub enum Lookup<T> {
    Found(T),
    /// It was there, and is no longer kept.
    Archived(Tombstone),
    Nothing,
}

pub struct View {
    pub no: CommandNo,
    pub version: Version,
    pub resource: Resource,
}

pub async fn find(app: &App, client: ClientNo, kind: Kind, id: CommandId) -> Result<Found, Error> {
    // An id that was never issued to this client needs no look at the database.
    if !id.was_issued_to(&app.server_key, client, kind) {
        return Ok(Found::Nothing);
    }
    let Some(current) = commands::current(&app.pool, client, kind, id).await? else { return Ok(Found::IssuedOnly) };
    match current.tombstone {
        Some(tombstone) => Ok(Found::Archived(tombstone)),
        None => Ok(Found::Command(Box::new(view(id, current)?))),
    }
}

fn view(id: CommandId, current: Current) -> Result<View, Error> {
    let Current { no, kind, body, created_at, status, step, reason, progress, sequence, finished_at, .. } = current;
    let standing = Standing { status, step, reason, progress, finished_at };
    let resource = represent(id, kind, read(kind, &body)?, created_at, standing);
    Ok(View { no, version: Version { sequence, status }, resource })
}

/// One page of a client's commands, newest first, and the place where the next one begins, if there is one.
pub async fn list(app: &App, wanted: Wanted) -> Result<(Vec<Resource>, Option<Place>), Error> {
    let (listed, next) = lists::page(&app.pool, wanted).await?;
    let resources = listed.into_iter().map(|listed| Ok(view(listed.id, listed.current)?.resource));
    Ok((resources.collect::<Result<_, Error>>()?, next))
}

/// The part of a representation that changes.
pub struct Standing {
    pub status: Status,
    pub step: Option<Step>,
    pub reason: Option<Reason>,
    pub progress: Progress,
    pub finished_at: Option<DateTime<Utc>>,
}

/// A command as its client sees it, in answers and in callbacks alike.
pub fn represent(
    id: CommandId,
    kind: Kind,
    mut content: Content,
    created_at: DateTime<Utc>,
    standing: Standing,
) -> Resource {
    let Standing { status, step, reason, progress, finished_at } = standing;
    if let Some(amount) = progress.amount.as_ref().and_then(|amount| amount.money()) {
        content.decide_amount(amount);
    }
    let conflicts_with = progress.conflicts_with;
    let partners = resource::partners(progress);
    Resource {
        id,
        kind,
        status,
        step,
        reason,
        conflicts_with,
        content,
        partners,
        created_at,
        finished_at,
        links: Links::of(kind, id),
    }
}

/// One thing that happened, as a client sees it.
#[derive(Serialize)]
pub struct Event {
    /// Entries of one write share it.
    pub sequence: i32,
    #[serde(flatten)]
    pub entry: Value,
}

/// The audit trail, from acceptance on.
pub async fn trail(app: &App, client: ClientNo, kind: Kind, id: CommandId) -> Result<Lookup<Vec<Event>>, Error> {
    let view = match find(app, client, kind, id).await? {
        Found::Command(view) => view,
        Found::Archived(tombstone) => return Ok(Lookup::Archived(tombstone)),
        Found::IssuedOnly | Found::Nothing => return Ok(Lookup::Nothing),
    };
    let accepted = serde_json::json!({ "at": view.resource.created_at, "type": "accepted" });
    let mut trail = vec![Event { sequence: 0, entry: accepted }];
    for appended in events::of(&app.pool, view.no).await? {
        let entries = appended.entries.iter().map(|entry| Event {
            sequence: appended.sequence,
            entry: serde_json::to_value(entry).expect("an entry always serialises"),
        });
        trail.extend(entries);
    }
    Ok(Lookup::Found(trail))
}
