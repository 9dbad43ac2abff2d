//! The statements of commands that go well, each over all of a batch, with nothing around them.

use anyhow::{Context as _, ensure};
use holdfast_app::App;
use holdfast_domain::money::{Currency, Money};
use holdfast_domain::progress::Progress;
use holdfast_domain::status::Outcome;
use holdfast_domain::trail::{Entry, Happening};
use holdfast_domain::{ClientNo, Command, CommandId, CommandNo, Kind, Lane, Status, Token, WorkerId};
use holdfast_store::commands::{self, Origin};
use holdfast_store::wakeups::{self, Claim, Claimed, Finish, Finished, First, Hold, Tell, Told, Wish};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const WORKER: WorkerId = WorkerId(1);
const CLIENT: ClientNo = ClientNo(1);
const LEASE: Duration = Duration::from_secs(60);

/// Long enough for nobody to publish it.
const LATER: Duration = Duration::from_secs(3_600);

#[derive(Clone)]
pub(crate) struct Ledger(pub(crate) App);

/// A command and its number.
pub(crate) struct Taken {
    no: CommandNo,
    command: Arc<Command>,
}

impl Ledger {
    pub(crate) fn command(&self, key: &str) -> Command {
        Command {
            id: CommandId::compute(&self.0.server_key, CLIENT, Kind::Transaction, key),
            client: CLIENT,
            kind: Kind::Transaction,
            key: key.to_owned(),
            header_key: None,
            fingerprint: [0; 32],
            body: format!(r#"{{"transactionId":"{key}","amount":"1.00","currency":"EUR"}}"#),
            traceparent: None,
            accepted_at: None,
        }
    }

    pub(crate) async fn accept(&self, name: &str, from: usize, count: usize) -> anyhow::Result<Vec<Taken>> {
        let commands: Vec<_> = (from..from + count).map(|n| self.command(&format!("{name}-{n}"))).collect();
        let rows: Vec<_> = commands.iter().collect();
        let accepted = commands::accept(&self.0.pool, &rows, Origin::Request { due_in: LATER, marked: false }).await;
        let numbers: HashMap<_, _> = accepted.context("accept")?.into_iter().map(|row| (row.id, row.no)).collect();
        let taken = |command: Command| Some(Taken { no: *numbers.get(&command.id)?, command: Arc::new(command) });
        commands.into_iter().map(taken).collect::<Option<_>>().context("accept all of them")
    }

    /// Claimed and recorded: what comes before the third party is called.
    pub(crate) async fn begin(&self, accepted: &[Taken]) -> anyhow::Result<Vec<Claimed>> {
        // Whatever is unique.
        let amount = Currency::parse("EUR").and_then(|euro| Money::from_minor(100, euro)).context("an amount")?;
        let partner: Arc<str> = "processor".into();
        let wish = |Taken { no, command }: &Taken| {
            let (command, partner) = (Arc::clone(command), Arc::clone(&partner));
            let claim = Claim { no: *no, lane: Lane::Run, token: Token(no.0) };
            Wish { claim, first: Some(First { command, amount, partner }) }
        };
        let wishes: Vec<_> = accepted.iter().map(wish).collect();
        let claimed = wakeups::begin(&self.0.pool, WORKER, LEASE, &wishes).await.context("claim")?;
        let begun = claimed.iter().filter(|claimed| claimed.recorded).count();
        ensure!(begun == wishes.len(), "{begun} of {} were begun", wishes.len());
        Ok(claimed)
    }

    /// The end, with the claim to tell of it.
    pub(crate) async fn finish(&self, claimed: &[Claimed]) -> anyhow::Result<Vec<Finished>> {
        let ends: Vec<_> = claimed.iter().map(end).collect();
        let ends: Vec<_> = ends.iter().collect();
        let finished = wakeups::finish(&self.0.pool, WORKER, LEASE, &ends).await.context("finish")?;
        ensure!(finished.len() == claimed.len(), "{} of {} have ended", finished.len(), claimed.len());
        Ok(finished)
    }

    pub(crate) async fn told(&self, finished: &[Finished]) -> anyhow::Result<()> {
        let told: Vec<_> = finished.iter().map(attempt).collect();
        let told: Vec<_> = told.iter().collect();
        let done = wakeups::told(&self.0.pool, &told).await.context("told")?;
        ensure!(done.len() == finished.len(), "{} of {} are told", done.len(), finished.len());
        Ok(())
    }
}

const fn hold(claimed: &Claimed) -> Hold {
    Hold { no: claimed.no, token: claimed.token }
}

fn end(claimed: &Claimed) -> Finish {
    Finish {
        hold: hold(claimed),
        nudge: claimed.nudge,
        client: CLIENT,
        created_at: claimed.created_at,
        outcome: Outcome::Completed,
        progress: Progress::default(),
        trail: vec![
            entry(claimed, Happening::Claimed { worker: WORKER, taken_over: false }),
            entry(claimed, Happening::Recorded),
            entry(claimed, Happening::Finished { status: Status::Completed, reason: None }),
        ],
        anchor: claimed.anchor,
        tell: Tell::Owed,
        claim_tell: true,
    }
}

fn attempt(finished: &Finished) -> Told {
    Told {
        hold: finished.hold,
        nudge: None,
        sequence: finished.sequence,
        attempt: 1,
        previous: finished.hash,
        tries: 1,
        trail: vec![Entry::new(finished.finished_at, Happening::Recorded)],
        wait: Duration::ZERO,
    }
}

fn entry(claimed: &Claimed, what: Happening) -> Entry {
    Entry::new(claimed.claimed_at, what)
}
