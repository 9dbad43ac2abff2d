//! Waiting for the partner's final word.

use super::Request;
use super::hear::hear;
use super::look_up::{ask, describe};
use super::submit::accepted;
use crate::failpoint;
use crate::partnership::Partnership;
use crate::run::{Run, Stop};
use holdfast_domain::progress::PartnerState;
use holdfast_domain::status::{Outcome, Reason, Step};
use holdfast_domain::trail::Happening;
use holdfast_partners::generic::LookedUp;

/// Polls after this many mean: the first wait has passed without a status, and the client sees `pending`.
const POLLS_UNTIL_PENDING: u16 = 2;

/// Returns the outcome, once the partner has one. The creation's own answer may have been final.
pub async fn settle<F: Sync>(
    run: &mut Run<'_>,
    partnership: &Partnership,
    request: &Request<'_, F>,
) -> Result<Outcome, Stop> {
    let step = run.begin("settle", Some(&partnership.name));
    let settled = await_outcome(run, partnership, request).await;
    run.end(step, settled.as_ref().err().map(Stop::name));
    settled
}

async fn await_outcome<F: Sync>(
    run: &mut Run<'_>,
    partnership: &Partnership,
    request: &Request<'_, F>,
) -> Result<Outcome, Stop> {
    let Partnership { name, terms, .. } = partnership;
    run.step = Step::Settle;
    hear(run, name).await?;
    let mut over = false;
    loop {
        let progress = run.partner(name);
        match progress.state {
            PartnerState::Completed => {
                failpoint::hit("settled");
                return Ok(Outcome::Completed);
            }
            PartnerState::Failed => {
                let detail = progress.detail.clone().unwrap_or_else(|| format!("{name} gave no reason"));
                return Ok(Outcome::Failed(Reason::new("failed_at_partner", detail)));
            }
            PartnerState::Open | PartnerState::Unknown | PartnerState::Accepted | PartnerState::Rejected => {}
        }
        if over {
            let detail = format!("{name} gave no final status in time");
            return Ok(Outcome::NeedsAttention(Reason::new("settlement_timeout", detail)));
        }
        // Asked once more when the time is over: nobody may have looked for a while.
        over = run.settling_is_over(terms.settle_within_ms.get());
        let decided = match poll(run, partnership, request).await {
            // Its breaker is open, and the time is over.
            Err(Stop::Wait { after, .. }) if over && !after.is_zero() => false,
            polled => polled?,
        };
        if !decided && !over {
            wait(run, partnership).await?;
        }
    }
}

/// Asks once. Returns whether the answer was final.
async fn poll<F: Sync>(run: &mut Run<'_>, partnership: &Partnership, request: &Request<'_, F>) -> Result<bool, Stop> {
    let Partnership { name, .. } = partnership;
    let exchange = ask(run, partnership).await?;
    let answer = describe(&exchange);
    run.happened(Happening::Polled { partner: name.clone(), answer });
    if let LookedUp::Found(remote) = exchange.outcome {
        accepted(run, name, request, remote)?;
    }
    let progress = run.partner(name);
    progress.polls = progress.polls.saturating_add(1);
    Ok(matches!(progress.state, PartnerState::Completed | PartnerState::Failed))
}

/// Waits as long as the schedule says.
async fn wait(run: &mut Run<'_>, partnership: &Partnership) -> Result<(), Stop> {
    let Partnership { name, terms, .. } = partnership;
    let polls = run.partner(name).polls;
    if polls == POLLS_UNTIL_PENDING {
        run.is_pending().await?;
    }
    run.rest(terms.polling().wait_after(polls), &format!("{name} is pending")).await
}
