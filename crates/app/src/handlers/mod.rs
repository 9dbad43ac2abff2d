//! What each kind of command does, one file per kind.

mod order;
mod refund;
mod transaction;

use crate::batch::Shared;
use crate::run::{Run, Stop};
use holdfast_domain::content::Content;
use holdfast_domain::status::Outcome;
use std::sync::Arc;

/// Carries a claimed run as far as it goes now.
pub async fn handle(run: &mut Run<'_>) -> Result<Outcome, Stop> {
    match &*Arc::clone(&run.content) {
        Content::Transaction(transaction) => transaction::handle(run, transaction).await,
        Content::Refund(refund) => refund::handle(run, refund).await,
        Content::Order(order) => order::handle(run, order).await,
    }
}

/// The step `record` could not be written: the claim is left to its lease.
fn not_recorded(error: Shared) -> Stop {
    Stop::Fault(anyhow::Error::new(error).context("record the command"))
}
