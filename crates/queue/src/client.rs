//! Connections to SQS and the names of queues.

use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{Builder, StalledStreamProtectionConfig};
use aws_sdk_sqs::error::DisplayErrorContext;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// Longer than the longest long poll (20 s): without an attempt timeout a poll can hang for ever.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(25);

/// A send that takes longer is given up; the relay sends again.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where SQS is. Credentials come from the SDK's own chain.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    pub region: Option<String>,
    /// Another address than AWS's own, such as an emulator's.
    pub url: Option<String>,
}

/// What SQS answered instead of doing it. The text names the operation and the cause.
#[derive(Debug, thiserror::Error)]
#[error("sqs {operation} failed: {cause}")]
pub struct Error {
    operation: &'static str,
    cause: String,
}

impl Error {
    pub(crate) fn new(operation: &'static str, cause: impl std::error::Error) -> Self {
        Self { operation, cause: DisplayErrorContext(cause).to_string() }
    }
}

/// Two clients: a long poll must not share its timeouts with a send.
#[derive(Clone, Debug)]
pub struct Clients {
    send: Client,
    receive: Client,
}

impl Clients {
    pub async fn connect(endpoint: Endpoint) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = endpoint.region {
            loader = loader.region(Region::new(region));
        }
        if let Some(url) = endpoint.url {
            loader = loader.endpoint_url(url);
        }
        let shared = loader.load().await;
        let build = |timeout, attempts| {
            let timeouts =
                TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(timeout).build();
            let config = Builder::from(&shared)
                .timeout_config(timeouts)
                .retry_config(RetryConfig::standard().with_max_attempts(attempts))
                // A long poll is a stalled stream by design.
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
                .build();
            Client::from_conf(config)
        };
        // A receive is repeated by the consumer's own loop.
        Self { send: build(SEND_TIMEOUT, 2), receive: build(RECEIVE_TIMEOUT, 1) }
    }

    pub fn queue(&self, name: &str) -> Queue {
        Queue { clients: self.clone(), name: name.into(), url: Arc::default() }
    }
}

impl From<Client> for Clients {
    /// Whatever was set on it: its credentials, its timeouts.
    fn from(client: Client) -> Self {
        Self { send: client.clone(), receive: client }
    }
}

/// A queue by name. Its URL is asked for at first use, so that a service starts while SQS is down.
#[derive(Clone, Debug)]
pub struct Queue {
    clients: Clients,
    name: Arc<str>,
    url: Arc<OnceCell<String>>,
}

impl Queue {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn sender(&self) -> &Client {
        &self.clients.send
    }

    pub(crate) const fn receiver(&self) -> &Client {
        &self.clients.receive
    }

    pub(crate) async fn url(&self) -> Result<&str, Error> {
        let ask = || async {
            // Boxed: asked once, and whoever may have to ask would carry the room for it.
            let answer = Box::pin(self.clients.send.get_queue_url().queue_name(&*self.name).send()).await;
            let answer = answer.map_err(|error| Error::new("GetQueueUrl", error))?;
            Ok(answer.queue_url.unwrap_or_default())
        };
        self.url.get_or_try_init(ask).await.map(String::as_str)
    }
}
