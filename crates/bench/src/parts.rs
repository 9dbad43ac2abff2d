//! What the parts of a command cost on this machine just now, each by itself and in concert: a request that does nothing, the
//! statement of acceptance, SQS through its SDK. No program made of them can beat them, however little it adds.

use crate::concert::{self, Score};
use crate::cost::{cpu_ms, family_cpu_ms, postmaster};
use crate::ledger::{Ledger, Taken};
use crate::load::{self, Amount, Client, Target};
use crate::mock::{Manners, histogram};
use crate::scenarios::PATIENCE_NEEDED;
use crate::stack::Stack;
use anyhow::{Context as _, ensure};
use aws_sdk_sqs::Client as SqsClient;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, SendMessageBatchRequestEntry};
use hdrhistogram::Histogram;
use holdfast_app::pause;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Rows of a statement, where there are many.
pub(crate) const BATCH: usize = 50;

/// Messages of a call.
pub(crate) const TEN: usize = 10;

/// Requests that do nothing, 64 connections, per second, on the machine that the targets were set for.
const TARGETS_HTTP_PER_S: f64 = 148_000.0;

/// CPU time in µs, latencies in ms.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parts {
    /// A request that does nothing, 64 connections.
    client_us: f64,
    server_us: f64,
    http_per_s: f64,
    /// The statement that accepts, and those that claim, record, end and tell, fifty commands in each: of Postgres alone.
    accept_us: f64,
    carry_us: f64,
    /// A message sent, and one received and deleted, ten in a call: of the SDK and of the emulator.
    send_us: f64,
    receive_us: f64,
    /// In concert: commands accepted, carried from their message to their end, and both, per second.
    pub(crate) accepted_per_s: f64,
    pub(crate) carried_per_s: f64,
    pub(crate) completed_per_s: f64,
    /// The same, where third party and client take their time.
    pub(crate) patient_per_s: f64,
    /// A request that does nothing and then a statement of one row, 500 a second, with all else that these commands need.
    pub(crate) accept_p50_ms: f64,
    pub(crate) accept_p99_ms: f64,
    /// What one command asks of others from its acceptance to its callback, one after the other, each 10 ms: three requests,
    /// four statements of one row (the fifth comes after the callback), a message sent and received.
    pub(crate) command_p50_ms: f64,
}

/// What the parts are made with.
#[derive(Clone)]
pub(crate) struct Instruments {
    pub(crate) ledger: Ledger,
    sqs: SqsClient,
    queue: String,
    pub(crate) nobody: Target,
}

impl Parts {
    pub(crate) async fn measure(stack: &Stack) -> anyhow::Result<Self> {
        let instruments = Instruments {
            ledger: Ledger(stack.app.clone()),
            sqs: stack.sqs_client.clone(),
            queue: stack.spare_queue.clone(),
            nobody: nobody(stack),
        };
        let mut parts = Self::default();
        parts.http(stack, &instruments).await.context("measure HTTP")?;
        parts.rows(stack, &instruments.ledger).await.context("measure Postgres")?;
        parts.messages(stack, &instruments).await.context("measure SQS")?;
        let command = in_a_row(&instruments).await.context("measure a command")?;
        parts.command_p50_ms = ms(&command, 0.5);
        let accept = concert::steady(&instruments, 500).await.context("measure an even load")?;
        (parts.accept_p50_ms, parts.accept_p99_ms) = (ms(&accept, 0.5), ms(&accept, 0.99));
        for (figure, score) in [
            (&mut parts.accepted_per_s, Score::ACCEPT),
            (&mut parts.carried_per_s, Score::CARRY),
            (&mut parts.completed_per_s, Score::BOTH),
        ] {
            *figure = concert::per_second(&instruments, score).await.context("play in concert")?;
        }
        stack.manners(PATIENCE_NEEDED).await?;
        let patient = concert::per_second(&instruments, Score::PATIENT).await;
        parts.patient_per_s = patient.context("play in concert, patiently")?;
        stack.manners(Manners::default()).await?;
        Ok(parts)
    }

    async fn http(&mut self, stack: &Stack, instruments: &Instruments) -> anyhow::Result<()> {
        let (ours, theirs) = (own_ms()?, of(stack.mock.id())?);
        let load = load::closed(&instruments.nobody, 64, Amount::For(Duration::from_secs(2))).await?;
        let per = |ms: u64| ms as f64 * 1_000.0 / load.accepted as f64;
        (self.client_us, self.server_us) = (per(own_ms()? - ours), per(of(stack.mock.id())? - theirs));
        self.http_per_s = load.per_second();
        Ok(())
    }

