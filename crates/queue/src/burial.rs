//! Dead letters that are put there by hand: the redrive policy knows only what was received too often.

use crate::{Error, Queue};
use aws_sdk_sqs::types::MessageAttributeValue;
use aws_sdk_sqs::types::builders::MessageAttributeValueBuilder;

/// An attribute is no place for a novel.
const LONGEST_REASON: usize = 1_000;

/// What is to lie in a dead-letter queue, and why.
#[derive(Clone, Copy)]
pub struct DeadLetter<'a> {
    pub body: &'a str,
    /// The message attribute `reason`.
    pub reason: &'a str,
    /// Of the message; the attribute `original-id`. A FIFO queue keeps one of those that come within five minutes.
    pub id: &'a str,
    /// Of a FIFO queue. Others have none.
    pub group: &'a str,
}

impl Queue {
    /// Puts a message into this queue, which is somebody's dead-letter queue.
    pub async fn bury(&self, letter: &DeadLetter<'_>) -> Result<(), Error> {
        let text = |value: &str| MessageAttributeValue::builder().data_type("String").string_value(value);
        let built =
            |builder: MessageAttributeValueBuilder| builder.build().map_err(|error| Error::new("SendMessage", error));
        let mut request = self
            .sender()
            .send_message()
            .queue_url(self.url().await?)
            .message_body(letter.body)
            .message_attributes("reason", built(text(&printable(letter.reason)))?)
            .message_attributes("original-id", built(text(letter.id))?);
        if self.is_fifo() {
            request = request.message_group_id(letter.group).message_deduplication_id(letter.id);
        }
        Box::pin(request.send()).await.map(drop).map_err(|error| Error::of_call("SendMessage", error))
    }

    /// Whether it keeps the order within a group.
    pub fn is_fifo(&self) -> bool {
        self.name().ends_with(".fifo")
    }
}

/// SQS refuses control characters, and nothing at all.
fn printable(reason: &str) -> String {
    let printable = |letter: char| if letter.is_control() { ' ' } else { letter };
    let reason: String = reason.chars().map(printable).take(LONGEST_REASON).collect();
    if reason.trim().is_empty() { "unknown".to_owned() } else { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_made_fit_for_an_attribute() {
        assert_eq!(printable("a\nb"), "a b");
        assert_eq!(printable("\0"), "unknown");
        assert_eq!(printable(&"x".repeat(2_000)).len(), LONGEST_REASON);
    }
}
