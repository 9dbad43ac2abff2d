//! The requests of one connection.

use super::activity::{Activity, Serving};
use super::answer::Answer;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::response::Response;
use http::Version;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower::util::Oneshot;
use tower::{Service, ServiceExt as _};

pub(super) struct Requests<S> {
    pub(super) service: S,
    pub(super) activity: Arc<Activity>,
}

pin_project! {
    pub(super) struct Answering<F> {
        #[pin]
        inner: F,
        // Until it goes on with the answer.
        serving: Option<Serving>,
        has_body: bool,
    }
}

impl<S, B> hyper::service::Service<http::Request<Incoming>> for Requests<S>
where
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone,
{
    type Response = Response<Answer<B>>;
    type Error = Infallible;
    type Future = Answering<Oneshot<S, Request>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        Answering {
            serving: Some(self.activity.serve(request.version() == Version::HTTP_2)),
            has_body: !request.body().is_end_stream(),
            inner: self.service.clone().oneshot(request.map(Body::new)),
        }
    }
}

impl<F: Future<Output = Result<Response<B>, Infallible>>, B> Future for Answering<F> {
    type Output = Result<Response<Answer<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(context))?;
        let serving = this.serving.take().expect("it is polled no more once it has answered");
        let is_refused = response.status().is_client_error() || response.status().is_server_error();
        if *this.has_body && is_refused {
            serving.left_unread();
        }
        Poll::Ready(Ok(response.map(|body| Answer::new(body, serving))))
    }
}
