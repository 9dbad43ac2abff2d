//! What operators do with parked commands: carry on, or say how it ended.

use crate::{App, endpoint, query};
use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use holdfast_domain::Status;
use holdfast_domain::progress::{PartnerState, Progress};
use holdfast_domain::status::Step;
use holdfast_store::attention::{self, Parked, Resolution};
use holdfast_store::commands;
use holdfast_store::operator::Operator;

/// Has the command carried on where it was parked. Whoever was not done with it is asked what stands there before anything
/// is created again. `false`: it is no longer parked as it was seen.
pub async fn retry(app: &App, parked: &Parked, operator: Operator<'_>) -> anyhow::Result<bool> {
    let mut progress = parked.progress.clone();
    let step = if doubt_next(&mut progress, parked.since) { Step::Submit } else { Step::Record };
    attention::take_up(&app.pool, parked, step, &progress, operator).await.context("take up the command")
}

/// Ends the command, as `completed` or `failed`, because a person has found out that it did. `undone`: what its partners had
/// carried out stands no more. `false`: it is no longer parked as it was seen.
pub async fn resolve(
    app: &App,
    parked: &Parked,
    end: Status,
    undone: bool,
    operator: Operator<'_>,
) -> anyhow::Result<bool> {
    ensure!(matches!(end, Status::Completed | Status::Failed), "a command is resolved as completed or failed");
    let owned = commands::owned(&app.pool, parked.no).await.context("read the command")?.context("there is no row")?;
    let content = query::read(parked.kind, &owned.body);
    let tell = match content {
        Ok(content) => endpoint::is_told(app, owned.client, &content).await.context("read the endpoint")?,
        Err(_unreadable) => false,
    };
    let resolution = Resolution { end, undone, tell };
    attention::resolve(&app.pool, parked, resolution, operator).await.context("resolve the command")
}

/// The partner that was not done with it begins anew, in doubt. `false`: none was asked yet.
fn doubt_next(progress: &mut Progress, parked: DateTime<Utc>) -> bool {
    let next = progress.partners.iter_mut().find(|partner| partner.state != PartnerState::Completed);
    let Some(partner) = next else { return !progress.partners.is_empty() };
    partner.state = PartnerState::Unknown;
    partner.was_unknown = true;
    (partner.tries, partner.polls, partner.lookups) = (0, 0, 0);
    (partner.rejected, partner.expired, partner.announced) = (false, false, false);
    partner.detail = None;
    partner.asking_since = None;
    partner.heard_until = Some(parked);
    true
}
