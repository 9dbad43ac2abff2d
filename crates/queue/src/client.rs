//! Connections to SQS and the names of queues.

use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{Builder, StalledStreamProtectionConfig};
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
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
    is_away: bool,
}

impl Error {
    pub(crate) fn new(operation: &'static str, cause: impl std::error::Error) -> Self {
        Self { operation, cause: DisplayErrorContext(cause).to_string(), is_away: false }
    }

    /// Of a request.
    pub(crate) fn of_call<E>(operation: &'static str, cause: SdkError<E>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let is_away = is_away(&cause);
        Self { is_away, ..Self::new(operation, cause) }
    }

    /// Whether SQS could not be reached, or could not do it now. Otherwise somebody has to set something right.
    pub const fn is_away(&self) -> bool {
        self.is_away
    }
}

fn is_away<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(said) => {
            let (status, code) = (said.raw().status().as_u16(), said.err().code().unwrap_or_default());
            status >= 500 || status == 429 || code.contains("Throttl")
        }
        _ => false,
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
            let answer = answer.map_err(|error| Error::of_call("GetQueueUrl", error))?;
            Ok(answer.queue_url.unwrap_or_default())
        };
        self.url.get_or_try_init(ask).await.map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_sqs::config::http::HttpResponse;
    use aws_sdk_sqs::error::ErrorMetadata;
    use aws_sdk_sqs::operation::send_message::SendMessageError;

    fn said(status: u16, code: &str) -> Error {
        let error = SendMessageError::generic(ErrorMetadata::builder().code(code).build());
        let answer = HttpResponse::new(status.try_into().expect("a status"), "".into());
        Error::of_call("SendMessage", SdkError::service_error(error, answer))
    }

    fn said_nothing() -> Error {
        Error::of_call::<SendMessageError>("SendMessage", SdkError::timeout_error("slow"))
    }

    #[test]
    fn what_somebody_has_to_set_right_is_not_away() {
        assert!(said(503, "ServiceUnavailable").is_away());
        assert!(said(400, "RequestThrottled").is_away());
        assert!(!said(403, "AccessDenied").is_away());
        assert!(!said(400, "AWS.SimpleQueueService.NonExistentQueue").is_away());
        assert!(said_nothing().is_away());
    }
}
