//! Traces: one from a client's `traceparent` through acceptance, SQS, every step and every request to its callbacks.
//!
//! A context is a `traceparent` everywhere, as text: that is how it is stored with a command and travels in messages, and
//! whoever carries the command on, in whatever process, task or batch, has it in hand. Nothing is implicit, so nothing has to
//! be kept current while a task is polled. Where nothing is exported, or a trace is not sampled, a span is a null pointer:
//! its name and attributes are never computed.

mod command;
mod context;
mod export;
pub mod spans;

pub use export::start;

use opentelemetry::trace::{Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use spans::Outline;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What a process that ends has left for its last spans.
pub const LAST_SPANS: Duration = Duration::from_secs(3);

/// What begins spans. The default begins none.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Exporting>>);

#[derive(Debug)]
struct Exporting {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    /// A trace that its client does not sample is not sampled here either.
    parent_based: bool,
}

/// Something that is under way, if it is to be exported. It ends when it is dropped.
#[derive(Debug, Default)]
pub struct Span(Option<Box<opentelemetry_sdk::trace::Span>>);

impl Tracer {
    /// What somebody asks of us. Without a parent it is the first span of a new trace.
    pub fn serve(&self, parent: Option<&str>, outline: impl FnOnce() -> Outline) -> Span {
        let Some(exporting) = &self.0 else { return Span::default() };
        let parent = parent.and_then(|parent| context::parse(parent, context::ELSEWHERE));
        exporting.begin(parent, SpanBuilder::default().with_kind(SpanKind::Server), outline)
    }

    /// Goes on, since some time ago, with what another process has begun. What that did not sample has no span.
    pub fn resume(
        &self,
        parent: Option<&str>,
        kind: SpanKind,
        since: Duration,
        outline: impl FnOnce() -> Outline,
    ) -> Span {
        let Some((exporting, parent)) = self.continued(parent, context::ELSEWHERE) else { return Span::default() };
        let builder = SpanBuilder::default().with_kind(kind).with_start_time(now() - since);
        exporting.begin(Some(parent), builder, outline)
    }

    /// A part of what this process does.
    pub fn part(&self, parent: Option<&str>, kind: SpanKind, outline: impl FnOnce() -> Outline) -> Span {
        let Some((exporting, parent)) = self.continued(parent, context::HERE) else { return Span::default() };
        exporting.begin(Some(parent), SpanBuilder::default().with_kind(kind), outline)
    }

    fn continued(&self, parent: Option<&str>, is_remote: bool) -> Option<(&Exporting, SpanContext)> {
        let exporting = self.0.as_deref()?;
        Some((exporting, context::parse(parent?, is_remote)?))
    }

    /// Sends what has ended, as far as that can be done in this time. For a process that may be frozen.
    pub async fn flush(&self, within: Duration) {
        let Some(exporting) = &self.0 else { return };
        let provider = exporting.provider.clone();
        let flushed = tokio::task::spawn_blocking(move || provider.force_flush());
        if tokio::time::timeout(within, flushed).await.is_err() {
            tracing::debug!("spans were not sent in time");
        }
    }

    /// The same for the last time.
    pub async fn end(&self, within: Duration) {
        let Some(exporting) = &self.0 else { return };
        let provider = exporting.provider.clone();
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(within)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last spans were not sent");
        }
    }
}

impl Exporting {
    /// Asks for name and attributes only when it is sure that they are wanted.
    fn begin(&self, parent: Option<SpanContext>, builder: SpanBuilder, outline: impl FnOnce() -> Outline) -> Span {
        let context = match parent {
            Some(parent) if self.parent_based && !parent.is_sampled() => return Span::default(),
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let mut span = self.tracer.build_with_context(builder, &context);
        if !span.is_recording() {
            return Span::default();
        }
        let (name, attributes) = outline();
        span.update_name(name);
        span.set_attributes(attributes);
        Span(Some(Box::new(span)))
    }
}

impl Span {
    /// What its parts, and whoever goes on with it elsewhere, name as their parent.
    pub fn traceparent(&self) -> Option<String> {
        self.0.as_ref().map(|span| context::format(span.span_context()))
    }

    /// Within it, log lines name the trace.
    pub fn log(&self) -> tracing::Span {
        match &self.0 {
            // At this level, so that a filter which lets nothing but errors through does not take the trace from them.
            Some(span) => tracing::error_span!("trace", trace_id = %span.span_context().trace_id()),
            None => tracing::Span::none(),
        }
    }

