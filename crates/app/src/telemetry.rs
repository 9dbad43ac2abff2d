//! Logs: readable on a terminal, JSON elsewhere. `RUST_LOG` sets the level, until somebody changes it.

use crate::log_format::Traced;
use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
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

/// What these tell at lower levels must not be in a log, whatever `RUST_LOG` says. By the beginning of their names.
const CAPS: [(&str, LevelFilter); 2] = [
    // Requests with what signs them, the tokens of sessions, whole messages.
    ("aws", LevelFilter::INFO),
    // The whole event that a function is invoked with.
    ("lambda_runtime", LevelFilter::DEBUG),
];

/// `default` is the filter without `RUST_LOG`.
pub fn init(default: &str) -> LogLevel {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let (filter, handle) = reload::Layer::new(filter);
    let subscriber = tracing_subscriber::registry().with(filter).with(caps());
    let lines = fmt::layer().with_writer(std::io::stderr);
    match std::io::stderr().is_terminal() {
        true => subscriber.with(lines).init(),
        false => subscriber.with(lines.event_format(Traced::default()).fmt_fields(JsonFields::new())).init(),
    }
    // A panic in a task would otherwise be the one line that is no JSON.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, message = said(panic), "panicked");
    }));
    LogLevel(handle)
}

fn caps() -> Targets {
    Targets::new().with_default(LevelFilter::TRACE).with_targets(CAPS)
}

/// What is put together when somebody panics may repeat a value: of that only the beginning is told.
fn said<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    match (panic.payload().downcast_ref::<&str>(), panic.payload_as_str()) {
        (Some(text), _) => text,
        (None, Some(text)) => text.split([':', '`']).next().unwrap_or_default(),
        (None, None) => "not a text",
    }
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

    #[test]
    fn nobody_can_have_what_would_show_secrets() {
        let (filter, handle) = reload::Layer::new(EnvFilter::new("trace"));
        let level = LogLevel(handle);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(filter).with(caps()), || {
            for filter in ["trace", "aws_smithy_runtime=trace,lambda_runtime=trace,holdfast=trace"] {
                level.set(filter).expect("it is a filter");
                assert!(!tracing::enabled!(target: "aws_smithy_runtime::client", tracing::Level::DEBUG), "{filter}");
                assert!(tracing::enabled!(target: "aws_smithy_runtime::client", tracing::Level::INFO), "{filter}");
                assert!(!tracing::enabled!(target: "lambda_runtime::layers", tracing::Level::TRACE), "{filter}");
                assert!(tracing::enabled!(target: "holdfast_app", tracing::Level::TRACE), "{filter}");
            }
        });
    }
}
