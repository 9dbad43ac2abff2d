//! Bringing a command to a partner: at most one effect there, whatever is lost on the way.

use super::Request;
use super::hear::hear;
use super::look_up::look_up;
use crate::failpoint;
use crate::partnership::Partnership;
use crate::run::{Run, Stop, random};
use holdfast_domain::progress::PartnerState;
use holdfast_domain::status::{Outcome, Reason, Step};
use holdfast_domain::trail::{Answer, Happening};
use holdfast_partners::Exchange;
use holdfast_partners::generic::{Created, Creation, Remote, RemoteStatus};
use serde::Serialize;
use std::time::Instant;

/// Returns when the partner has it. While anything is unknown, the next act is a lookup, never a creation.
pub async fn submit<F: Serialize + Sync>(
    run: &mut Run<'_>,
    partnership: &Partnership,
    request: &Request<'_, F>,
) -> Result<(), Stop> {
    let step = run.begin("submit", Some(&partnership.name));
    let submitted = bring(run, partnership, request).await;
    run.end(step, submitted.as_ref().err().map(Stop::name));
    submitted
}

async fn bring<F: Serialize + Sync>(
    run: &mut Run<'_>,
    partnership: &Partnership,
    request: &Request<'_, F>,
) -> Result<(), Stop> {
    run.step = Step::Submit;
    hear(run, &partnership.name).await?;
    look_before_the_first(run, partnership);
    loop {
        let stale = run.is_stale();
        let progress = run.partner(&partnership.name);
        match progress.state {
            PartnerState::Open => create(run, partnership, request).await?,
            // Only where it is always looked up first.
            PartnerState::Unknown if stale && !progress.may_have_been_sent() => {
                return Err(Stop::End(run.expired()));
            }
            PartnerState::Unknown => look_up(run, partnership, request).await?,
            PartnerState::Accepted | PartnerState::Completed | PartnerState::Failed => return Ok(()),
            PartnerState::Rejected => {
                let detail = progress.detail.clone().unwrap_or_default();
                return Err(Stop::End(Outcome::Failed(Reason::new("rejected_by_partner", detail))));
            }
        }
    }
}

/// What a claim that was not released did is unknown; and some partners are always asked first.
fn look_before_the_first(run: &mut Run<'_>, partnership: &Partnership) {
    let Partnership { name, terms, .. } = partnership;
    if !matches!(run.partner(name).state, PartnerState::Open | PartnerState::Unknown) {
        return;
    }
    let doubt = run.take_doubt();
    let progress = run.partner(name);
    if doubt {
        progress.state = PartnerState::Unknown;
        progress.was_unknown = true;
        if !terms.idempotent {
            run.delay_next_try(terms.try_delay_ms.get());
        }
    } else if terms.lookup_first && progress.tries == 0 && progress.lookups == 0 {
        progress.state = PartnerState::Unknown;
    }
}

async fn create<F: Serialize + Sync>(
    run: &mut Run<'_>,
    partnership: &Partnership,
    request: &Request<'_, F>,
) -> Result<(), Stop> {
    let Partnership { name, terms, partner, circuit } = partnership;
    if run.is_stale() {
        return refuse_stale(run, partnership).await;
    }
    let sent_before = run.partner(name).tries > 0 || run.partner(name).was_unknown;
    if sent_before && run.first_sent_ago() > terms.key_lifetime_ms.get() {
        let detail = format!("{name} may have forgotten our key, another creation could be a second one");
        return Err(Stop::End(Outcome::NeedsAttention(Reason::new("key_lifetime_over", detail))));
    }
    if let Some(wait) = run.next_try_in() {
        return Err(Stop::Wait { after: wait, why: format!("next try at {name}") });
    }
    let turn = run.admit(partnership).await?;
    run.must_have(partner.create_timeout())?;
    failpoint::hit_for("before_create", &run.claimed.key);
    run.sending();
    let (kind, id) = (run.claimed.kind, run.claimed.id);
    let creation = Creation { id, reference: request.reference, fields: &request.fields };
    let span = run.request(partnership, "POST", "");
    let traceparent = span.traceparent().or_else(|| run.claimed.traceparent.clone());
    let creating = async {
        let exchange = partner.create(kind, &creation, traceparent.as_deref()).await;
        // Before it waits for a slot: those who have one may wait for this turn.
        turn.leave(exchange.took);
        span.called(exchange.http_status);
        exchange
    };
    let exchange = run.away(creating).await;
    failpoint::hit("after_create");
    // A refusal and a conflict are answers too.
    let answered = exchange.http_status.is_some_and(|status| status < 500 && !matches!(status, 408 | 425 | 429));
    circuit.report(answered, Instant::now(), random());
    let attempt = run.partner(name).tries + 1;
    run.partner(name).tries = attempt;
    let answer = describe(&exchange);
    run.happened(Happening::Created { partner: name.clone(), attempt, answer });
    match exchange.outcome {
        Created::Accepted(remote) => accepted(run, name, request, remote),
        Created::Rejected(why) => rejected(run, partnership, why).await,
        Created::Unavailable(why) => unavailable(run, partnership, why),
        Created::Unknown(why) => unknown(run, partnership, why).await,
    }
}

