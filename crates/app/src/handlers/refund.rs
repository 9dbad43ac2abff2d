//! A refund: record → for each partner in order: submit → settle.
//!
//! Each partner's success is written down before the next one is asked. Once one of them has done its part, a later
//! failure is no failed refund but a half one: a person must decide.

use super::not_recorded;
use crate::failpoint;
use crate::run::{Run, Stop};
use crate::statements::persist;
use crate::steps::{Request, settle, submit};
use crate::trace::spans::FAULT;
use holdfast_domain::json::Node;
use holdfast_domain::money::{Currency, Money};
use holdfast_domain::progress::{PartnerProgress, PartnerState, Progress};
use holdfast_domain::refund::{Original, Refund};
use holdfast_domain::status::{Outcome, Reason};
use holdfast_domain::trail::Happening;
use holdfast_domain::{CommandId, CommandNo, Kind, Status};
use holdfast_store::refunds::{NewRefund, Reserved};
use holdfast_store::transactions;
use serde::Serialize;

/// What each partner gets besides id and reference.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Repayment<'a> {
    #[serde(flatten)]
    original: &'a Original,
    amount: Money,
    currency: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Node>,
}

pub(super) async fn handle(run: &mut Run<'_>, refund: &Refund) -> Result<Outcome, Stop> {
    let (amount, partners) = record(run, refund).await?;
    let fields = Repayment {
        original: &refund.original,
        amount,
        currency: amount.currency().code(),
        reason: refund.reason.as_deref(),
        metadata: refund.wishes.metadata.as_ref(),
    };
    let reference = run.claimed.key.clone();
    let request = Request { reference: &reference, amount: Some(amount), fields };
    for (at, partner) in partners.iter().enumerate() {
        if run.partner(partner).state == PartnerState::Completed && at + 1 < partners.len() {
            continue;
        }
        let outcome = take_part(run, partner, &request).await?;
        if outcome != Outcome::Completed {
            return Ok(with_the_others(&run.progress, partner, outcome));
        }
        if at + 1 < partners.len() {
            run.next_partner().await?;
            failpoint::hit("next_partner");
        }
    }
    Ok(Outcome::Completed)
}

/// Brings it to one partner, and answers what came of that.
async fn take_part<F: Serialize + Sync>(
    run: &mut Run<'_>,
    partner: &str,
    request: &Request<'_, F>,
) -> Result<Outcome, Stop> {
    let partnership = run.engine.partnership(partner).map_err(Stop::Fault)?;
    match submit(run, partnership, request).await {
        Ok(()) => settle(run, partnership, request).await,
        Err(Stop::End(outcome)) => Ok(outcome),
        Err(stop) => Err(stop),
    }
}

/// What it means that a partner did not do its part, given what the others have done.
fn with_the_others(progress: &Progress, partner: &str, outcome: Outcome) -> Outcome {
    let done = |other: &&PartnerProgress| other.state == PartnerState::Completed;
    let done: Vec<_> = progress.partners.iter().filter(done).map(|other| other.partner.as_str()).collect();
    match outcome {
        Outcome::Failed(reason) if !done.is_empty() => {
            let detail = format!("done at {}; not at {partner}: {} ({})", done.join(", "), reason.detail, reason.code);
            Outcome::NeedsAttention(Reason::new("partly_refunded", detail))
        }
        Outcome::NeedsAttention(reason) if !done.is_empty() => {
            let detail = format!("{}; done at {}", reason.detail, done.join(", "));
            Outcome::NeedsAttention(Reason { detail, ..reason })
        }
        outcome => outcome,
    }
}

/// Checks the original, reserves the sum, and inserts the business row, once. Answers what it says.
async fn record(run: &mut Run<'_>, refund: &Refund) -> Result<(Money, Vec<String>), Stop> {
    if let Some(amount) = run.progress.amount.as_ref().and_then(|amount| amount.money()) {
        let partners = run.progress.partners.iter().map(|partner| partner.partner.clone());
        return Ok((amount, partners.collect()));
    }
    let original = find_original(run, refund).await?;
    let row = NewRefund {
        hold: run.hold(),
        client: run.claimed.client,
        transaction: original.transaction,
        amount: original.amount,
        currency: original.currency,
        partners: run.engine.app.config.refunds.partners.clone(),
    };
    let step = run.begin("record", None);
    let recorded = run.engine.records.on(run.track).refunds.call(row).await;
    run.end(step, recorded.as_ref().err().map(|_| FAULT));
    let reserved = recorded.map_err(not_recorded)?.ok_or(Stop::Lost)?;
    let Some(Reserved { amount, partners }) = reserved else {
        return Err(failed("refund_exceeds_transaction", "less than this is left of the transaction"));
    };
    run.progress.amount = Some(amount.into());
    for partner in &partners {
        // All of them are to be seen from the beginning.
        let _open: &mut PartnerProgress = run.partner(partner);
    }
    run.happened(Happening::Recorded);
    failpoint::hit("recorded");
    Ok((amount, partners))
}

/// What is refunded, as far as we know it.
struct Known {
    transaction: Option<CommandNo>,
    amount: Option<Money>,
    currency: Currency,
}

async fn find_original(run: &Run<'_>, refund: &Refund) -> Result<Known, Stop> {
    let sent = refund.currency.and_then(Currency::parse);
    let (transaction, currency) = match &refund.original {
        Original::TransactionId(key) => {
            let transaction = find_transaction(run, key).await?;
            (Some(transaction.no), transaction.currency)
        }
        Original::OriginalReference(_) => {
            let currency = sent.ok_or_else(|| failed("refund_amount_invalid", "there is no currency"))?;
            (None, currency)
        }
    };
    if sent.is_some_and(|sent| sent != currency) {
        let detail = format!("the transaction is in {}", currency.code());
        return Err(failed("refund_currency_mismatch", detail));
    }
    let amount = refund.amount.as_deref().map(|text| Money::parse(text, currency)).transpose();
    let amount = amount.map_err(|error| failed("refund_amount_invalid", format!("amount {error}")))?;
    Ok(Known { transaction, amount, currency })
}

async fn find_transaction(run: &Run<'_>, key: &str) -> Result<transactions::Recorded, Stop> {
    let (app, client) = (&run.engine.app, run.claimed.client);
    let id = CommandId::compute(&app.server_key, client, Kind::Transaction, key);
    let found = persist(|| transactions::find(&app.pool, client, id)).await;
    let found = found.map_err(|error| Stop::Fault(anyhow::Error::new(error).context("find the transaction")))?;
    match found.0 {
        None => Err(failed("transaction_not_found", "there is no such transaction of this client")),
        Some(found) if found.status != Some(Status::Completed) => {
            Err(failed("transaction_not_completed", "only a completed transaction can be refunded"))
        }
        Some(found) => Ok(found),
    }
}

fn failed(code: &str, detail: impl Into<String>) -> Stop {
    Stop::End(Outcome::Failed(Reason::new(code, detail)))
}
