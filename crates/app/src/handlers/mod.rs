//! What each kind of command does, one file per kind.

mod transaction;

use crate::run::{Run, Stop};
use holdfast_domain::content::Content;
use holdfast_domain::status::Outcome;
use std::sync::Arc;

/// Carries a claimed run as far as it goes now.
pub async fn handle(run: &mut Run<'_>) -> Result<Outcome, Stop> {
    match &*Arc::clone(&run.content) {
        Content::Transaction(transaction) => transaction::handle(run, transaction).await,
    }
}
