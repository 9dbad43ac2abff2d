//! Listening, and ending without a failed request.

use crate::body::MAX_BODY_BYTES;
use crate::envelope::Envelope;
use crate::error::Problem;
use crate::gate::{Gate, Held};
use crate::measure::Measure;
use crate::routes;
use crate::state::State;
use crate::{console, cors};
use anyhow::Context as _;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::Response;
use axum::routing::{get, post};
use holdfast_app::{SchemaError, connections};
use holdfast_domain::Kind;
use holdfast_queue::Backoff;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::util::option_layer;
use tower::{Layer as _, Service};
use tower_http::catch_panic::CatchPanicLayer;

pub struct Server {
    listener: TcpListener,
    console: Option<TcpListener>,
    state: State,
}

/// Every route. Each kind has the same ones.
pub fn router(state: State) -> Router {
    // By their whole paths: each level of nested routers costs as much as a handler.
    let kinds = Kind::ALL.into_iter().fold(Router::new(), |router, kind| {
        router.merge(routes::commands::router(kind, &format!("/api/v1/{}", kind.plural()), &state))
    });
    Router::new()
        .merge(kinds)
        .merge(routes::endpoint::router("/api/v1/callback-endpoint", &state))
        .route("/api/v1/webhooks/{partner}", post(routes::webhooks::receive))
        .route("/livez", get(routes::health::livez))
        .route("/readyz", get(routes::health::readyz))
        .merge(crate::openapi::router())
        .route_layer(Measure(Arc::clone(&state.app.metrics)))
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(CatchPanicLayer::custom(|_panic| axum::response::IntoResponse::into_response(Problem::Internal)))
        .with_state(state)
}

/// The routes with what stands around each of them: who is turned away, and what every answer carries.
fn guarded(
    state: State,
) -> impl Service<Request, Response = Response<Held>, Error = Infallible, Future: Send> + Clone + Sync {
    let config = Arc::clone(&state.app.config);
    let (load, limits) = (Arc::clone(&state.load), Arc::clone(&state.limits));
    let gate = Gate { inner: router(state), load };
    let with_cors = option_layer(cors::layer(&config.api.cors_origins)).layer(gate);
    Envelope::new(with_cors, config.api.hsts(), &limits)
}

impl Server {
    pub async fn bind(state: State) -> anyhow::Result<Self> {
        let address = state.app.config.api.listen;
        let listener = TcpListener::bind(address).await.with_context(|| format!("bind {address}"))?;
        let console = console::bind(&state.app).await;
        Ok(Self { listener, console, state })
    }

    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`, then answers what is under way and hands what was accepted to SQS.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self { listener, console, state } = self;
        tracing::info!(address = %listener.local_addr()?, "listening");
        if let Some(listener) = console {
            console::serve(listener, &state.app, stop.clone())?;
        }
        let (app, tasks) = (state.app.clone(), state.tasks.clone());
        let (config, metrics) = (&app.config.api, Arc::clone(&app.metrics));
        let (drain, grace) = (config.drain_ms.get(), config.grace_ms.get());
        let schema = tokio::spawn(check_schema(state.clone(), stop.clone()));
        let service = guarded(state);
        let serve = connections::serve(
            listener,
            // Nothing of it may be held after the last request: what was accepted is handed over when its holders are gone.
            move |_peer| service.clone(),
            connections::Limits::of(config),
            Some(metrics),
            drained_of(stop.clone(), drain),
        );
        let drained = async {
            serve.await;
            tasks.close();
            tasks.wait().await;
        };
        let overtime = async {
            stop.cancelled().await;
            holdfast_queue::backoff::sleep(grace).await;
        };
        tokio::select! {
            () = drained => {}
            () = overtime => tracing::warn!("requests were still under way at the end of the grace period"),
        }
        schema.await.context("check the schema")?
    }
}

/// Not ready any more, but still serving: whoever spreads requests needs a moment to see it.
async fn drained_of(stop: CancellationToken, drain: Duration) {
    stop.cancelled().await;
    holdfast_queue::backoff::sleep(drain).await;
}

/// A wrong schema ends the process; an unreachable Postgres does not.
async fn check_schema(state: State, stop: CancellationToken) -> anyhow::Result<()> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    while !stop.is_cancelled() {
        match state.app.check_schema().await {
            Ok(()) => {
                state.schema_is_checked();
                return Ok(());
            }
            Err(SchemaError::Store(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not check the schema");
                stop.run_until_cancelled(backoff.wait()).await;
            }
            Err(wrong) => {
                tracing::error!(error = %wrong, "cannot work with this database");
                state.stop.cancel();
                return Err(wrong.into());
            }
        }
    }
    Ok(())
}
