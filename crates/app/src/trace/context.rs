//! The W3C trace context as a header carries it (`traceparent`, version 00).

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The parent was begun by another process …
pub(super) const ELSEWHERE: bool = true;

/// … or by this one.
pub(super) const HERE: bool = false;

/// `None`: it is none, or says nothing.
pub(super) fn parse(text: &str, is_remote: bool) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lengths = [version, trace, span, flags].map(str::len) == [2, 32, 16, 2];
    let hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !lengths || version == "ff" || ![version, trace, span, flags].into_iter().all(hex) {
        return None;
    }
    let trace = TraceId::from_hex(trace).ok()?;
    let span = SpanId::from_hex(span).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let context = SpanContext::new(trace, span, flags, is_remote, TraceState::NONE);
    context.is_valid().then_some(context)
}

pub(super) fn format(context: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_context_reads_back() {
        let context = parse(GOOD, ELSEWHERE).expect("it is well-formed");
        assert!(context.is_sampled() && context.is_remote());
        assert_eq!(format(&context), GOOD);
        let unsampled = parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", HERE).expect("well-formed");
        assert!(!unsampled.is_sampled() && !unsampled.is_remote());
    }

    #[test]
    fn what_is_no_context_is_none() {
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(parse(text, ELSEWHERE), None, "{text}");
        }
    }
}
