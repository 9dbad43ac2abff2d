//! In front of everything: what is refused before anything is looked at but its address. Around the router, not a layer of
//! it: a layer of the router's would cost each request two boxes.

use crate::error::Problem;
use crate::load::{InFlight, Load};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::Uri;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// The longest address: a page's cursor and all its filters need a tenth of it.
pub(crate) const MAX_URI_BYTES: usize = 8 * 1024;

/// Whoever spreads requests, or restarts processes, must be answered then too.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

#[derive(Clone)]
pub(crate) struct Gate<S> {
    pub(crate) inner: S,
    pub(crate) load: Arc<Load>,
}

pin_project! {
    /// Of a request that was let in, or the answer to one that was not.
    pub(crate) struct Passing<F> {
        #[pin]
        inner: Option<F>,
        refusal: Option<Response>,
        in_flight: Option<InFlight>,
    }
}

impl<S: Service<Request, Response = Response, Error = Infallible>> Service<Request> for Gate<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Passing<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Passing<S::Future> {
        if is_too_long(request.uri()) {
            return Passing::refused(Problem::UriTooLong);
        }
        if PROBES.contains(&request.uri().path()) {
            return Passing { inner: Some(self.inner.call(request)), refusal: None, in_flight: None };
        }
        match self.load.enter() {
            Some(in_flight) => {
                Passing { inner: Some(self.inner.call(request)), refusal: None, in_flight: Some(in_flight) }
            }
            None => Passing::refused(Problem::Overloaded),
        }
    }
}

fn is_too_long(uri: &Uri) -> bool {
    uri.path().len() + uri.query().map_or(0, |query| 1 + query.len()) > MAX_URI_BYTES
}

impl<F> Passing<F> {
    fn refused(problem: Problem) -> Self {
        Self { inner: None, refusal: Some(problem.into_response()), in_flight: None }
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Passing<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        match this.inner.as_pin_mut() {
            Some(inner) => inner.poll(context),
            None => Poll::Ready(Ok(this.refusal.take().expect("it is polled no more once it has answered"))),
        }
    }
}
