//! How long each route takes to answer, by status.

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use holdfast_app::metrics::Metrics;
use http::Method;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tower::{Layer, Service};

/// Around every route. Boxes nothing: it is on the way of each request.
#[derive(Clone)]
pub(crate) struct Measure(pub(crate) Arc<Metrics>);

#[derive(Clone)]
pub(crate) struct Measured<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

pin_project! {
    pub(crate) struct Answering<F> {
        #[pin]
        inner: F,
        metrics: Arc<Metrics>,
        method: Method,
        route: Option<MatchedPath>,
        started: Instant,
    }
}

impl<S> Layer<S> for Measure {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured { inner, metrics: Arc::clone(&self.0) }
    }
}

impl<S: Service<Request, Response = Response, Error = Infallible>> Service<Request> for Measured<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Answering<S::Future> {
        Answering {
            metrics: Arc::clone(&self.metrics),
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            started: Instant::now(),
            inner: self.inner.call(request),
        }
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Answering<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(context))?;
        let route = this.route.as_ref().map_or("", MatchedPath::as_str);
        this.metrics.accepting.answered(this.method, route, answer.status(), this.started.elapsed());
        Poll::Ready(Ok(answer))
    }
}
