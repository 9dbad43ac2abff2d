//! Logs: readable on a terminal, JSON elsewhere. `RUST_LOG` sets the level.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// `default` is the filter without `RUST_LOG`.
pub fn init(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match std::io::stderr().is_terminal() {
        true => builder.init(),
        false => builder.json().flatten_event(true).init(),
    }
    // A panic in a task would otherwise be the one line that is no JSON.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("not a text");
        tracing::error!(place, message, "panicked");
    }));
}
