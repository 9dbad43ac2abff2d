//! Asking a partner what stands under our id.

use super::Request;
use super::submit::accepted;
use crate::partnership::Partnership;
use crate::run::{Run, Stop, random};
use holdfast_domain::progress::PartnerState;
use holdfast_domain::status::{Outcome, Reason};
use holdfast_domain::trail::{Answer, Happening};
use holdfast_partners::Exchange;
use holdfast_partners::generic::LookedUp;
use std::time::Instant;

/// Resolves the state `Unknown`, or waits until it can.
pub(super) async fn look_up<F>(
    run: &mut Run<'_>,
    partnership: &Partnership,
    request: &Request<'_, F>,
) -> Result<(), Stop> {
    let Partnership { name, terms, .. } = partnership;
    // Where nothing was ever sent, that must end too.
    let asking_for = run.asking_for(name);
    let since = if run.partner(name).may_have_been_sent() { run.first_sent_ago() } else { asking_for };
    let forgotten = since > terms.key_lifetime_ms.get();
    let exchange = match ask(run, partnership).await {
        // Its breaker is open, and nobody has got through to it in all this time.
        Err(Stop::Wait { after, .. }) if forgotten && !after.is_zero() => return Err(no_word(run, partnership)),
        asked => asked?,
    };
    let answer = describe(&exchange);
    let progress = run.partner(name);
    progress.lookups = progress.lookups.saturating_add(1);
    run.happened(Happening::LookedUp { partner: name.clone(), answer });
    if !matches!(exchange.outcome, LookedUp::Failed(_)) {
        run.partner(name).asking_since = None;
    }
    match exchange.outcome {
        LookedUp::Found(remote) => accepted(run, name, request, remote),
        LookedUp::NotFound => not_found(run, partnership),
        LookedUp::Failed(_) if forgotten => Err(no_word(run, partnership)),
        LookedUp::Failed(_) => {
            Err(Stop::Wait { after: terms.lookup_retry_ms.get(), why: format!("look up at {name} again") })
        }
    }
}

/// One lookup, if the claim lasts long enough.
pub(super) async fn ask(run: &mut Run<'_>, partnership: &Partnership) -> Result<Exchange<LookedUp>, Stop> {
    let turn = run.admit(partnership).await?;
    run.must_have(partnership.partner.lookup_timeout())?;
    let (kind, id) = (run.claimed.kind, run.claimed.id);
    let span = run.request(partnership, "GET", "/{id}");
    let traceparent = span.traceparent().or_else(|| run.claimed.traceparent.clone());
    let asking = async {
        let exchange = partnership.partner.lookup(kind, id, traceparent.as_deref()).await;
        // Before it waits for a slot: those who have one may wait for this turn.
        turn.leave(exchange.took);
        span.called(exchange.http_status);
        exchange
    };
    let exchange = run.away(asking).await;
    let answered = !matches!(exchange.outcome, LookedUp::Failed(_));
    partnership.circuit.report(answered, Instant::now(), random());
    Ok(exchange)
}

/// The end of a command about which its partner has said nothing for as long as it remembers our key.
fn no_word(run: &mut Run<'_>, partnership: &Partnership) -> Stop {
    let Partnership { name, .. } = partnership;
    let detail = format!("{name} did not say whether it has this command");
    let progress = run.partner(name);
    match progress.may_have_been_sent() || progress.announced {
        true => Stop::End(Outcome::NeedsAttention(Reason::new("outcome_unknown", detail))),
        false => Stop::End(Outcome::Failed(Reason::new("partner_unavailable", detail))),
    }
}

/// Nothing of ours is there; not yet, perhaps, while a lost request is younger than the delay between tries.
fn not_found(run: &mut Run<'_>, partnership: &Partnership) -> Result<(), Stop> {
    let Partnership { name, terms, .. } = partnership;
    let (wait, forgotten) = (run.next_try_in(), run.first_sent_ago() > terms.key_lifetime_ms.get());
    let progress = run.partner(name);
    if progress.announced && terms.at_most_once {
        let detail = format!("{name} told us how this ended, but has nothing of it");
        return Err(Stop::End(Outcome::NeedsAttention(Reason::new("outcome_unknown", detail))));
    }
    if progress.was_unknown && forgotten {
        let detail = format!("{name} has nothing under our key, but may have forgotten it");
        return Err(Stop::End(Outcome::NeedsAttention(Reason::new("key_lifetime_over", detail))));
    }
    if let (Some(after), true) = (wait, progress.was_unknown && !terms.at_most_once) {
        return Err(Stop::Wait { after, why: format!("look up at {name} again") });
    }
    if progress.expired {
        return Err(Stop::End(run.expired()));
    }
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

pub(super) fn describe(exchange: &Exchange<LookedUp>) -> Answer {
    let (outcome, detail) = match &exchange.outcome {
        LookedUp::Found(remote) => (format!("{:?}", remote.status).to_lowercase(), remote.reason.clone()),
        LookedUp::NotFound => ("not_found".to_owned(), None),
        LookedUp::Failed(why) => ("failed".to_owned(), Some(why.clone())),
    };
    Answer { outcome, http_status: exchange.http_status, detail, took_ms: exchange.took.as_millis() as u64 }
}
