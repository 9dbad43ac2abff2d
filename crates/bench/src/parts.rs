//! What the parts of a command cost on this machine just now, each by itself: a request that does nothing, the statement of
//! acceptance, SQS through its SDK. Together they are what no program made of them can beat, however little it adds.

use crate::cost::{cpu_ms, family_cpu_ms, postmaster};
use crate::load::{self, Amount, Client, Target};
use crate::mock::histogram;
use crate::stack::Stack;
use anyhow::{Context as _, ensure};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, SendMessageBatchRequestEntry};
use hdrhistogram::Histogram;
use holdfast_app::pause;
use holdfast_domain::{ClientNo, Command, CommandId, Kind};
use holdfast_store::commands::{self, Origin};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Rows of a statement, where there are many.
const BATCH: usize = 50;

/// Messages of a call.
const TEN: usize = 10;

/// CPU time in µs, latencies in ms.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parts {
    /// A request that does nothing, 64 connections.
    client_us: f64,
    server_us: f64,
    http_per_s: f64,
    /// The row of a command with its wakeup, fifty in a statement: of Postgres alone.
    row_us: f64,
    rows_per_s: f64,
    /// A message sent, and one received and deleted, ten in a call: of the SDK and of the emulator.
    send_us: f64,
    receive_us: f64,
    /// A request that does nothing and then a statement of one row, each 2 ms.
    pub(crate) accept_p50_ms: f64,
    pub(crate) accept_p99_ms: f64,
    /// What one command asks of others from its acceptance to its callback, one after the other, each 10 ms: three requests,
    /// four statements of one row, a message sent and received.
    pub(crate) command_p50_ms: f64,
}

impl Parts {
    pub(crate) async fn measure(stack: &Stack) -> anyhow::Result<Self> {
        let mut parts = Self::default();
        parts.http(stack).await.context("measure HTTP")?;
        parts.rows(stack).await.context("measure Postgres")?;
        parts.messages(stack).await.context("measure SQS")?;
        let accept = in_a_row(stack, Duration::from_millis(2), false).await.context("measure an acceptance")?;
        (parts.accept_p50_ms, parts.accept_p99_ms) = (ms(&accept, 0.5), ms(&accept, 0.99));
        let command = in_a_row(stack, Duration::from_millis(10), true).await.context("measure a command")?;
        parts.command_p50_ms = ms(&command, 0.5);
        Ok(parts)
    }

    async fn http(&mut self, stack: &Stack) -> anyhow::Result<()> {
        let (ours, theirs) = (own_ms()?, of(stack.mock.id())?);
        let load = load::closed(&nobody(stack), 64, Amount::For(Duration::from_secs(2))).await?;
        let per = |ms: u64| ms as f64 * 1_000.0 / load.accepted as f64;
        (self.client_us, self.server_us) = (per(own_ms()? - ours), per(of(stack.mock.id())? - theirs));
        self.http_per_s = load.per_second();
        Ok(())
    }

    async fn rows(&mut self, stack: &Stack) -> anyhow::Result<()> {
        const ROUNDS: usize = 400;
        let postgres = postmaster(&stack.pool).await?;
        let (before, started) = (family_cpu_ms(postgres)?, Instant::now());
        let insert = async |from: usize| {
            for round in from..from + ROUNDS {
                accept(stack, "rows", round * BATCH, BATCH).await?;
            }
            anyhow::Ok(())
        };
        futures::try_join!(insert(0), insert(ROUNDS))?;
        let rows = (2 * ROUNDS * BATCH) as f64;
        self.rows_per_s = rows / started.elapsed().as_secs_f64();
        self.row_us = (family_cpu_ms(postgres)? - before) as f64 * 1_000.0 / rows;
        Ok(())
    }

    async fn messages(&mut self, stack: &Stack) -> anyhow::Result<()> {
        const CALLS: usize = 1_000;
        let spent = || anyhow::Ok(own_ms()? + of(stack.sqs.id())?);
        let before = spent()?;
        for _ in 0..CALLS {
            send(stack, TEN).await?;
        }
        let between = spent()?;
        let mut received = 0;
        loop {
            match receive(stack).await? {
                0 => break,
                count => received += count,
            }
        }
        ensure!(received > 0, "nothing came");
        let per = |ms: u64, messages: usize| ms as f64 * 1_000.0 / messages as f64;
        (self.send_us, self.receive_us) = (per(between - before, CALLS * TEN), per(spent()? - between, received));
        Ok(())
    }

