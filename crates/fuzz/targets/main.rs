//! Fuzz targets: whatever strangers send, what is stated here holds.
//!
//! As tests they run on their corpus (`corpus/<target>`), and for a moment on what nobody has thought of. `scripts/fuzz`
//! runs them for as long as one likes, guided by what code each input reaches.

mod api_key;
mod bodies;
mod carried;
mod console;
mod headers;
mod lists;
mod messages;
mod money;
mod urls;
mod webhooks;

use std::path::{Path, PathBuf};
use std::time::Duration;

/// For each target, in the tests.
const A_MOMENT: Duration = Duration::from_millis(300);

macro_rules! targets {
    ($($name:ident: $check:path;)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name), $check);
        })*
    };
}

targets! {
    api_key: api_key::check;
    callback_url: urls::check;
    command_id: lists::command_id;
    console_cookie: console::cookie;
    console_form: console::form;
    content_type: headers::content_type;
    cursor: lists::cursor;
    endpoint_body: bodies::endpoint;
    idempotency_key: headers::idempotency_key;
    journal_message: messages::journal;
    list_query: lists::query;
    money: money::check;
    none_match: headers::none_match;
    order_body: bodies::order;
    prefer: headers::prefer;
    queue_message: messages::queue;
    refund_body: bodies::refund;
    traceparent: headers::traceparent;
    transaction_body: bodies::transaction;
    webhook_body: webhooks::body;
    webhook_of_their_own: webhooks::of_their_own;
    webhook_standard: webhooks::standard;
}

fn run(name: &str, check: fn(&[u8])) {
    for path in corpus(name) {
        let input = std::fs::read(&path).expect("read an input");
        let held = std::panic::catch_unwind(|| check(&input)).is_ok();
        assert!(held, "with {}", path.display());
    }
    bolero::check!(name = name).with_test_time(A_MOMENT).for_each(check);
}

fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files: Vec<_> = entries.map(|entry| entry.expect("read a folder").path()).collect();
    assert!(!files.is_empty(), "{name} has a corpus");
    files
}
