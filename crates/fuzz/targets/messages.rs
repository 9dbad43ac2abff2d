//! What comes out of SQS. It is ours, as far as we know; what is not must not end a worker.

use holdfast_app::query;
use holdfast_domain::{Command, journal, message};

pub(crate) fn queue(input: &[u8]) {
    let Ok(read) = serde_json::from_slice::<message::Message>(input) else { return };
    let text = serde_json::to_string(&read).expect("a message serialises");
    assert_eq!(serde_json::from_str::<message::Message>(&text).expect("it is read"), read);
    read.data.command.iter().for_each(materialise);
}

pub(crate) fn journal(input: &[u8]) {
    let Ok(read) = serde_json::from_slice::<journal::Message>(input) else { return };
    let text = serde_json::to_string(&read).expect("an entry serialises");
    assert_eq!(serde_json::from_str::<journal::Message>(&text).expect("it is read"), read);
    if let journal::Entry::Command { command } = &read.data.entry {
        materialise(command);
    }
}

/// As far as it goes without a database. Readable or not: it is a row then, and somebody sees it.
fn materialise(command: &Command) {
    if let Ok(content) = query::read(command.kind, &command.body) {
        assert!(content.own_id().is_none_or(holdfast_domain::command::is_key));
    }
}
