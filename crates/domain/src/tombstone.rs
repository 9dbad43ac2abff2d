//! What stays of a command when its payload is no longer kept.

use crate::resource::milliseconds;
use crate::{CommandId, Kind, Status};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    pub id: CommandId,
    pub kind: Kind,
    /// A final one.
    pub status: Status,
    #[serde(serialize_with = "milliseconds")]
    pub finished_at: DateTime<Utc>,
    #[serde(serialize_with = "milliseconds")]
    pub archived_at: DateTime<Utc>,
}

/// As a sentence, without its full stop.
impl fmt::Display for Tombstone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, status, finished_at, archived_at, .. } = self;
        let day = |time: &DateTime<Utc>| time.format("%Y-%m-%d");
        write!(f, "The {kind} is {status} since {}; since {} no more is kept of it", day(finished_at), day(archived_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    #[test]
    fn it_says_how_the_command_ended_and_since_when() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let tombstone = Tombstone {
            id: CommandId(Uuid::nil()),
            kind: Kind::Refund,
            status: Status::Failed,
            finished_at: at("2025-01-31T12:00:00Z"),
            archived_at: at("2026-03-07T12:00:00Z"),
        };
        let text = "The refund is failed since 2025-01-31; since 2026-03-07 no more is kept of it";
        assert_eq!(tombstone.to_string(), text);
        let expected = json!({
            "id": "00000000-0000-0000-0000-000000000000", "kind": "refund", "status": "failed",
            "finishedAt": "2025-01-31T12:00:00.000Z", "archivedAt": "2026-03-07T12:00:00.000Z",
        });
        assert_eq!(json!(tombstone), expected);
    }
}
