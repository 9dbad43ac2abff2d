//! What a partner has said of itself by webhook.

use crate::run::{Run, Stop};
use crate::statements::persist;
use holdfast_domain::Status;
use holdfast_domain::progress::PartnerState;
use holdfast_domain::trail::Happening;
use holdfast_store::partner_updates::{self, Word};

/// Takes the partner's final word, if it has sent one. Looked for only where somebody has knocked. Of what was surely never
/// sent to it a partner can know nothing: that word is not taken, but leads to a lookup before the next creation.
pub(super) async fn hear(run: &mut Run<'_>, name: &str) -> Result<(), Stop> {
    let (state, since) = (run.partner(name).state, run.partner(name).heard_until);
    if run.claimed.nudge == 0 || !matches!(state, PartnerState::Open | PartnerState::Unknown | PartnerState::Accepted) {
        return Ok(());
    }
    let (pool, id) = (&run.engine.app.pool, run.claimed.id);
    let word = persist(|| partner_updates::final_word(pool, name, id, since)).await;
    let word = word.map_err(|error| Stop::Fault(anyhow::Error::new(error).context("read the partner's updates")))?;
    let Some(Word { event_id, status, reason, received_at }) = word.0 else { return Ok(()) };
    let (doubt, progress) = (run.is_in_doubt(), run.partner(name));
    if state == PartnerState::Accepted || progress.may_have_been_sent() || doubt {
        progress.state = if status == Status::Completed { PartnerState::Completed } else { PartnerState::Failed };
        progress.detail = reason;
    } else if !progress.announced {
        progress.announced = true;
        progress.state = PartnerState::Unknown;
    } else {
        return Ok(());
    }
    run.happened(Happening::Notified { partner: name.to_owned(), event_id, outcome: status, received_at });
    Ok(())
}
