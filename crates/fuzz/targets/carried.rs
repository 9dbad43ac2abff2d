//! What everything behind the API can carry.

use holdfast_domain::ServerKey;

/// The size of a message that every region's SQS has always taken.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// What SQS takes (SendMessage, "Message body"), which Postgres' `text` takes too.
#[track_caller]
pub(crate) fn by_sqs(text: &str) {
    let is_taken =
        |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(text.chars().all(is_taken), "{text:?}");
    assert!(text.len() <= MAX_MESSAGE_BYTES, "{} bytes", text.len());
}

pub(crate) fn key() -> ServerKey {
    ServerKey::parse("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").expect("a key")
}
