//! One command of each kind, from its 202 to its callback, as a client sees it.

use crate::say;
use anyhow::{Context as _, bail};
use holdfast_domain::Kind;
use holdfast_queue::backoff;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long the API may take to listen, and the whole way to the callback.
const PATIENCE: Duration = Duration::from_secs(60);

/// Shows every kind that exists. Answers the id of the order.
pub async fn show(api_url: &str, inbox_url: &str, api_key: &str) -> anyhow::Result<String> {
    let client = Client::builder().timeout(PATIENCE).no_proxy().build().context("build a client")?;
    let api = Api { client, url: api_url.to_owned(), key: api_key.to_owned() };
    api.await_ready().await?;
    let mut order = String::new();
    for kind in Kind::ALL {
        let mut body = match kind {
            Kind::Transaction => json!({
                "amount": "12.50",
                "currency": "EUR",
                "description": "a coffee, and another",
            }),
            // Of the transaction that has just been shown.
            Kind::Refund => json!({
                "transactionId": key(Kind::Transaction),
                "amount": "5.00",
                "reason": "the other was cold",
            }),
            Kind::Order => json!({
                "userId": "user-1",
                "productName": "a coffee machine",
                "quantity": 1,
                "totalPrice": "249.00",
            }),
        };
        body["callbackUrl"] = format!("{inbox_url}/callbacks").into();
        let id = api.show(kind, &body).await.with_context(|| format!("carry a {kind} through"))?;
        if kind == Kind::Order {
            order = id;
        }
    }
    Ok(order)
}

/// The demo's idempotency key for this kind.
fn key(kind: Kind) -> String {
    format!("demo-{}-{kind}", std::process::id())
}

struct Api {
    client: Client,
    url: String,
    key: String,
}

impl Api {
    async fn await_ready(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let ready = self.client.get(format!("{}/readyz", self.url)).send().await;
            if ready.is_ok_and(|response| response.status().is_success()) {
                return Ok(());
            }
            backoff::sleep(Duration::from_millis(50)).await;
        }
        bail!("the API was not ready in time")
    }

    /// Answers its id.
    async fn show(&self, kind: Kind, body: &Value) -> anyhow::Result<String> {
        let request = self.client.post(format!("{}/api/v1/{}", self.url, kind.plural())).bearer_auth(&self.key);
        let accepted = request.header("idempotency-key", key(kind)).json(body).send().await.context("submit")?;
        let status = accepted.status();
        let accepted: Value = accepted.json().await.context("read the 202")?;
        let this = accepted["links"]["self"].as_str().with_context(|| format!("{status}: {accepted}"))?.to_owned();
        let id = accepted["id"].as_str().unwrap_or_default().to_owned();
        say(format_args!("\n{kind} {id} → {status}"));
        let settled = self.get(&this, Some("wait=30")).await?.json::<Value>().await.context("read the status")?;
        let trail = self.trail_with_callback(&this).await?;
        for event in &trail {
            say(line(event));
        }
        say(format_args!("{kind} is {}", settled["status"].as_str().unwrap_or_default()));
        Ok(id)
    }

    /// The audit trail, as soon as it says that the client was told.
    async fn trail_with_callback(&self, this: &str) -> anyhow::Result<Vec<Value>> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let trail =
                self.get(&format!("{this}/events"), None).await?.json::<Value>().await.context("read the trail")?;
            let events = trail["data"].as_array().cloned().unwrap_or_default();
            if events.iter().any(|event| event["type"] == "callback_attempted" && event["outcome"] == "delivered") {
                return Ok(events);
            }
            backoff::sleep(Duration::from_millis(20)).await;
        }
        bail!("no callback in time")
    }

    async fn get(&self, path: &str, prefer: Option<&str>) -> anyhow::Result<Response> {
        let mut request = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.key);
        if let Some(prefer) = prefer {
            request = request.header("prefer", prefer);
        }
        let response = request.send().await.context("ask")?;
        response.error_for_status().context("ask")
    }
}

/// `12:00:00.123  created  processor accepted (201, 3 ms)`
fn line(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let time = text("at").split('T').nth(1).unwrap_or_default();
    let time: String = time.chars().take(12).collect();
    let mut line = format!("  {time:<12}  {:<18}", text("type").replace('_', " "));
    for name in ["partner", "outcome", "status", "why"] {
        if !text(name).is_empty() {
            line.push_str(&format!(" {}", text(name)));
        }
    }
    if let Some(took) = event["tookMs"].as_u64() {
        line.push_str(&format!(" ({}, {took} ms)", event["httpStatus"].as_u64().unwrap_or_default()));
    }
    line
}
