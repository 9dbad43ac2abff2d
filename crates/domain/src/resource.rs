//! A command as clients see it, in `GET` answers and in callbacks alike.

use crate::content::Content;
use crate::progress::{PartnerState, Progress};
use crate::status::{Reason, Step};
use crate::{CommandId, Kind, Status};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    pub id: CommandId,
    pub kind: Kind,
    pub status: Status,
    /// The step that the run is at, until it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Of a request that was rejected late: the command that stands under its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflicts_with: Option<CommandId>,
    #[serde(flatten)]
    pub content: Content,
    pub partners: Vec<PartnerView>,
    #[serde(serialize_with = "milliseconds")]
    pub created_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_milliseconds")]
    pub finished_at: Option<DateTime<Utc>>,
    pub links: Links,
}

/// One partner's part in it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartnerView {
    pub partner: String,
    pub state: PartnerState,
    pub tries: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Links {
    #[serde(rename = "self")]
    pub this: String,
    pub events: String,
    pub callbacks: String,
}

impl Resource {
    /// The type of the event that tells this state.
    pub fn event_type(&self) -> String {
        match self.conflicts_with {
            Some(_) => "request.rejected".to_owned(),
            None => format!("{}.{}", self.kind, self.status),
        }
    }
}

impl Links {
    pub fn of(kind: Kind, id: CommandId) -> Self {
        let this = format!("/api/v1/{}/{id}", kind.plural());
        Self { events: format!("{this}/events"), callbacks: format!("{this}/callbacks"), this }
    }
}

/// The partners of a run, as the client may see them.
pub fn partners(progress: Progress) -> Vec<PartnerView> {
    let view = |partner: crate::progress::PartnerProgress| PartnerView {
        partner: partner.partner,
        state: partner.state,
        tries: partner.tries,
        external_id: partner.external_id,
        detail: partner.detail,
    };
    progress.partners.into_iter().map(view).collect()
}

/// RFC 3339 in UTC with milliseconds.
pub fn milliseconds<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// The same, where there is one.
pub fn optional_milliseconds<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => milliseconds(time, serializer),
        None => serializer.serialize_none(),
    }
}