    /// Commands accepted per second, if all cores did nothing else.
    pub(crate) fn accepted_per_s(&self) -> f64 {
        per_second(self.client_us + self.server_us + self.row_us + self.send_us)
    }

    /// Commands carried per second: three statements more or less like that of acceptance, a message received, a request to
    /// the third party and one to the client.
    pub(crate) fn carried_per_s(&self) -> f64 {
        per_second(self.carrying_us() + 2.0 * self.server_us)
    }

    /// Both.
    pub(crate) fn completed_per_s(&self) -> f64 {
        let all = self.client_us + self.server_us + self.row_us + self.send_us;
        per_second(all + self.carrying_us() + 2.0 * self.server_us)
    }

    /// Of API, worker, Postgres and queue, in ms.
    pub(crate) fn cpu_ms(&self) -> f64 {
        (self.server_us + self.row_us + self.send_us + self.carrying_us()) / 1_000.0
    }

    fn carrying_us(&self) -> f64 {
        3.0 * self.row_us + self.receive_us + 2.0 * self.client_us
    }
}

fn per_second(us: f64) -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores as f64 * 1e6 / us
}

/// The mock takes a command and does nothing.
fn nobody(stack: &Stack) -> Target {
    Target { api: stack.mock_address, api_key: stack.target.api_key.clone() }
}

async fn in_a_row(stack: &Stack, every: Duration, whole: bool) -> anyhow::Result<Histogram<u64>> {
    const COUNT: usize = 500;
    let mut client = Client::connect(&nobody(stack)).await?;
    let mut latencies = histogram();
    for n in 0..COUNT {
        let started = Instant::now();
        client.submit(0).await?;
        accept(stack, "alone", n, 1).await?;
        if whole {
            send(stack, 1).await?;
            while receive(stack).await? == 0 {}
            accept(stack, "claim", n, 1).await?;
            accept(stack, "record", n, 1).await?;
            client.submit(0).await?;
            accept(stack, "finish", n, 1).await?;
            client.submit(0).await?;
        }
        latencies.saturating_record(started.elapsed().as_micros() as u64);
        pause(every).await;
    }
    Ok(latencies)
}

async fn accept(stack: &Stack, name: &str, from: usize, count: usize) -> anyhow::Result<()> {
    let commands: Vec<_> = (from..from + count).map(|n| command(stack, &format!("{name}-{n}"))).collect();
    let rows: Vec<_> = commands.iter().collect();
    let origin = Origin::Request { publish_within: Duration::from_secs(3_600) };
    commands::accept(&stack.app.pool, &rows, origin).await.context("write rows")?;
    Ok(())
}

fn command(stack: &Stack, key: &str) -> Command {
    Command {
        id: CommandId::compute(&stack.app.server_key, ClientNo(1), Kind::Transaction, key),
        client: ClientNo(1),
        kind: Kind::Transaction,
        key: key.to_owned(),
        header_key: None,
        fingerprint: [0; 32],
        body: format!(r#"{{"transactionId":"{key}","amount":"1.00","currency":"EUR"}}"#),
        traceparent: None,
        accepted_at: None,
    }
}

async fn send(stack: &Stack, count: usize) -> anyhow::Result<()> {
    let body = serde_json::to_string(&command(stack, "of a usual length"))?;
    let entry = |at: usize| SendMessageBatchRequestEntry::builder().id(at.to_string()).message_body(&body).build();
    let entries = (0..count).map(entry).collect::<Result<Vec<_>, _>>()?;
    let call = stack.sqs_client.send_message_batch().queue_url(&stack.spare_queue).set_entries(Some(entries));
    call.send().await.context("send")?;
    Ok(())
}

/// Receives up to ten, and deletes them.
async fn receive(stack: &Stack) -> anyhow::Result<usize> {
    let call = stack.sqs_client.receive_message().queue_url(&stack.spare_queue);
    let received = call.max_number_of_messages(TEN as i32).wait_time_seconds(1).send().await.context("receive")?;
    let entries = received.messages().iter().enumerate().map(|(at, message)| {
        let receipt = message.receipt_handle().unwrap_or_default();
        DeleteMessageBatchRequestEntry::builder().id(at.to_string()).receipt_handle(receipt).build()
    });
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    let count = entries.len();
    if count > 0 {
        let call = stack.sqs_client.delete_message_batch().queue_url(&stack.spare_queue).set_entries(Some(entries));
        call.send().await.context("delete")?;
    }
    Ok(count)
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
