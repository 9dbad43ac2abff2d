//! The load generator: closed loop, and open loop whose latencies count from when a request was due.

use crate::mock::{histogram, now_us};
use anyhow::{Context as _, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) api: SocketAddr,
    pub(crate) api_key: String,
    /// What the ids begin with. The sink looks at those of [`WATCHED`] alone.
    pub(crate) mark: char,
}

/// Of the client whose commands are looked at.
pub(crate) const WATCHED: char = 'b';

/// Of another one.
pub(crate) const OTHER: char = 'f';

/// What clients saw.
pub(crate) struct Load {
    pub(crate) accepted: u64,
    pub(crate) took: Duration,
    pub(crate) latencies: Histogram<u64>,
}

impl Load {
    pub(crate) fn per_second(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn ms(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

/// How much.
#[derive(Clone, Copy)]
pub(crate) enum Amount {
    Commands(u64),
    For(Duration),
}

/// Each connection submits one command after the other.
pub(crate) async fn closed(target: &Target, connections: usize, amount: Amount) -> anyhow::Result<Load> {
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        let (target, next) = (target.clone(), Arc::clone(&next));
        clients.spawn(async move {
            let mut client = Client::connect(&target).await?;
            let mut latencies = histogram();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let over = match amount {
                    Amount::Commands(count) => n >= count,
                    Amount::For(time) => started.elapsed() >= time,
                };
                if over {
                    return anyhow::Ok(latencies);
                }
                let from = Instant::now();
                client.submit(n).await?;
                latencies.saturating_record(from.elapsed().as_micros() as u64);
            }
        });
    }
    collect(clients, started).await
}

/// This many commands per second, evenly, whatever the answers.
pub(crate) async fn open(target: &Target, per_second: u32, time: Duration) -> anyhow::Result<Load> {
    const CONNECTIONS: usize = 64;
    let started = Instant::now();
    let mut clients = JoinSet::new();
    let mut queues = Vec::new();
    for _ in 0..CONNECTIONS {
        let (sender, mut due) = mpsc::unbounded_channel::<(u64, Instant)>();
        queues.push(sender);
        let target = target.clone();
        clients.spawn(async move {
            let mut client = Client::connect(&target).await?;
            let mut latencies = histogram();
            while let Some((n, at)) = due.recv().await {
                client.submit(n).await?;
                latencies.saturating_record(at.elapsed().as_micros() as u64);
            }
            anyhow::Ok(latencies)
        });
    }
    holdfast_app::pause(Duration::from_millis(200)).await;
    let from = Instant::now();
    for n in 0.. {
        let at = from + Duration::from_secs(n) / per_second;
        if at.duration_since(from) >= time {
            break;
        }
        tokio::time::sleep_until(at.into()).await;
        queues[n as usize % CONNECTIONS].send((n, at)).ok();
    }
    drop(queues);
    collect(clients, started).await
}

/// The same of a client that is refused most of it. Answers how many were accepted, and how many not.
pub(crate) async fn flood(target: &Target, per_second: u32, time: Duration) -> anyhow::Result<[u64; 2]> {
    const CONNECTIONS: u32 = 16;
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let target = target.clone();
        clients.spawn(async move {
            let mut client = Client::connect(&target).await?;
            let mut answers = [0, 0];
            for n in 0.. {
                let at = started + Duration::from_secs(n) * CONNECTIONS / per_second;
                if at.duration_since(started) >= time {
                    break;
                }
                tokio::time::sleep_until(at.into()).await;
                let (status, _body) = client.send(Client::SUBMISSION, n).await?;
                ensure!(status == StatusCode::ACCEPTED || status == StatusCode::TOO_MANY_REQUESTS, "{status}");
                answers[usize::from(status != StatusCode::ACCEPTED)] += 1;
            }
            anyhow::Ok(answers)
        });
    }
    let mut all = [0, 0];
    while let Some(answers) = clients.join_next().await {
        let [accepted, refused] = answers.context("a client died")??;
        all = [all[0] + accepted, all[1] + refused];
    }
    Ok(all)
}

async fn collect(mut clients: JoinSet<anyhow::Result<Histogram<u64>>>, started: Instant) -> anyhow::Result<Load> {
    let mut latencies = histogram();
    while let Some(client) = clients.join_next().await {
        latencies.add(client.context("a client died")??).context("add up")?;
    }
    Ok(Load { accepted: latencies.len(), took: started.elapsed(), latencies })
}

/// One connection.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    authorization: String,
    mark: char,
}

impl Client {
    pub(crate) async fn connect(target: &Target) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(target.api).await.context("connect to the API")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.context("speak HTTP")?;
        tokio::spawn(connection);
        let authorization = format!("Bearer {}", target.api_key);
        Ok(Self { sender, host: target.api.to_string(), authorization, mark: target.mark })
    }

    /// Of the API, with which the mock does nothing; of the third party, and of the client.
    pub(crate) const SUBMISSION: &str = "/api/v1/transactions";
    pub(crate) const CREATION: &str = "/transactions";
    pub(crate) const CALLBACK: &str = "/sink";

    /// Its id begins with a mark and the time, so that the sink can say how long it took.
    pub(crate) async fn submit(&mut self, n: u64) -> anyhow::Result<()> {
        let (status, body) = self.send(Self::SUBMISSION, n).await?;
        ensure!(status == StatusCode::ACCEPTED, "{status}: {}", String::from_utf8_lossy(&body));
        Ok(())
    }

    /// To the mock.
    pub(crate) async fn post(&mut self, path: &str) -> anyhow::Result<()> {
        let (status, _body) = self.send(path, 0).await?;
        ensure!(status.is_success(), "{path}: {status}");
        Ok(())
    }

    async fn send(&mut self, path: &str, n: u64) -> anyhow::Result<(StatusCode, Bytes)> {
        let body = format!(r#"{{"transactionId":"{}{}-{n}","amount":"1.00","currency":"EUR"}}"#, self.mark, now_us());
        let request = Request::post(path)
            .header("host", &self.host)
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .context("build a request")?;
        self.sender.ready().await.context("the connection is gone")?;
        let response = self.sender.send_request(request).await.context("no answer")?;
        let status = response.status();
        let body = response.into_body().collect().await.context("no body")?.to_bytes();
        Ok((status, body))
    }
}
