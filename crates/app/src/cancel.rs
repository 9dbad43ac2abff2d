//! Cancelling a command that has done nothing yet. The row decides, not what we saw before.

use crate::query::{self, Found, View};
use crate::{App, endpoint};
use holdfast_domain::{ClientNo, CommandId, Kind, Status, Tombstone};
use holdfast_store::Error;
use holdfast_store::wakeups::{self, Refused};

/// A claim may come and go between two looks.
const LOOKS: usize = 3;

pub enum Cancelled {
    /// Now, or before.
    Done(Box<View>),
    /// Why not, as a sentence.
    Refused(String),
    /// It ended long ago, perhaps so.
    Archived(Tombstone),
    Nothing,
}

pub async fn cancel(app: &App, client: ClientNo, kind: Kind, id: CommandId) -> Result<Cancelled, Error> {
    for _ in 0..LOOKS {
        let view = match query::find(app, client, kind, id).await? {
            Found::Nothing => return Ok(Cancelled::Nothing),
            Found::Archived(tombstone) => return Ok(Cancelled::Archived(tombstone)),
            Found::IssuedOnly => return Ok(Cancelled::Refused("It cannot be seen yet. Try again".to_owned())),
            Found::Command(view) if view.version.status == Status::Cancelled => return Ok(Cancelled::Done(view)),
            Found::Command(view) if view.version.status.is_settled() => {
                return Ok(Cancelled::Refused(format!("It is {}", view.version.status)));
            }
            Found::Command(view) => view,
        };
        let tell = endpoint::is_told(app, client, &view.resource.content).await?;
        if wakeups::cancel(&app.pool, view.no, view.version.sequence, tell).await? {
            continue;
        }
        match wakeups::why_not(&app.pool, view.no).await? {
            Some(Refused::Sent) => return Ok(Cancelled::Refused("Something was sent to a partner".to_owned())),
            Some(Refused::Claimed) => {
                return Ok(Cancelled::Refused("It is being worked on at this moment".to_owned()));
            }
            Some(Refused::Gone) | None => {}
        }
    }
    Ok(Cancelled::Refused("It is being worked on at this moment".to_owned()))
}
