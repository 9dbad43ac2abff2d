//! How a queue is set up.

use crate::{Error, Queue};
use aws_sdk_sqs::types::QueueAttributeName;
use serde::Deserialize;
use std::time::Duration;

/// What SQS does with the messages of a queue by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    pub arn: String,
    /// How long a message that was received stays invisible.
    pub visibility_timeout: Duration,
    /// How long a message is kept, from when it was first sent.
    pub retention: Duration,
    /// Where what was received too often goes. `None`: it stays.
    pub redrive: Option<Redrive>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// The ARN of the dead-letter queue.
    pub to: String,
    /// Receives after which a message goes there.
    pub after: u32,
}

impl Queue {
    pub async fn attributes(&self) -> Result<Attributes, Error> {
        const ARN: QueueAttributeName = QueueAttributeName::QueueArn;
        const VISIBILITY: QueueAttributeName = QueueAttributeName::VisibilityTimeout;
        const RETENTION: QueueAttributeName = QueueAttributeName::MessageRetentionPeriod;
        const REDRIVE: QueueAttributeName = QueueAttributeName::RedrivePolicy;
        let request = self.sender().get_queue_attributes().queue_url(self.url().await?);
        let answer = request.attribute_names(QueueAttributeName::All).send().await;
        let mut attributes =
            answer.map_err(|error| Error::new("GetQueueAttributes", error))?.attributes.unwrap_or_default();
        let seconds = |name: &QueueAttributeName| attributes.get(name).and_then(|text| text.parse().ok());
        let duration = |name: &QueueAttributeName| Duration::from_secs(seconds(name).unwrap_or_default());
        Ok(Attributes {
            visibility_timeout: duration(&VISIBILITY),
            retention: duration(&RETENTION),
            redrive: attributes.get(&REDRIVE).and_then(|policy| redrive(policy)),
            arn: attributes.remove(&ARN).unwrap_or_default(),
        })
    }
}

fn redrive(policy: &str) -> Option<Redrive> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Policy {
        dead_letter_target_arn: String,
        max_receive_count: Count,
    }
    /// AWS takes both, and answers what it was given.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Count {
        Number(u32),
        Text(String),
    }
    let policy: Policy = serde_json::from_str(policy).ok()?;
    let after = match policy.max_receive_count {
        Count::Number(count) => count,
        Count::Text(text) => text.parse().ok()?,
    };
    Some(Redrive { to: policy.dead_letter_target_arn, after })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_may_be_a_number_or_a_text() {
        for count in ["3", "\"3\""] {
            let policy = format!(r#"{{"deadLetterTargetArn":"arn:x:orders-dlq","maxReceiveCount":{count}}}"#);
            assert_eq!(redrive(&policy), Some(Redrive { to: "arn:x:orders-dlq".to_owned(), after: 3 }));
        }
        assert_eq!(redrive("{}"), None);
    }
}
