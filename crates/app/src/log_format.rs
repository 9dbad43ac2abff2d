//! A log line is a JSON object; within a trace its first member is `trace_id`, where OpenTelemetry wants it.

use std::fmt;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// What [`crate::trace::Span::log`] begins.
const TRACE: &str = "trace";

pub(crate) struct Traced(Format<Json>);

impl Default for Traced {
    fn default() -> Self {
        Self(Format::default().json().flatten_event(true).with_current_span(false).with_span_list(false))
    }
}

impl<S, N> FormatEvent<S, N> for Traced
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(trace) = trace(context) else { return self.0.format_event(context, writer, event) };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        match line.strip_prefix('{') {
            Some(rest) => write!(writer, "{{{trace},{rest}"),
            None => writer.write_str(&line),
        }
    }
}

/// `"trace_id":"…"`: its fields were written down as JSON when the span began.
fn trace<S, N>(context: &FmtContext<'_, S, N>) -> Option<String>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    let is_ours = |name: &str, target: &str| name == TRACE && target.starts_with("holdfast_app::trace");
    let mut spans = context.event_scope()?;
    let span = spans.find(|span| is_ours(span.name(), span.metadata().target()))?;
    let extensions = span.extensions();
    let fields = &extensions.get::<FormattedFields<N>>()?.fields;
    Some(fields.strip_prefix('{')?.strip_suffix('}')?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex, PoisonError};
    use tracing_subscriber::fmt::format::JsonFields;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_names_its_trace_and_no_other_span() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let layer = layer.event_format(Traced::default()).fmt_fields(JsonFields::new());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(command.id = 7, "before");
            let trace = tracing::error_span!(target: "holdfast_app::trace", "trace", trace_id = "0af7");
            let other = tracing::error_span!(parent: &trace, "other", key = "secret");
            other.in_scope(|| tracing::warn!(command.id = 7, "within"));
        });
        let text = String::from_utf8(lines.0.lock().expect("nobody panicked").clone()).expect("text");
        let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("a JSON object");
        let [before, within] = text.lines().map(read).collect::<Vec<_>>()[..].to_vec().try_into().expect("two lines");
        assert_eq!((&before["trace_id"], &before["message"]), (&serde_json::Value::Null, &"before".into()));
        assert_eq!((&within["trace_id"], &within["message"]), (&"0af7".into(), &"within".into()));
        assert_eq!(within["command.id"], 7);
        assert!(!text.contains("secret"));
    }
}