    pub fn set(&mut self, attribute: impl FnOnce() -> KeyValue) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(attribute());
        }
    }

    /// It has failed; `kind` is one of a few words.
    pub fn fail(&mut self, kind: &'static str) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new("error.type", kind));
            span.set_status(Status::error(""));
        }
    }

    /// Ends with what we have answered. Only what is our fault is an error.
    pub fn answered(self, status: u16) {
        self.end_with(status, 500);
    }

    /// Ends with what somebody else has answered, if anything.
    pub fn called(mut self, status: Option<u16>) {
        match status {
            Some(status) => self.end_with(status, 400),
            None => self.fail("no_answer"),
        }
    }

    fn end_with(self, status: u16, error_from: u16) {
        let Some(mut span) = self.0 else { return };
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        if status >= error_from {
            span.set_attribute(KeyValue::new("error.type", status.to_string()));
            span.set_status(Status::error(""));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "spans have the time of the machine, Postgres is not asked for it")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::{Sampler, SpanData, SpanExporter};
    use std::sync::{Mutex, PoisonError};

    const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> opentelemetry_sdk::error::OTelSdkResult {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(batch);
            Ok(())
        }
    }

    impl Kept {
        fn names(&self) -> Vec<String> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|span| span.name.to_string()).collect()
        }
    }

    fn tracer(root: Sampler) -> (Tracer, Kept) {
        let kept = Kept::default();
        let sampler = Sampler::ParentBased(Box::new(root));
        let provider = SdkTracerProvider::builder().with_sampler(sampler).with_simple_exporter(kept.clone()).build();
        let tracer = provider.tracer("test");
        (Tracer(Some(Arc::new(Exporting { provider, tracer, parent_based: true }))), kept)
    }

    fn named(name: &'static str) -> impl FnOnce() -> Outline {
        move || (name.into(), Vec::new())
    }

    fn never() -> Outline {
        panic!("nobody asks for the name of a span that is not wanted")
    }

    #[test]
    fn the_trace_of_a_client_goes_on_from_span_to_span() {
        let (tracer, kept) = tracer(Sampler::AlwaysOff);
        let served = tracer.serve(Some(SAMPLED), named("served"));
        let parent = served.traceparent().expect("it is sampled");
        assert!(parent.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && parent.ends_with("-01"), "{parent}");
        assert_ne!(parent, SAMPLED);
        let resumed = tracer.resume(Some(&parent), SpanKind::Consumer, Duration::from_secs(1), named("resumed"));
        drop(tracer.part(resumed.traceparent().as_deref(), SpanKind::Client, named("part")));
        drop(resumed);
        served.answered(202);
        assert_eq!(kept.names(), ["part", "resumed", "served"]);
        let spans = kept.0.lock().expect("nobody panicked");
        let [part, resumed, served] = &spans[..] else { panic!("three spans") };
        assert_eq!(part.parent_span_id, resumed.span_context.span_id());
        assert_eq!(resumed.parent_span_id, served.span_context.span_id());
        assert!(served.parent_span_is_remote && resumed.parent_span_is_remote && !part.parent_span_is_remote);
        assert!(resumed.start_time < served.start_time, "it had begun before");
    }

    #[test]
    fn what_is_not_sampled_costs_nothing() {
        let (tracer, kept) = tracer(Sampler::AlwaysOn);
        for parent in [Some(UNSAMPLED), None] {
            assert!(tracer.part(parent, SpanKind::Internal, never).0.is_none());
            assert!(tracer.resume(parent, SpanKind::Consumer, Duration::ZERO, never).0.is_none());
        }
        let span = tracer.serve(Some(UNSAMPLED), never);
        assert_eq!(span.traceparent(), None);
        assert!(span.log().is_none());
        assert!(Tracer::default().serve(Some(SAMPLED), never).0.is_none());
        assert_eq!(kept.names(), Vec::<String>::new());
    }

    #[test]
    fn a_trace_begins_with_a_request_that_has_none_as_the_sampler_says() {
        let (all, kept) = tracer(Sampler::AlwaysOn);
        let begun = all.serve(None, named("first")).traceparent().expect("it is sampled");
        assert!(context::parse(&begun, context::HERE).is_some_and(|context| context.is_sampled()));
        assert_eq!(kept.names(), ["first"]);
        let (none, _) = tracer(Sampler::AlwaysOff);
        assert!(none.serve(None, never).0.is_none());
    }

    #[test]
    fn an_answer_is_an_error_where_the_conventions_say_so() {
        let (tracer, kept) = tracer(Sampler::AlwaysOn);
        let status_of = |end: &dyn Fn(Span)| {
            end(tracer.serve(None, named("x")));
            kept.0.lock().expect("nobody panicked").pop().expect("a span").status
        };
        assert_eq!(status_of(&|span| span.answered(422)), Status::Unset);
        assert_eq!(status_of(&|span| span.answered(503)), Status::error(""));
        assert_eq!(status_of(&|span| span.called(Some(201))), Status::Unset);
        assert_eq!(status_of(&|span| span.called(Some(422))), Status::error(""));
        assert_eq!(status_of(&|span| span.called(None)), Status::error(""));
    }
}
