//! A transaction: record → submit to the processor → settle.

use super::not_recorded;
use crate::failpoint;
use crate::run::{Run, Stop};
use crate::steps::{Request, settle, submit};
use crate::trace::spans::FAULT;
use holdfast_domain::json::Node;
use holdfast_domain::money::Money;
use holdfast_domain::status::Outcome;
use holdfast_domain::trail::Happening;
use holdfast_domain::transaction::Transaction;
use holdfast_store::transactions::NewTransaction;
use serde::Serialize;

/// What the processor gets besides id and reference.
#[derive(Serialize)]
struct Sale<'a> {
    amount: Money,
    currency: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Node>,
}

pub(super) async fn handle(run: &mut Run<'_>, transaction: &Transaction) -> Result<Outcome, Stop> {
    let reference = run.claimed.key.clone();
    let request = Request { reference: &reference, amount: Some(transaction.amount), fields: sale(transaction) };

    let processor = record(run, transaction).await?;
    let partnership = run.engine.partnership(&processor).map_err(Stop::Fault)?;
    submit(run, partnership, &request).await?;
    settle(run, partnership, &request).await
}

fn sale(transaction: &Transaction) -> Sale<'_> {
    Sale {
        amount: transaction.amount,
        currency: transaction.currency,
        description: transaction.description.as_deref(),
        metadata: transaction.wishes.metadata.as_ref(),
    }
}

/// Inserts the business row if it is absent, and answers which processor it names: the one that was configured when it
/// was first recorded. Mostly the claim has done that already. A transaction never moves to another, where nobody would know of it.
async fn record(run: &mut Run<'_>, transaction: &Transaction) -> Result<String, Stop> {
    if let Some(known) = run.progress.partners.first() {
        return Ok(known.partner.clone());
    }
    let row = NewTransaction {
        hold: run.hold(),
        client: run.claimed.client,
        amount: transaction.amount,
        partner: run.engine.processor.to_string(),
    };
    let step = run.begin("record", None);
    let recorded = match run.claimed.recorded {
        true => Ok(Some(row.partner)),
        false => run.engine.records.on(run.track).transactions.call(row).await,
    };
    run.end(step, recorded.as_ref().err().map(|_| FAULT));
    let processor = recorded.map_err(not_recorded)?.ok_or(Stop::Lost)?;
    run.happened(Happening::Recorded);
    failpoint::hit("recorded");
    Ok(processor)
}
