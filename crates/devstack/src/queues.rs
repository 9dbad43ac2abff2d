//! The queues of `terraform/queues.json`, made at an emulator.

use anyhow::Context as _;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// The same file that Terraform and LocalStack read.
const DESCRIPTION: &str = include_str!("../../../terraform/queues.json");

#[derive(Deserialize)]
struct Description {
    queues: BTreeMap<String, Queue>,
}

#[derive(Deserialize)]
struct Queue {
    name: String,
    /// Only the journal has none.
    kind: Option<String>,
    visibility_timeout_seconds: u32,
    message_retention_seconds: u32,
    receive_wait_time_seconds: u32,
    max_receive_count: Option<u32>,
    dead_letter: Option<DeadLetter>,
}

#[derive(Deserialize)]
struct DeadLetter {
    name: String,
    message_retention_seconds: u32,
}

/// A client for whatever emulator listens at `endpoint`; emulators take any credentials.
pub async fn client(endpoint: &str, region: &str) -> Client {
    let region = Region::new(region.to_owned());
    let credentials = Credentials::new("test", "test", None, None, "devstack");
    let loader = aws_config::defaults(BehaviorVersion::latest()).region(region).credentials_provider(credentials);
    Client::new(&loader.endpoint_url(endpoint).load().await)
}

/// Creates every queue, its name prefixed, or brings it to what the file says. Answers the name of each by its key in the file.
pub async fn create(client: &Client, prefix: &str) -> anyhow::Result<HashMap<String, String>> {
    let description: Description = serde_json::from_str(DESCRIPTION).context("read terraform/queues.json")?;
    let mut names = HashMap::new();
    for (key, queue) in description.queues {
        let name = format!("{prefix}{}", queue.name);
        let overflow = queue.kind.as_ref().map(|_| format!("{name}-overflow"));
        for name in [&name].into_iter().chain(&overflow) {
            create_queue(client, prefix, name, &queue).await.with_context(|| format!("create the queue {name}"))?;
        }
        names.insert(key, name);
    }
    Ok(names)
}

/// Creates a queue for events with its dead-letter queue, as a service that consumes them would.
pub async fn create_events(client: &Client, name: &str) -> anyhow::Result<()> {
    const DAYS_14: &str = "1209600";
    let keep = (QueueAttributeName::MessageRetentionPeriod, DAYS_14.to_owned());
    let arn = ensure(client, &format!("{name}-dlq"), HashMap::from([keep.clone()])).await?;
    // A restart of the consumer costs a receive: more of them than for commands.
    let policy = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 10 });
    let attributes = [
        (QueueAttributeName::VisibilityTimeout, "15".to_owned()),
        (QueueAttributeName::RedrivePolicy, policy.to_string()),
        keep,
    ];
    ensure(client, name, attributes.into_iter().collect()).await.map(drop)
}

async fn create_queue(client: &Client, prefix: &str, name: &str, queue: &Queue) -> anyhow::Result<()> {
    let mut attributes = HashMap::from([
        (QueueAttributeName::VisibilityTimeout, queue.visibility_timeout_seconds.to_string()),
        (QueueAttributeName::MessageRetentionPeriod, queue.message_retention_seconds.to_string()),
        (QueueAttributeName::ReceiveMessageWaitTimeSeconds, queue.receive_wait_time_seconds.to_string()),
    ]);
    if let (Some(dead_letter), Some(max)) = (&queue.dead_letter, queue.max_receive_count) {
        let retention = (QueueAttributeName::MessageRetentionPeriod, dead_letter.message_retention_seconds.to_string());
        let arn = ensure(client, &format!("{prefix}{}", dead_letter.name), HashMap::from([retention])).await?;
        // The count must be a JSON number: AWS takes a string too, not every emulator does.
        let policy = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": max });
        attributes.insert(QueueAttributeName::RedrivePolicy, policy.to_string());
    }
    ensure(client, name, attributes).await?;
    Ok(())
}

/// Creates the queue or finds it, and answers its ARN. Its attributes are set in a second call: CreateQueue refuses a
/// name that exists with others, or with the same ones in another spelling.
async fn ensure(
    client: &Client,
    name: &str,
    attributes: HashMap<QueueAttributeName, String>,
) -> anyhow::Result<String> {
    let created = client.create_queue().queue_name(name).send().await;
    let url = created.context("create")?.queue_url.context("a queue has a URL")?;
    let set = client.set_queue_attributes().queue_url(&url).set_attributes(Some(attributes)).send().await;
    set.context("set its attributes")?;
    let read = client.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn).send().await;
    let mut attributes = read.context("read its ARN")?.attributes.unwrap_or_default();
    attributes.remove(&QueueAttributeName::QueueArn).context("a queue has an ARN")
}
