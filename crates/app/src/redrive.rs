//! Sending dead letters to their queues again.

use crate::App;
use anyhow::{Context as _, ensure};
use holdfast_queue::{Outgoing, Queue, Sent};
use holdfast_store::dead_letters::{self, Filter, Kept, Settled};
use holdfast_store::operator::Operator;

/// A body that came back this often is not sent again unless it is forced.
const LOOP_GUARD: i64 = 3;

/// What would become of a letter.
pub enum Plan<'a> {
    SendTo(&'a Queue),
    /// It came back as often as the guard allows.
    Looping,
    /// Where it came from is not known here.
    Homeless,
}

pub fn plan<'a>(app: &'a App, letter: &Kept, force: bool) -> Plan<'a> {
    let journal = app.queues.journal();
    match letter.kind {
        _ if letter.redrives >= LOOP_GUARD && !force => Plan::Looping,
        _ if letter.queue == journal.name() => Plan::SendTo(journal),
        Some(kind) => Plan::SendTo(app.queues.of(kind)),
        None => Plan::Homeless,
    }
}

/// Sent, then marked: killed in between, it is sent twice, which a message without a power of its own bears. `false`:
/// somebody else has settled it since it was read, and what was put aside is not sent.
pub async fn send(app: &App, queue: &Queue, letter: &Kept, operator: Operator<'_>) -> anyhow::Result<bool> {
    let still = Filter { nos: Some(vec![letter.no]), limit: 1, ..Filter::default() };
    if dead_letters::find(&app.pool, &still).await.context("look at the letter again")?.is_empty() {
        return Ok(false);
    }
    let outgoing = Outgoing { body: letter.body.clone(), ..Outgoing::default() };
    ensure!(queue.send(&[outgoing]).await == [Sent::Stored], "sqs did not take letter {}", letter.no);
    let settled = dead_letters::settle(&app.pool, &[letter.no], Settled::Redriven, operator).await;
    Ok(settled.context("mark the letter")? == 1)
}