    async fn rows(&mut self, stack: &Stack, ledger: &Ledger) -> anyhow::Result<()> {
        const ROUNDS: usize = 200;
        let postgres = postmaster(&stack.pool).await?;
        let spent = || family_cpu_ms(postgres);
        let per = |ms: u64| ms as f64 * 1_000.0 / (2 * ROUNDS * BATCH) as f64;
        let accept = async |name| {
            let mut batches = Vec::new();
            for round in 0..ROUNDS {
                batches.push(ledger.accept(name, round * BATCH, BATCH).await?);
            }
            anyhow::Ok(batches)
        };
        let carry = async |batches: Vec<Vec<Taken>>| {
            for accepted in batches {
                let claimed = ledger.begin(&accepted).await?;
                let finished = ledger.finish(&claimed).await?;
                ledger.told(&finished).await?;
            }
            anyhow::Ok(())
        };
        let before = spent()?;
        let (one, other) = futures::try_join!(accept("one"), accept("other"))?;
        let between = spent()?;
        futures::try_join!(carry(one), carry(other))?;
        (self.accept_us, self.carry_us) = (per(between - before), per(spent()? - between));
        Ok(())
    }

    async fn messages(&mut self, stack: &Stack, instruments: &Instruments) -> anyhow::Result<()> {
        const CALLS: usize = 1_000;
        let spent = || anyhow::Ok(own_ms()? + of(stack.sqs.id())?);
        let before = spent()?;
        for _ in 0..CALLS {
            instruments.send(TEN).await?;
        }
        let between = spent()?;
        let mut received = 0;
        loop {
            match instruments.receive().await? {
                0 => break,
                count => received += count,
            }
        }
        ensure!(received > 0, "nothing came");
        let per = |ms: u64, messages: usize| ms as f64 * 1_000.0 / messages as f64;
        (self.send_us, self.receive_us) = (per(between - before, CALLS * TEN), per(spent()? - between, received));
        Ok(())
    }

    /// Of API, worker, Postgres and queue, in ms.
    pub(crate) fn cpu_ms(&self) -> f64 {
        let requests = self.server_us + 2.0 * self.client_us;
        (requests + self.accept_us + self.carry_us + self.send_us + self.receive_us) / 1_000.0
    }
}

/// How fast this machine is just now, where that of the targets is 1: by requests that do nothing.
pub(crate) async fn pace(stack: &Stack) -> anyhow::Result<f64> {
    let load = load::closed(&nobody(stack), 64, Amount::For(Duration::from_secs(1))).await;
    Ok(load.context("measure the pace")?.per_second() / TARGETS_HTTP_PER_S)
}

/// Takes a command and does nothing.
fn nobody(stack: &Stack) -> Target {
    Target { api: stack.mock_address, ..stack.target.clone() }
}

/// What commands ask of others from their acceptance to their callback, one after the other.
async fn in_a_row(instruments: &Instruments) -> anyhow::Result<Histogram<u64>> {
    const COUNT: usize = 500;
    let mut client = Client::connect(&instruments.nobody).await?;
    let mut latencies = histogram();
    for n in 0..COUNT {
        let started = Instant::now();
        client.post(Client::SUBMISSION).await?;
        let accepted = instruments.ledger.accept("alone", n, 1).await?;
        instruments.send(1).await?;
        while instruments.receive().await? == 0 {}
        let claimed = instruments.ledger.begin(&accepted).await?;
        client.post(Client::SUBMISSION).await?;
        instruments.ledger.finish(&claimed).await?;
        client.post(Client::SUBMISSION).await?;
        latencies.saturating_record(started.elapsed().as_micros() as u64);
        pause(Duration::from_millis(10)).await;
    }
    Ok(latencies)
}

impl Instruments {
    pub(crate) async fn send(&self, count: usize) -> anyhow::Result<()> {
        let body = serde_json::to_string(&self.ledger.command("of a usual length"))?;
        let entry = |at: usize| SendMessageBatchRequestEntry::builder().id(at.to_string()).message_body(&body).build();
        let entries = (0..count).map(entry).collect::<Result<Vec<_>, _>>()?;
        let call = self.sqs.send_message_batch().queue_url(&self.queue).set_entries(Some(entries));
        call.send().await.context("send")?;
        Ok(())
    }

    /// Receives up to ten, and deletes them.
    pub(crate) async fn receive(&self) -> anyhow::Result<usize> {
        let call = self.sqs.receive_message().queue_url(&self.queue);
        let received = call.max_number_of_messages(TEN as i32).wait_time_seconds(1).send().await.context("receive")?;
        let entries = received.messages().iter().enumerate().map(|(at, message)| {
            let receipt = message.receipt_handle().unwrap_or_default();
            DeleteMessageBatchRequestEntry::builder().id(at.to_string()).receipt_handle(receipt).build()
        });
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        let count = entries.len();
        if count > 0 {
            let call = self.sqs.delete_message_batch().queue_url(&self.queue).set_entries(Some(entries));
            call.send().await.context("delete")?;
        }
        Ok(count)
    }
}

fn own_ms() -> anyhow::Result<u64> {
    cpu_ms(std::process::id(), false)
}

fn of(pid: Option<u32>) -> anyhow::Result<u64> {
    cpu_ms(pid.context("it runs")?, false)
}

fn ms(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    latencies.value_at_quantile(quantile) as f64 / 1_000.0
}
