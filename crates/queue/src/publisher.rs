//! Sending in batches, with a look at every entry.

use crate::{CONTENT_TYPE, Error, Queue, TRACEPARENT};
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchOutput;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use futures::{StreamExt as _, stream};
use std::collections::HashSet;
use std::ops::Range;

/// SQS takes ten entries in a batch …
pub(crate) const MAX_ENTRIES: usize = 10;

/// Batches of a call that are under way at once: SQS takes milliseconds for each.
const AT_ONCE: usize = 16;

/// … and 1 MiB over all of them, attributes included; some room is left for those.
const MAX_BYTES: usize = 1_000_000;

#[derive(Clone, Default)]
pub struct Outgoing {
    pub body: String,
    pub traceparent: Option<String>,
    /// Of SQS's fair queues: the messages of one group do not hold up those of another.
    pub group: Option<String>,
    /// Of FIFO queues: a message with the same one within five minutes is taken and not stored again.
    pub deduplication: Option<String>,
    /// What the body is, as the message attribute `content-type`.
    pub content_type: Option<&'static str>,
}

/// What became of each message, in the order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// SQS has it.
    Stored,
    /// SQS refused this entry, or the whole batch got no answer: it may or may not be there.
    Failed,
}

/// Why a message is not in the queue, or may not be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// SQS says that the message is at fault: it will say so again.
    #[error("sqs refused it: {0}")]
    Refused(String),
    #[error("{0}")]
    Failed(String),
}

impl Queue {
    /// Sends all, in batches of ten. A 200 whose body says that an entry failed is a failure of that entry. An error is
    /// logged here, once per batch, and means [`Sent::Failed`] for its entries.
    pub async fn send(&self, messages: &[Outgoing]) -> Vec<Sent> {
        let mut sent = vec![Sent::Failed; messages.len()];
        let batches =
            batches(messages).map(|batch| async move { (batch.start, self.send_batch(&messages[batch]).await) });
        let mut batches = stream::iter(batches).buffer_unordered(AT_ONCE);
        while let Some((start, answer)) = batches.next().await {
            match answer {
                Ok(stored) => stored.into_iter().for_each(|at| sent[start + at] = Sent::Stored),
                Err(error) => tracing::warn!(queue.name = self.name(), %error, "could not publish a batch"),
            }
        }
        sent
    }

    /// Sends all in their order, and stops at the first batch of which not all was stored: what is behind it must not come
    /// before it. Up to ten at a time, of each group one: SQS may store a part of a batch, and of two messages of a group
    /// the second without the first.
    pub async fn send_in_order(&self, messages: &[Outgoing]) -> Vec<Result<(), Unsent>> {
        let unsent = Err(Unsent::Failed("a message before it was not sent".to_owned()));
        let mut sent = vec![unsent; messages.len()];
        let mut start = 0;
        while start < messages.len() {
            let end = end_in_order(messages, start);
            match self.ask_to_send(&messages[start..end]).await {
                Ok(answer) => {
                    let of = |id: &str| id.parse().ok().and_then(|at: usize| (at < end - start).then_some(start + at));
                    for at in answer.successful().iter().filter_map(|entry| of(entry.id())) {
                        sent[at] = Ok(());
                    }
                    for failed in answer.failed() {
                        let said = format!("{}: {}", failed.code(), failed.message().unwrap_or_default());
                        let why = if failed.sender_fault() { Unsent::Refused(said) } else { Unsent::Failed(said) };
                        if let Some(at) = of(failed.id()) {
                            sent[at] = Err(why);
                        }
                    }
                }
                Err(error) => sent[start..end].fill(Err(Unsent::Failed(error.to_string()))),
            }
            if sent[start..end].iter().any(Result::is_err) {
                break;
            }
            start = end;
        }
        sent
    }

    async fn send_batch(&self, messages: &[Outgoing]) -> Result<Vec<usize>, Error> {
        let answer = self.ask_to_send(messages).await?;
        for failed in answer.failed() {
            tracing::warn!(queue.name = self.name(), code = failed.code(), "sqs refused a message of a batch");
        }
        Ok(answer.successful().iter().filter_map(|entry| entry.id().parse().ok()).collect())
    }

    async fn ask_to_send(&self, messages: &[Outgoing]) -> Result<SendMessageBatchOutput, Error> {
        let entries = messages.iter().enumerate().map(|(at, message)| entry(at, message));
        let entries = entries.collect::<Result<Vec<_>, _>>().map_err(|error| Error::new("SendMessageBatch", error))?;
        let request = self.sender().send_message_batch().queue_url(self.url().await?).set_entries(Some(entries));
        Box::pin(request.send()).await.map_err(|error| Error::new("SendMessageBatch", error))
    }
}

/// Each as long as fits, one behind the other.
fn batches(messages: &[Outgoing]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let batch = (start < messages.len()).then(|| start..batch_end(messages, start))?;
        start = batch.end;
        Some(batch)
    })
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

/// The same, and before the second message of a group.
fn end_in_order(messages: &[Outgoing], start: usize) -> usize {
    let mut seen = HashSet::new();
    let groups = messages[start..].iter().take(MAX_ENTRIES).map(|message| message.group.as_deref());
    let different = groups.take_while(|group| group.is_none_or(|group| seen.insert(group))).count();
    batch_end(messages, start).min(start + different)
}

fn entry(at: usize, message: &Outgoing) -> Result<SendMessageBatchRequestEntry, BuildError> {
    let mut entry = SendMessageBatchRequestEntry::builder()
        .id(at.to_string())
        .message_body(&message.body)
        .set_message_group_id(message.group.clone())
        .set_message_deduplication_id(message.deduplication.clone());
    let attributes = [(TRACEPARENT, message.traceparent.as_deref()), (CONTENT_TYPE, message.content_type)];
    for (name, value) in attributes {
        if let Some(value) = value {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build()?;
            entry = entry.message_attributes(name, value);
        }
    }
    entry.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_size(bytes: usize) -> Outgoing {
        Outgoing { body: "x".repeat(bytes), ..Outgoing::default() }
    }

    #[test]
    fn a_batch_ends_at_ten_or_at_a_megabyte() {
        let small: Vec<_> = (0..25).map(|_| of_size(10)).collect();
        assert_eq!((batch_end(&small, 0), batch_end(&small, 20)), (10, 25));
        let large: Vec<_> = (0..4).map(|_| of_size(400_000)).collect();
        assert_eq!((batch_end(&large, 0), batch_end(&large, 2)), (2, 4));
        assert_eq!(batch_end(&[of_size(2_000_000)], 0), 1);
    }

    #[test]
    fn a_group_is_in_a_batch_once() {
        let of_group = |group: &str| Outgoing { group: Some(group.to_owned()), ..Outgoing::default() };
        let messages: Vec<_> = ["a", "b", "a", "a", "c"].map(of_group).into();
        let ends: Vec<_> = (0..messages.len()).map(|start| end_in_order(&messages, start)).collect();
        assert_eq!(ends, [2, 3, 3, 5, 5]);
        let without: Vec<_> = (0..25).map(|_| of_size(1)).collect();
        assert_eq!(end_in_order(&without, 0), MAX_ENTRIES, "it is no queue with an order");
    }
}
