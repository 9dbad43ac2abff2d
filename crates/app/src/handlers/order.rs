//! An order: record → fulfil, where a partner is configured for it.

use super::not_recorded;
use crate::failpoint;
use crate::run::{Run, Stop};
use crate::steps::{Request, settle, submit};
use crate::trace::spans::FAULT;
use holdfast_domain::json::Node;
use holdfast_domain::money::Money;
use holdfast_domain::order::Order;
use holdfast_domain::status::Outcome;
use holdfast_domain::trail::Happening;
use holdfast_store::orders::NewOrder;
use serde::Serialize;

/// What the partner gets besides id and reference.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fulfilment<'a> {
    user_id: &'a str,
    product_name: &'a str,
    quantity: i64,
    /// The total price, under the contract's name for what is compared.
    amount: Money,
    currency: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<&'a Node>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Node>,
}

pub(super) async fn handle(run: &mut Run<'_>, order: &Order) -> Result<Outcome, Stop> {
    match record(run, order).await? {
        Some(partner) => fulfil(run, order, &partner).await,
        None if run.is_stale() => Ok(run.expired()),
        None => Ok(Outcome::Completed),
    }
}

/// Inserts the business row if it is absent, and answers who fulfils it: whoever was configured when it was first
/// recorded.
async fn record(run: &mut Run<'_>, order: &Order) -> Result<Option<String>, Stop> {
    if let Some(known) = run.progress.partners.first() {
        return Ok(Some(known.partner.clone()));
    }
    let row = NewOrder {
        hold: run.hold(),
        client: run.claimed.client,
        user_id: order.user_id.clone(),
        product_name: order.product_name.clone(),
        quantity: order.quantity,
        total_price: order.total_price,
        partner: run.engine.app.config.orders.partner.clone(),
    };
    let step = run.begin("record", None);
    let recorded = run.engine.records.on(run.track).orders.call(row).await;
    run.end(step, recorded.as_ref().err().map(|_| FAULT));
    let recorded = recorded.map_err(not_recorded)?.ok_or(Stop::Lost)?;
    run.happened(Happening::Recorded);
    failpoint::hit("recorded");
    Ok(recorded.partner)
}

async fn fulfil(run: &mut Run<'_>, order: &Order, partner: &str) -> Result<Outcome, Stop> {
    let partnership = run.engine.partnership(partner).map_err(Stop::Fault)?;
    let reference = run.claimed.key.clone();
    let fields = Fulfilment {
        user_id: &order.user_id,
        product_name: &order.product_name,
        quantity: order.quantity,
        amount: order.total_price,
        currency: order.currency,
        items: order.items.as_ref(),
        metadata: order.wishes.metadata.as_ref(),
    };
    let request = Request { reference: &reference, amount: Some(order.total_price), fields };
    submit(run, partnership, &request).await?;
    settle(run, partnership, &request).await
}
