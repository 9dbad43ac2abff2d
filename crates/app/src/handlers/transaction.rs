//! A transaction: record → submit to the processor → settle.

use crate::failpoint;
use crate::run::{Run, Stop};
use crate::steps::{Request, settle, submit};
use holdfast_domain::json::Node;
use holdfast_domain::money::Money;
use holdfast_domain::status::{Outcome, Step};
use holdfast_domain::trail::Happening;
use holdfast_domain::transaction::Transaction;
use holdfast_store::transactions::NewTransaction;
use serde::Serialize;

/// What the processor gets besides id and reference.
#[derive(Debug, Serialize)]
struct Sale<'a> {
    amount: Money,
    currency: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Node>,
}

pub(super) async fn handle(run: &mut Run<'_>, transaction: &Transaction) -> Result<Outcome, Stop> {
    let partnership = run.engine.partnership(&run.engine.app.config.transactions.partner).map_err(Stop::Fault)?;
    let reference = run.claimed.key.clone();
    let request = Request { reference: &reference, amount: Some(transaction.amount), fields: sale(transaction) };

    record(run, transaction).await?;
    submit(run, partnership, &request).await?;
    settle(run, partnership).await
}

fn sale(transaction: &Transaction) -> Sale<'_> {
    Sale {
        amount: transaction.amount,
        currency: transaction.currency,
        description: transaction.description.as_deref(),
        metadata: transaction.metadata.as_ref(),
    }
}

/// Inserts the business row if it is absent.
async fn record(run: &mut Run<'_>, transaction: &Transaction) -> Result<(), Stop> {
    if run.step != Step::Record {
        return Ok(());
    }
    let row = NewTransaction { no: run.claimed.no, client: run.claimed.client, amount: transaction.amount };
    let recorded = run.engine.record(row).await;
    recorded.map_err(|error| Stop::Fault(anyhow::Error::new(error).context("record the transaction")))?;
    run.happened(Happening::Recorded);
    failpoint::hit("recorded");
    Ok(())
}
