//! Where a client wants to be told, as it describes it.

use crate::fields::{Fields, callback_url};
use crate::json::{Document, Violation};

/// A client's standing callback endpoint. Shown to nobody else: its address may carry a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub url: String,
}

impl Endpoint {
    /// Checks its address, or says what is wrong with it.
    pub fn at(url: String) -> Result<Self, String> {
        callback_url(url).map(|url| Self { url })
    }

    /// Checks every field and names every wrong one.
    pub fn parse(body: Document) -> Result<Self, Vec<Violation>> {
        if !body.violations.is_empty() {
            return Err(body.violations);
        }
        let mut fields = Fields::of(body.root)?;
        let url = fields.required_string("url", callback_url);
        fields.finish()?;
        Ok(Self { url: url.expect("a missing one is a violation") })
    }
}
