//! Sending in batches, with a look at every entry.

use crate::{Error, Queue, TRACEPARENT};
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};

/// SQS takes ten entries in a batch …
pub(crate) const MAX_ENTRIES: usize = 10;

/// … and 1 MiB over all of them, attributes included; some room is left for those.
const MAX_BYTES: usize = 1_000_000;

#[derive(Clone)]
pub struct Outgoing {
    pub body: String,
    pub traceparent: Option<String>,
    /// Of SQS's fair queues: the messages of one group do not hold up those of another.
    pub group: Option<String>,
}

/// What became of each message, in the order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// SQS has it.
    Stored,
    /// SQS refused this entry, or the whole batch got no answer: it may or may not be there.
    Failed,
}

impl Queue {
    /// Sends all, ten at a time. A 200 whose body says that an entry failed is a failure of that entry. An error is
    /// logged here, once per batch, and means [`Sent::Failed`] for its entries.
    pub async fn send(&self, messages: &[Outgoing]) -> Vec<Sent> {
        let mut sent = vec![Sent::Failed; messages.len()];
        let mut start = 0;
        while start < messages.len() {
            let end = batch_end(messages, start);
            match self.send_batch(&messages[start..end]).await {
                Ok(stored) => stored.into_iter().for_each(|at| sent[start + at] = Sent::Stored),
                Err(error) => tracing::warn!(queue.name = self.name(), %error, "could not publish a batch"),
            }
            start = end;
        }
        sent
    }

    async fn send_batch(&self, messages: &[Outgoing]) -> Result<Vec<usize>, Error> {
        let entries = messages.iter().enumerate().map(|(at, message)| entry(at, message));
        let entries = entries.collect::<Result<Vec<_>, _>>().map_err(|error| Error::new("SendMessageBatch", error))?;
        let request = self.sender().send_message_batch().queue_url(self.url().await?).set_entries(Some(entries));
        let answer = Box::pin(request.send()).await.map_err(|error| Error::new("SendMessageBatch", error))?;
        for failed in answer.failed() {
            tracing::warn!(queue.name = self.name(), code = failed.code(), "sqs refused a message of a batch");
        }
        Ok(answer.successful().iter().filter_map(|entry| entry.id().parse().ok()).collect())
    }
}

/// The end of the longest batch that starts here and fits.
fn batch_end(messages: &[Outgoing], start: usize) -> usize {
    let mut bytes = 0;
    let fits = messages[start..].iter().take(MAX_ENTRIES).take_while(|message| {
        bytes += message.body.len();
        bytes <= MAX_BYTES
    });
    start + fits.count().max(1)
}

fn entry(at: usize, message: &Outgoing) -> Result<SendMessageBatchRequestEntry, BuildError> {
    let mut entry = SendMessageBatchRequestEntry::builder()
        .id(at.to_string())
        .message_body(&message.body)
        .set_message_group_id(message.group.clone());
    if let Some(traceparent) = &message.traceparent {
        let value = MessageAttributeValue::builder().data_type("String").string_value(traceparent).build()?;
        entry = entry.message_attributes(TRACEPARENT, value);
    }
    entry.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_size(bytes: usize) -> Outgoing {
        Outgoing { body: "x".repeat(bytes), traceparent: None, group: None }
    }

    #[test]
    fn a_batch_ends_at_ten_or_at_a_megabyte() {
        let small: Vec<_> = (0..25).map(|_| of_size(10)).collect();
        assert_eq!((batch_end(&small, 0), batch_end(&small, 20)), (10, 25));
        let large: Vec<_> = (0..4).map(|_| of_size(400_000)).collect();
        assert_eq!((batch_end(&large, 0), batch_end(&large, 2)), (2, 4));
        assert_eq!(batch_end(&[of_size(2_000_000)], 0), 1);
    }
}
