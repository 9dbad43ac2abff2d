//! What a client may say about any command, whatever its kind.

use crate::fields::{Fields, callback_url, object, time};
use crate::json::Node;
use chrono::{DateTime, FixedOffset};
use serde::Serialize;

pub use crate::fields::MAX_CALLBACK_URL_LEN;

/// The field's name.
pub const CALLBACK_URL: &str = "callbackUrl";

#[derive(Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wishes {
    /// The client's own JSON object, carried and echoed, never interpreted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Node>,
    /// No partner is asked to carry it out at or after this time, unless one already has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<FixedOffset>>,
    /// Where its callbacks go, in place of the client's standing endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
}

impl Wishes {
    pub(crate) fn take_from(fields: &mut Fields) -> Self {
        Self {
            metadata: fields.optional("metadata", object),
            expires_at: fields.optional_string("expiresAt", time),
            callback_url: fields.optional_string(CALLBACK_URL, callback_url),
        }
    }
}
