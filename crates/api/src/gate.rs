//! In front of everything: what is refused before anything is looked at but its address. Around the router, not a layer of
//! it: a layer of the router's would cost each request two boxes.

use crate::error::Problem;
use crate::load::{InFlight, Load};
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use holdfast_domain::ClientNo;
use http::Uri;
use hyper::body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::task::futures::TaskLocalFuture;
use tower::Service;

/// The longest address: a page's cursor and all its filters need a tenth of it.
pub(crate) const MAX_URI_BYTES: usize = 8 * 1024;

/// Whoever spreads requests, or restarts processes, must be answered then too.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// When a client that has too much in hand may come again.
pub(crate) const SOON: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// The place of the request that is being answered.
    static PLACE: RefCell<InFlight>;
}

/// Counts the request that is being answered as one of this client's. `false`: it has too many in hand.
pub(crate) fn is_within_share(client: ClientNo) -> bool {
    // Without a gate around it, nothing is counted.
    PLACE.try_with(|place| place.borrow_mut().belongs_to(client)).unwrap_or(true)
}

#[derive(Clone)]
pub(crate) struct Gate<S> {
    pub(crate) inner: S,
    pub(crate) load: Arc<Load>,
}

pin_project! {
    /// Of a request that was let in, or the answer to one that was not.
    #[project = PassingProjection]
    pub(crate) enum Passing<F> {
        Counted { #[pin] inner: TaskLocalFuture<RefCell<InFlight>, F> },
        Probe { #[pin] inner: F },
        Refused { answer: Option<Response> },
    }
}

/// The body of an answer. Its request is in hand until all of it was taken: who takes nothing has it in memory.
#[derive(Debug, Default)]
pub(crate) struct Held {
    body: Body,
    _in_flight: Option<InFlight>,
}

impl<S: Service<Request, Response = Response, Error = Infallible>> Service<Request> for Gate<S> {
    type Response = Response<Held>;
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
            return Passing::Probe { inner: self.inner.call(request) };
        }
        match self.load.enter() {
            Some(in_flight) => {
                Passing::Counted { inner: PLACE.scope(RefCell::new(in_flight), self.inner.call(request)) }
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
        Self::Refused { answer: Some(problem.into_response()) }
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Passing<F> {
    type Output = Result<Response<Held>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (answer, in_flight) = match self.project() {
            PassingProjection::Counted { mut inner } => {
                let answer = ready!(inner.as_mut().poll(context))?;
                (answer, inner.take_value().map(RefCell::into_inner))
            }
            PassingProjection::Probe { inner } => (ready!(inner.poll(context))?, None),
            PassingProjection::Refused { answer } => {
                (answer.take().expect("it is polled no more once it has answered"), None)
            }
        };
        Poll::Ready(Ok(answer.map(|body| Held { body, _in_flight: in_flight })))
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
