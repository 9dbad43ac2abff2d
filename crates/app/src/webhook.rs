//! What a partner tells us by itself: verified, stored, and the run that waits for it nudged, before it gets its 200.

use crate::journal::{Journal, NotTaken};
use crate::outage::Outage;
use crate::{App, clock, config};
use anyhow::Context as _;
use holdfast_domain::journal::{Entry, Update};
use holdfast_domain::status::Reason;
use holdfast_domain::{ClientNo, CommandId, CommandNo, Kind, Lane, Status, message};
use holdfast_partners::generic::RemoteStatus;
use holdfast_partners::webhook::{self, Settings, Verifier};
use holdfast_queue::{Outgoing, Sent};
use holdfast_store::partner_updates::{self, Window};
use holdfast_store::{Pool, attention};
use http::HeaderMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The partners that send webhooks.
#[derive(Clone)]
pub struct Webhooks {
    app: App,
    pool: Pool,
    journal: Journal,
    outage: Outage,
    senders: Arc<BTreeMap<String, Sender>>,
}

struct Sender {
    verifier: Verifier,
    tolerance: Duration,
}

/// A run that should look at once.
#[derive(Clone, Copy, Debug)]
pub struct Nudged {
    no: CommandNo,
    id: CommandId,
    client: ClientNo,
    kind: Kind,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no such partner, or it sends no webhooks")]
    UnknownPartner,
    #[error("the signature is not valid, or its time has passed")]
    NotAuthentic,
    #[error("the body cannot be read: {0}")]
    Unreadable(String),
    #[error("the update could not be stored")]
    Store(#[from] holdfast_store::Error),
    #[error("the update could not be stored")]
    NotTaken(#[from] NotTaken),
}

impl Webhooks {
    pub fn new(app: &App, journal: Journal, outage: Outage) -> anyhow::Result<Self> {
        let mut senders = BTreeMap::new();
        for (name, terms) in &app.config.partners {
            if let Some(sender) = Sender::new(terms).with_context(|| format!("read partners.{name}"))? {
                senders.insert(name.clone(), sender);
            }
        }
        let pool = app.pool.within(app.config.api.accept_timeout_ms.get());
        Ok(Self { app: app.clone(), pool, journal, outage, senders: Arc::new(senders) })
    }

    /// Whether this could be one, before its body is here. That it is one, its signature shows.
    pub fn expect(&self, partner: &str, headers: &HeaderMap) -> Result<(), Error> {
        let sender = self.senders.get(partner).ok_or(Error::UnknownPartner)?;
        if sender.verifier.is_signed_at_all(headers) {
            return Ok(());
        }
        self.app.metrics.accepting.heard(partner, "not_authentic");
        Err(Error::NotAuthentic)
    }

    /// Stores what an authentic webhook says, once. Answers the run that should hear of it.
    pub async fn receive(&self, partner: &str, headers: &HeaderMap, body: &[u8]) -> Result<Option<Nudged>, Error> {
        let received = self.take(partner, headers, body).await;
        let outcome = match &received {
            Ok(_) => "stored",
            // Anybody can make a name up.
            Err(Error::UnknownPartner) => return received,
            Err(Error::NotAuthentic) => "not_authentic",
            Err(Error::Unreadable(_)) => "unreadable",
            Err(Error::NotTaken(_)) => "unavailable",
            Err(Error::Store(_)) => "failed",
        };
        self.app.metrics.accepting.heard(partner, outcome);
        received
    }

    async fn take(&self, partner: &str, headers: &HeaderMap, body: &[u8]) -> Result<Option<Nudged>, Error> {
        let sender = self.senders.get(partner).ok_or(Error::UnknownPartner)?;
        let envelope = sender.verifier.verify(headers, body).ok_or(Error::NotAuthentic)?;
        let update = webhook::read(&envelope, body).map_err(Error::Unreadable)?;
        let update = Update {
            partner: partner.to_owned(),
            event_id: update.event_id,
            command: update.command,
            status: status(update.status),
            reason: update.reason,
            received_at: None,
        };
        let tolerance = sender.tolerance;
        let window = envelope.timestamp.map(|timestamp| Window { timestamp, tolerance });
        if !self.outage.is_on() {
            match store(&self.pool, &update, window).await {
                Err(holdfast_store::Error::Unavailable(_)) => self.outage.report(),
                Err(holdfast_store::Error::Locked(_)) => {}
                Err(error) => return Err(error.into()),
                Ok(Heard { in_time: false, .. }) => return Err(Error::NotAuthentic),
                Ok(Heard { nudged, .. }) => {
                    self.outage.wrote();
                    return Ok(nudged);
                }
            }
        }
        self.by_queue(update, window).await.map(|()| None)
    }

    /// While Postgres is down. The run that should hear of it is nudged by whoever reads the journal.
    async fn by_queue(&self, update: Update, window: Option<Window>) -> Result<(), Error> {
        let now = clock::while_postgres_is_down();
        let in_time = |window: Window| now.timestamp().abs_diff(window.timestamp) <= window.tolerance.as_secs();
        if !window.is_none_or(in_time) {
            return Err(Error::NotAuthentic);
        }
        let outage = self.outage.lasts().unwrap_or_default();
        let update = Update { received_at: Some(now), ..update };
        self.journal.write(Entry::Update { update }, outage).await?;
        Ok(())
    }

    /// Tells a worker. If that fails, the row is due all the same.
    pub async fn publish(&self, nudged: Nudged) {
        let Nudged { no, id, client, kind } = nudged;
        let message = message::nudge(no, id, kind, Lane::Run);
        let body = serde_json::to_string(&message).expect("a message always serialises");
        let group = self.app.shares.group(client);
        let track = self.app.shares.nudge(client);
        let outgoing = Outgoing { body, group, ..Outgoing::default() };
        let sent = self.app.send((kind, track), "webhook", &[outgoing]).await;
        if sent.contains(&Sent::Failed) {
            tracing::debug!(command.id = %id, "could not publish a nudge, the relay will");
        }
    }
}

/// What became of an update.
pub(crate) struct Heard {
    /// Its timestamp is a present one; else nothing was stored.
    in_time: bool,
    /// The run that should hear of it.
    nudged: Option<Nudged>,
}

/// Stores an update once, and nudges the run that waits for it. What comes too late is shown to an operator if it
/// contradicts how the command has ended. All of it is done for a repeated one too: whoever stored it first may have died
/// in between.
pub(crate) async fn store(
    pool: &Pool,
    update: &Update,
    window: Option<Window>,
) -> Result<Heard, holdfast_store::Error> {
    let stored = partner_updates::store(pool, update, window).await?;
    let Some((no, client, kind)) = stored.command.filter(|_| stored.in_time) else {
        return Ok(Heard { in_time: stored.in_time, nudged: None });
    };
    let nudged = stored.nudged || partner_updates::reopen(pool, no).await?;
    let id = update.command;
    if !nudged && update.status != Status::Pending {
        contradict(pool, no, update).await?;
    }
    Ok(Heard { in_time: true, nudged: nudged.then_some(Nudged { no, id, client, kind }) })
}

/// A partner's word that contradicts how the command has ended changes nothing, and is shown to an operator.
async fn contradict(pool: &Pool, no: CommandNo, update: &Update) -> Result<(), holdfast_store::Error> {
    let Some(known) = partner_updates::known_end(pool, no, &update.partner).await? else { return Ok(()) };
    if known == update.status {
        return Ok(());
    }
    let Update { partner, event_id, status, command, .. } = update;
    tracing::warn!(command.id = %command, partner, %status, %known, "webhook contradicts how the command has ended");
    let detail = format!("{partner} says {status} (event {event_id}), but it was {known}");
    attention::open(pool, no, &Reason::new("contradicting_webhook", detail)).await
}

impl Sender {
    /// `None`: this partner sends none.
    fn new(terms: &config::Partner) -> anyhow::Result<Option<Self>> {
        let Some(secret) = &terms.webhook_secret else { return Ok(None) };
        let verifier = Verifier::new(&Settings {
            secrets: [secret].into_iter().chain(&terms.webhook_previous_secret).collect(),
            header: terms.webhook_header.as_deref(),
            timestamp_header: terms.webhook_timestamp_header.as_deref(),
        })?;
        Ok(Some(Self { verifier, tolerance: terms.webhook_tolerance_ms.get() }))
    }
}

const fn status(remote: RemoteStatus) -> Status {
    match remote {
        RemoteStatus::Pending => Status::Pending,
        RemoteStatus::Completed => Status::Completed,
        RemoteStatus::Failed => Status::Failed,
    }
}
