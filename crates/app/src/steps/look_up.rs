//! Asking a partner what stands under our id.

use super::Request;
use super::submit::accepted;
use crate::partnership::Partnership;
use crate::run::{Run, Stop};
use holdfast_domain::money::{Currency, Money};
use holdfast_domain::progress::PartnerState;
use holdfast_domain::status::{Outcome, Reason};
use holdfast_domain::trail::{Answer, Happening};
use holdfast_partners::Exchange;
use holdfast_partners::generic::{LookedUp, Remote};

/// Resolves the state `Unknown`, or waits until it can.
pub(super) async fn look_up<F>(
    run: &mut Run<'_>,
    partnership: &Partnership,
    request: &Request<'_, F>,
) -> Result<(), Stop> {
    let Partnership { name, terms, .. } = partnership;
    let exchange = ask(run, partnership).await?;
    let answer = describe(&exchange);
    let progress = run.partner(name);
    progress.lookups = progress.lookups.saturating_add(1);
    run.happened(Happening::LookedUp { partner: name.clone(), answer });
    match exchange.outcome {
        LookedUp::Found(remote) => match mismatch(request, &remote) {
            None => {
                accepted(run, name, remote);
                Ok(())
            }
            Some(field) => {
                let detail = format!("{name} has another {field} under this id");
                Err(Stop::End(Outcome::NeedsAttention(Reason::new("partner_mismatch", detail))))
            }
        },
        LookedUp::NotFound => not_found(run, partnership),
        LookedUp::Failed(_) if run.first_sent_ago() > terms.key_lifetime_ms.get() => {
            let detail = format!("{name} did not say whether it has this command");
            Err(Stop::End(Outcome::NeedsAttention(Reason::new("outcome_unknown", detail))))
        }
        LookedUp::Failed(_) => {
            Err(Stop::Wait { after: terms.lookup_retry_ms.get(), why: format!("look up at {name} again") })
        }
    }
}

/// One lookup, if the claim lasts long enough.
pub(super) async fn ask(run: &Run<'_>, partnership: &Partnership) -> Result<Exchange<LookedUp>, Stop> {
    run.must_have(partnership.partner.lookup_timeout())?;
    let claimed = &run.claimed;
    Ok(partnership.partner.lookup(claimed.kind, claimed.id, claimed.traceparent.as_deref()).await)
}

/// Nothing of ours is there.
fn not_found(run: &mut Run<'_>, partnership: &Partnership) -> Result<(), Stop> {
    let Partnership { name, terms, .. } = partnership;
    let progress = run.partner(name);
    if progress.rejected {
        progress.state = PartnerState::Rejected;
        return Ok(());
    }
    if terms.at_most_once && progress.was_unknown {
        if progress.lookups < terms.tries {
            return Err(Stop::Wait { after: terms.try_delay_ms.get(), why: format!("look up at {name} again") });
        }
        let detail = format!("{name} has no idempotency keys: a creation under way could still take effect");
        return Err(Stop::End(Outcome::NeedsAttention(Reason::new("outcome_unknown", detail))));
    }
    if progress.tries >= terms.tries {
        let detail = format!("{name}: {}", progress.detail.as_deref().unwrap_or("no answer"));
        return Err(Stop::End(Outcome::Failed(Reason::new("partner_unavailable", detail))));
    }
    progress.state = PartnerState::Open;
    Ok(())
}

/// The first field of the partner's record that is not what we sent. What it does not repeat cannot be compared.
fn mismatch<F>(request: &Request<'_, F>, remote: &Remote) -> Option<&'static str> {
    let differs = |theirs: &Option<String>, ours: &str| theirs.as_deref().is_some_and(|theirs| theirs != ours);
    if let Some(amount) = request.amount {
        if differs(&remote.currency, amount.currency().code()) {
            return Some("currency");
        }
        if remote.amount.as_deref().is_some_and(|theirs| !is_amount(theirs, amount, amount.currency())) {
            return Some("amount");
        }
    }
    differs(&remote.reference, request.reference).then_some("reference")
}

fn is_amount(theirs: &str, ours: Money, currency: Currency) -> bool {
    Money::parse(theirs, currency).is_ok_and(|theirs| theirs == ours)
}

pub(super) fn describe(exchange: &Exchange<LookedUp>) -> Answer {
    let (outcome, detail) = match &exchange.outcome {
        LookedUp::Found(remote) => (format!("{:?}", remote.status).to_lowercase(), remote.reason.clone()),
        LookedUp::NotFound => ("not_found".to_owned(), None),
        LookedUp::Failed(why) => ("failed".to_owned(), Some(why.clone())),
    };
    Answer { outcome, http_status: exchange.http_status, detail, took_ms: exchange.took.as_millis() as u64 }
}
