//! A command in hand, as a part of its trace: what is done for it has the span in which it is done as its parent.

use super::{Span, Tracer, spans};
use crate::engine::Held;
use crate::partnership::Partnership;
use crate::run::Run;
use holdfast_queue::Message;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use std::time::{Duration, Instant};

/// A step of a handler that is under way.
#[must_use]
pub(crate) struct Underway {
    step: &'static str,
    partner: Option<String>,
    started: Instant,
    span: Span,
    /// The parent of what follows.
    outer: Option<String>,
}

impl Held {
    /// A message has led to it. The one that comes from acceptance names the span of its sending.
    pub(crate) fn received(self, tracer: &Tracer, message: &Message) -> Self {
        let parent = message.traceparent.as_deref().or(self.claimed.traceparent.as_deref());
        let span = tracer.resume(parent, SpanKind::Consumer, self.started.elapsed(), || spans::process(message));
        self.within(span)
    }

    /// It was due.
    pub(crate) fn due(self, tracer: &Tracer) -> Self {
        let (parent, since) = (self.claimed.traceparent.as_deref(), self.started.elapsed());
        let span = tracer.resume(parent, SpanKind::Internal, since, || spans::due(&self.claimed));
        self.within(span)
    }

    /// Everything that is done under the claim belongs to this span, which ends with it.
    pub(crate) fn within(mut self, mut span: Span) -> Self {
        if let Some(own) = span.traceparent() {
            self.claimed.traceparent = Some(own);
        }
        span.set(|| spans::command_id(self.claimed.id));
        self.span = span;
        self
    }
}

impl Run<'_> {
    pub(crate) fn begin(&mut self, step: &'static str, partner: Option<&str>) -> Underway {
        let (tracer, parent) = (&self.engine.app.tracer, self.claimed.traceparent.as_deref());
        let span = tracer.part(parent, SpanKind::Internal, || spans::step(step, partner));
        let outer = span.traceparent().and_then(|own| self.claimed.traceparent.replace(own));
        Underway { step, partner: partner.map(str::to_owned), started: Instant::now(), span, outer }
    }

    /// `stopped` says why it went no further.
    pub(crate) fn end(&mut self, underway: Underway, stopped: Option<&'static str>) {
        let Underway { step, partner, started, mut span, outer } = underway;
        let metrics = &self.engine.app.metrics.carrying;
        metrics.stepped(self.claimed.kind, step, partner.unwrap_or_default(), stopped, started.elapsed());
        if outer.is_some() {
            self.claimed.traceparent = outer;
        }
        if let Some(why) = stopped {
            span.came_to(why);
        }
    }

    /// One request to a partner, of which `path` follows its address in the contract.
    pub(crate) fn request(&self, partnership: &Partnership, method: &'static str, rest: &'static str) -> Span {
        let (tracer, parent) = (&self.engine.app.tracer, self.claimed.traceparent.as_deref());
        let path = || format!("/{}{rest}", self.claimed.kind.plural());
        tracer.part(parent, SpanKind::Client, || spans::partner_request(partnership, method, &path()))
    }
}

impl Span {
    /// How far it went, in a word.
    pub(crate) fn came_to(&mut self, outcome: &'static str) {
        match outcome {
            spans::FAULT => self.fail(outcome),
            _ => self.set(|| KeyValue::new("outcome", outcome)),
        }
    }
}

impl Tracer {
    /// An entry of a queue that is written down.
    pub(crate) fn received(&self, message: &Message) -> Span {
        let parent = message.traceparent.as_deref();
        self.resume(parent, SpanKind::Consumer, Duration::ZERO, || spans::process(message))
    }
}