/// A sale that came too late. One that may stand there after all is looked for once more, when what was lost on its way can
/// be counted upon not to arrive.
async fn refuse_stale(run: &mut Run<'_>, partnership: &Partnership) -> Result<(), Stop> {
    let progress = run.partner(&partnership.name);
    if !progress.was_unknown {
        return Err(Stop::End(run.expired()));
    }
    progress.expired = true;
    progress.state = PartnerState::Unknown;
    run.delay_next_try(partnership.terms.try_delay_ms.get());
    run.note().await
}

/// The partner has it, unless what it has is something else.
pub(super) fn accepted<F>(run: &mut Run<'_>, name: &str, request: &Request<'_, F>, remote: Remote) -> Result<(), Stop> {
    if let Some(field) = request.mismatch(&remote) {
        let detail = format!("{name} has another {field} under this id");
        return Err(Stop::End(Outcome::NeedsAttention(Reason::new("partner_mismatch", detail))));
    }
    let progress = run.partner(name);
    progress.state = match remote.status {
        RemoteStatus::Pending => PartnerState::Accepted,
        RemoteStatus::Completed => PartnerState::Completed,
        RemoteStatus::Failed => PartnerState::Failed,
    };
    progress.external_id = Some(remote.external_id);
    progress.detail = remote.reason;
    Ok(())
}

/// A rejection proves that *this* request had no effect. If an earlier one is in doubt, a lookup has the last word.
async fn rejected(run: &mut Run<'_>, partnership: &Partnership, why: String) -> Result<(), Stop> {
    let progress = run.partner(&partnership.name);
    progress.detail = Some(why);
    progress.rejected = true;
    if !progress.was_unknown {
        progress.state = PartnerState::Rejected;
        return Ok(());
    }
    progress.state = PartnerState::Unknown;
    run.delay_next_try(partnership.terms.try_delay_ms.get());
    run.note().await
}

/// Surely not written: try again later, if a try is left.
fn unavailable(run: &mut Run<'_>, partnership: &Partnership, why: String) -> Result<(), Stop> {
    let Partnership { name, terms, .. } = partnership;
    let progress = run.partner(name);
    progress.detail = Some(why.clone());
    if progress.tries < terms.tries {
        run.delay_next_try(terms.try_delay_ms.get());
        let after = run.next_try_in().unwrap_or_default();
        return Err(Stop::Wait { after, why: format!("{name} is unavailable") });
    }
    if progress.was_unknown {
        // An earlier request may have landed since the last lookup: only another one can call this failed.
        progress.state = PartnerState::Unknown;
        run.delay_next_try(terms.try_delay_ms.get());
        return Ok(());
    }
    Err(Stop::End(Outcome::Failed(Reason::new("partner_unavailable", format!("{name}: {why}")))))
}

/// It may have happened. Written down at once: a crash must not forget the doubt.
async fn unknown(run: &mut Run<'_>, partnership: &Partnership, why: String) -> Result<(), Stop> {
    let Partnership { name, terms, .. } = partnership;
    let progress = run.partner(name);
    progress.state = PartnerState::Unknown;
    progress.was_unknown = true;
    progress.detail = Some(why);
    // The first creation after a lookup that finds nothing may follow at once where the partner honours our key. Nothing
    // else may be concluded from such a lookup: what we gave up waiting for can still land.
    if !terms.idempotent || progress.tries > 1 || progress.tries >= terms.tries {
        run.delay_next_try(terms.try_delay_ms.get());
    }
    run.note().await?;
    failpoint::hit("noted");
    Ok(())
}

fn describe(exchange: &Exchange<Created>) -> Answer {
    let (outcome, detail) = match &exchange.outcome {
        Created::Accepted(_) => ("accepted", None),
        Created::Rejected(why) => ("rejected", Some(why.clone())),
        Created::Unavailable(why) => ("unavailable", Some(why.clone())),
        Created::Unknown(why) => ("unknown", Some(why.clone())),
    };
    let took_ms = exchange.took.as_millis() as u64;
    Answer { outcome: outcome.to_owned(), http_status: exchange.http_status, detail, took_ms }
}
