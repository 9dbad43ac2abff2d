//! How much lies in a queue.

use crate::{Error, Queue};
use aws_sdk_sqs::types::QueueAttributeName;

/// Messages. SQS counts them roughly, and late by up to a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub waiting: u64,
    /// Received, and neither deleted nor visible again.
    pub in_flight: u64,
    pub delayed: u64,
}

impl Counts {
    pub const fn is_empty(self) -> bool {
        self.waiting == 0 && self.in_flight == 0 && self.delayed == 0
    }
}

impl Queue {
    pub async fn counts(&self) -> Result<Counts, Error> {
        const WAITING: QueueAttributeName = QueueAttributeName::ApproximateNumberOfMessages;
        const IN_FLIGHT: QueueAttributeName = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
        const DELAYED: QueueAttributeName = QueueAttributeName::ApproximateNumberOfMessagesDelayed;
        let request = self.sender().get_queue_attributes().queue_url(self.url().await?);
        let request = request.attribute_names(WAITING).attribute_names(IN_FLIGHT).attribute_names(DELAYED);
        let answer = request.send().await.map_err(|error| Error::new("GetQueueAttributes", error))?;
        let attributes = answer.attributes.unwrap_or_default();
        let count = |name: &QueueAttributeName| attributes.get(name).and_then(|text| text.parse().ok());
        Ok(Counts {
            waiting: count(&WAITING).unwrap_or_default(),
            in_flight: count(&IN_FLIGHT).unwrap_or_default(),
            delayed: count(&DELAYED).unwrap_or_default(),
        })
    }
}
