//! Logs: readable on a terminal, JSON elsewhere. `RUST_LOG` sets the level, until somebody changes it.

use crate::log_format::Traced;
use std::io::IsTerminal as _;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// What is logged, which can be changed while the process runs. Clones change the same.
#[derive(Clone, Debug)]
pub struct LogLevel(reload::Handle<EnvFilter, Registry>);

/// The filter before stands.
#[derive(Debug, thiserror::Error)]
pub enum NotSet {
    #[error("it is no filter")]
    Invalid(#[from] ParseError),
    #[error("it is empty")]
    Empty,
    #[error("nothing is logged any more")]
    Ended(#[from] reload::Error),
}

/// `default` is the filter without `RUST_LOG`.
pub fn init(default: &str) -> LogLevel {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let (filter, handle) = reload::Layer::new(filter);
    let (subscriber, lines) = (tracing_subscriber::registry().with(filter), fmt::layer().with_writer(std::io::stderr));
    match std::io::stderr().is_terminal() {
        true => subscriber.with(lines).init(),
        false => subscriber.with(lines.event_format(Traced::default()).fmt_fields(JsonFields::new())).init(),
    }
    // A panic in a task would otherwise be the one line that is no JSON.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("not a text");
        tracing::error!(place, message, "panicked");
    }));
    LogLevel(handle)
}

impl LogLevel {
    /// As `RUST_LOG` would have it.
    pub fn current(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default()
    }

    /// Takes what `RUST_LOG` takes. What is logged from now on is decided by it.
    pub fn set(&self, filter: &str) -> Result<(), NotSet> {
        let filter = filter.trim();
        // It would mean errors alone, and was hardly meant.
        if filter.is_empty() {
            return Err(NotSet::Empty);
        }
        let filter = EnvFilter::builder().with_regex(false).parse(filter)?;
        // Before it holds: it may leave this line out.
        tracing::warn!(from = self.current(), to = %filter, "the log level is changed");
        self.0.reload(filter)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_changed_while_the_process_runs() {
        let (filter, handle) = reload::Layer::new(EnvFilter::new("info"));
        let level = LogLevel(handle);
        let subscriber = tracing_subscriber::registry().with(filter);
        tracing::subscriber::with_default(subscriber, || {
            assert_eq!(level.current(), "info");
            assert!(!tracing::enabled!(tracing::Level::DEBUG));
            level.set(" debug,hyper=warn\n").expect("it is a filter");
            assert!(tracing::enabled!(tracing::Level::DEBUG));
            assert!(!tracing::enabled!(target: "hyper", tracing::Level::INFO));
            assert!(matches!(level.set("holdfast=loud"), Err(NotSet::Invalid(_))));
            assert!(matches!(level.set(" "), Err(NotSet::Empty)));
            assert_eq!(level.current(), "hyper=warn,debug");
        });
        assert!(matches!(level.set("info"), Err(NotSet::Ended(_))));
    }
}
