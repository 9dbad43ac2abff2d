//! What every answer carries, whoever gave it: how browsers and caches must treat it, and where its client stands with its
//! limit. Around all else, and boxes nothing.

use crate::error::whole_seconds;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use holdfast_app::bucket::Rate;
use holdfast_app::limits::{Allowance, Limits, Standing};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::task::futures::TaskLocalFuture;
use tower::Service;

/// draft-ietf-httpapi-ratelimit-headers-10
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A year, as browsers count it.
const HTTPS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Of what is no page. Pages bring policies of their own.
const NO_PAGE: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// As many headers as are added here at most.
const ADDED: usize = 6;

tokio::task_local! {
    /// Of the request that is being answered. Who finds out who is calling knows it, long before there is an answer; a
    /// place among the request's extensions would cost an allocation.
    static STANDING: Cell<Option<Standing>>;
}

/// Has the answer to this request say so.
pub(crate) fn note(standing: Standing) {
    // Without an envelope around the request there is nobody who could.
    STANDING.try_with(|place| place.set(Some(standing))).ok();
}

#[derive(Clone)]
pub(crate) struct Envelope<S> {
    inner: S,
    stamps: Arc<Stamps>,
}

/// Values that are the same again and again.
struct Stamps {
    https_only: bool,
    policies: [Option<(Rate, HeaderValue)>; 2],
}

pin_project! {
    pub(crate) struct Enveloped<F> {
        #[pin]
        inner: TaskLocalFuture<Cell<Option<Standing>>, F>,
        stamps: Arc<Stamps>,
    }
}

impl<S> Envelope<S> {
    pub(crate) fn new(inner: S, https_only: bool, limits: &Limits) -> Self {
        let policies =
            Allowance::ALL.map(|allowance| limits.usual(allowance).map(|rate| (rate, policy(allowance, rate))));
        Self { inner, stamps: Arc::new(Stamps { https_only, policies }) }
    }
}

impl<S: Service<Request, Response = Response<B>, Error = Infallible>, B> Service<Request> for Envelope<S> {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Enveloped<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Enveloped<S::Future> {
        let inner = STANDING.scope(Cell::new(None), self.inner.call(request));
        Enveloped { inner, stamps: Arc::clone(&self.stamps) }
    }
}

impl<F: Future<Output = Result<Response<B>, Infallible>>, B> Future for Enveloped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let mut response = ready!(this.inner.as_mut().poll(context))?;
        let standing = this.inner.take_value().and_then(Cell::into_inner);
        this.stamps.put_on(response.headers_mut(), standing);
        Poll::Ready(Ok(response))
    }
}

impl Stamps {
    fn put_on(&self, headers: &mut HeaderMap, standing: Option<Standing>) {
        headers.reserve(ADDED);
        headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        headers.entry(CACHE_CONTROL).or_insert(NO_STORE);
        headers.entry(CONTENT_SECURITY_POLICY).or_insert(NO_PAGE);
        if self.https_only {
            headers.insert(STRICT_TRANSPORT_SECURITY, HTTPS_ONLY);
        }
        if let Some(standing) = standing {
            headers.insert(RATE_LIMIT_POLICY, self.policy(&standing));
            headers.insert(RATE_LIMIT, left(&standing));
        }
    }

    fn policy(&self, standing: &Standing) -> HeaderValue {
        match &self.policies[standing.allowance as usize] {
            Some((rate, policy)) if *rate == standing.rate => policy.clone(),
            _ => policy(standing.allowance, standing.rate),
        }
    }
}

/// `"reads";q=2000;w=2`: a full bucket, and how long it takes to fill one.
fn policy(allowance: Allowance, rate: Rate) -> HeaderValue {
    item(allowance, (";q=", rate.burst()), (";w=", u64::from(rate.burst_s)))
}

/// `"reads";r=1999;t=1`: what is left of it, and when it is full again or, if nothing is left, when something will be.
fn left(standing: &Standing) -> HeaderValue {
    item(standing.allowance, (";r=", standing.taken.left), (";t=", whole_seconds(standing.taken.wait)))
}

/// A structured field (RFC 9651). One allocation.
fn item(allowance: Allowance, first: (&str, u64), second: (&str, u64)) -> HeaderValue {
    let mut digits = [itoa::Buffer::new(), itoa::Buffer::new()];
    let [one, two] = &mut digits;
    let parts = ["\"", allowance.name(), "\"", first.0, one.format(first.1), second.0, two.format(second.1)];
    HeaderValue::from_maybe_shared(Bytes::from(parts.concat())).expect("words of ours and digits are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_app::bucket::Taken;
    use holdfast_app::config;
    use std::time::Duration;

    const RATE: Rate = Rate { per_s: 1_000, burst_s: 2 };

    #[test]
    fn limits_are_told_as_the_draft_has_it() {
        assert_eq!(policy(Allowance::Submissions, RATE), "\"submissions\";q=2000;w=2");
        let taken = Taken { refused: false, left: 1_234, wait: Duration::from_millis(766) };
        let standing = Standing { allowance: Allowance::Reads, rate: RATE, taken };
        assert_eq!(left(&standing), "\"reads\";r=1234;t=1");
    }

    #[test]
    fn a_limit_of_ones_own_has_a_policy_of_its_own() {
        let envelope = Envelope::new((), false, &Limits::new(&config::Limits::default()));
        let taken = Taken { refused: false, left: 1, wait: Duration::ZERO };
        let told = |per_s| {
            let rate = Rate { per_s, burst_s: 2 };
            envelope.stamps.policy(&Standing { allowance: Allowance::Submissions, rate, taken })
        };
        assert_eq!(told(1_000), "\"submissions\";q=2000;w=2");
        assert_eq!(told(7), "\"submissions\";q=14;w=2");
    }

    #[test]
    fn what_a_handler_has_said_stands() {
        let envelope = Envelope::new((), true, &Limits::new(&config::Limits::default()));
        let mut headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))]);
        envelope.stamps.put_on(&mut headers, None);
        assert_eq!(headers[CACHE_CONTROL], "private, no-cache");
        assert_eq!(headers[CONTENT_SECURITY_POLICY], NO_PAGE);
        assert_eq!(headers[STRICT_TRANSPORT_SECURITY], HTTPS_ONLY);
        assert!(!headers.contains_key(RATE_LIMIT));
    }
}
