//! The webhooks that the sandbox sends, as Standard Webhooks asks.

use holdfast_partners::signature::sign;
use holdfast_queue::Backoff;
use reqwest::Client;
use std::time::Duration;

const ATTEMPTS: u32 = 10;

#[derive(Clone)]
pub struct Webhooks {
    client: Client,
    url: String,
    secret: Vec<u8>,
}

impl Webhooks {
    /// They go to `{url}/{partner}`.
    pub fn new(url: &str, secret: &[u8]) -> Self {
        let client = Client::builder().timeout(Duration::from_secs(5)).no_proxy().build();
        Self { client: client.expect("a plain client"), url: url.to_owned(), secret: secret.to_owned() }
    }

    /// The same from somebody who does not know the secret.
    #[must_use]
    pub fn forged(&self) -> Self {
        Self { secret: b"not the secret that was agreed on".to_vec(), ..self.clone() }
    }

    /// Says that the command is completed, until somebody has heard it.
    pub async fn completed(&self, partner: &str, command: &str) {
        let body = serde_json::json!({ "id": command, "status": "completed" });
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));
        for _ in 0..ATTEMPTS {
            if self.send(partner, &format!("sandbox-{command}"), &body.to_string()).await {
                return;
            }
            backoff.wait().await;
        }
        tracing::warn!(partner, command.id = command, "nobody took the sandbox's webhook");
    }

    /// Sends one. Answers whether it was taken.
    pub async fn send(&self, partner: &str, event_id: &str, body: &str) -> bool {
        let timestamp = now();
        let request = self.client.post(format!("{}/{partner}", self.url)).body(body.to_owned());
        let request = request
            .header("content-type", "application/json")
            .header("webhook-id", event_id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", sign(&self.secret, event_id, timestamp, body.as_bytes()));
        request.send().await.is_ok_and(|response| response.status().is_success())
    }
}

/// Seconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "a third party has a clock of its own")]
fn now() -> i64 {
    chrono::Utc::now().timestamp()
}
