//! `/api/v1/{kind}s`: submit a command, see where it stands, see what happened.

use crate::body::{self, JsonBytes};
use crate::error::{Problem, found};
use crate::headers::{self, Caller};
use crate::path::Named;
use crate::routes::{callbacks, lists};
use crate::state::{State, needs_postgres};
use axum::extract;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use chrono::{DateTime, Utc};
use holdfast_app::accept::Receipt;
use holdfast_app::cancel::{self, Cancelled};
use holdfast_app::query::{self, Found, View};
use holdfast_app::trace::{Span, spans};
use holdfast_app::{App, Guard, StoreError, endpoint, pause};
use holdfast_domain::content::{self, Content, Sent};
use holdfast_domain::json::Node;
use holdfast_domain::money::Currency;
use holdfast_domain::resource::{Links, milliseconds};
use holdfast_domain::wishes::CALLBACK_URL;
use holdfast_domain::{ClientNo, Command, CommandId, Kind, Scope, ServerKey, Status, Violation};
use http::header::{CACHE_CONTROL, ETAG, LOCATION, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;
use tracing::Instrument as _;

/// How soon a wait looks again after it could not.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

type Shared = extract::State<State>;

pub(crate) fn router(kind: Kind, base: &str, state: &State) -> Router<State> {
    let path = |rest: &str| format!("{base}/{{id}}{rest}");
    let (reads, writes) = (state.needing(Scope::read(kind)), state.needing(Scope::write(kind)));
    let list = get(move |state, caller, query| lists::list(kind, state, caller, query));
    let show = get(move |state, caller, id, headers| show(kind, state, caller, id, headers));
    let cancel = post(move |state, caller, id| cancel(kind, state, caller, id));
    let events = get(move |state, caller, id| events(kind, state, caller, id));
    let callbacks = get(move |state, caller, id| callbacks::list(kind, state, caller, id));
    let resend = post(move |state, caller, path| callbacks::resend(kind, state, caller, path));
    let submit = post(move |state, caller, headers, body| submit(kind, state, caller, headers, body));
    Router::new()
        .route(base, list.with_state(reads.clone()))
        .route(&path(""), show.with_state(reads.clone()))
        .route(&path("/cancel"), cancel.with_state(writes.clone()))
        .route(&path("/events"), events.with_state(reads.clone()))
        .route(&path("/callbacks"), callbacks.with_state(reads))
        .route(&path("/callbacks/{callback}/resend"), resend.with_state(writes.clone()))
        .route_layer(middleware::from_fn_with_state(state.clone(), needs_postgres))
        .route(base, submit.with_state(writes))
}

/// The answer to a submission.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    id: CommandId,
    status: Status,
    #[serde(serialize_with = "milliseconds")]
    created_at: DateTime<Utc>,
    links: Links,
}

async fn submit(
    kind: Kind,
    extract::State(state): Shared,
    Caller(client): Caller,
    headers: HeaderMap,
    JsonBytes(body): JsonBytes,
) -> Response {
    // Not before the caller is known: nobody else may have us export anything.
    let mut span = state.app.tracer.serve(headers::traceparent(&headers), || spans::submission(kind));
    let log = span.log();
    let answering = async {
        // What went wrong is logged on the way.
        accept(kind, &state, client, (&headers, &body), &mut span).await.into_response()
    };
    let response = answering.instrument(log).await;
    span.answered(response.status().as_u16());
    response
}

async fn accept(
    kind: Kind,
    state: &State,
    client: ClientNo,
    (headers, body): (&HeaderMap, &[u8]),
    span: &mut Span,
) -> Result<Response, Problem> {
    if !state.is_ready() {
        return Err(Problem::Unavailable);
    }
    // Whoever carries it on does so as a part of this request, if that is a part of anything.
    let traceparent = span.traceparent().or_else(|| headers::traceparent(headers).map(str::to_owned));
    let Reading { command, refused } = read(kind, Ours::of(state), client, (headers, body), traceparent)?;
    span.set(|| spans::command_id(command.id));
    let receipt = match refused.is_empty() {
        true => state.acceptor.accept(command).await?,
        // Its client has our word for it, if it was accepted before there was a rule against it.
        false => state.acceptor.repeated(&command).await?.ok_or(Problem::InvalidContent(refused))?,
    };
    Ok(accepted(kind, receipt))
}

/// What a request is read with, beside itself.
#[derive(Clone, Copy)]
pub(crate) struct Ours<'a> {
    pub(crate) server_key: &'a ServerKey,
    pub(crate) default_currency: Currency,
    pub(crate) egress: &'a Guard,
}

impl<'a> Ours<'a> {
    fn of(state: &'a State) -> Self {
        let App { server_key, config, egress, .. } = &state.app;
        Self { server_key, default_currency: config.orders.default_currency(), egress }
    }
}

/// A command as it would be accepted.
pub(crate) struct Reading {
    pub(crate) command: Command,
    /// Why it is not, unless it was before.
    pub(crate) refused: Vec<Violation>,
}

/// Turns a request into a command, or says everything that is wrong with it.
pub(crate) fn read(
    kind: Kind,
    ours: Ours<'_>,
    client: ClientNo,
    (headers, body): (&HeaderMap, &[u8]),
    traceparent: Option<String>,
) -> Result<Reading, Problem> {
    let mut document = body::parse(body)?;
    let fingerprint = document.root.fingerprint();
    let body = match content::fill_in(kind, &mut document.root, ours.default_currency) {
        true => serde_json::to_string(&document.root).expect("what was parsed serialises"),
        false => String::from_utf8(body.to_vec()).map_err(|_| Problem::Unparseable("body is not UTF-8".to_owned()))?,
    };
    let header_key = headers::idempotency_key(headers)?;
    // No part of reading content: what was accepted under other settings must stay readable.
    let refused_url = refused_url(ours.egress, &document.root);
    let (content, refused) = match Content::take(kind, document, header_key.as_deref()) {
        Ok(Sent { content, refused }) => (content, refused_url.into_iter().chain(refused).collect()),
        Err(mut violations) => {
            // Each field once: where callbacks may go is said rather than what is wrong with the address beside.
            violations.retain(|other| refused_url.as_ref().is_none_or(|url| url.pointer != other.pointer));
            return Err(Problem::InvalidContent(refused_url.into_iter().chain(violations).collect()));
        }
    };
    let (key, header_key) = match (content.own_id(), header_key) {
        (Some(own), header_key) => (own.to_owned(), header_key),
        (None, Some(header_key)) => (header_key, None),
        (None, None) => return Err(Problem::KeyMissing),
    };
    let id = CommandId::compute(ours.server_key, client, kind, &key);
    let command = Command { id, client, kind, key, header_key, fingerprint, body, traceparent, accepted_at: None };
    Ok(Reading { command, refused })
}

/// A callback URL where no callback may go.
fn refused_url(egress: &Guard, body: &Node) -> Option<Violation> {
    let refused = endpoint::judge(egress, content::callback_url(body)?).err()?;
    Some(Violation::new(format!("/{CALLBACK_URL}"), refused.to_string()))
}

fn accepted(kind: Kind, receipt: Receipt) -> Response {
    let Receipt { id, status, created_at, replayed, accepted_by } = receipt;
    let links = Links::of(kind, id);
    let headers = [(LOCATION.as_str(), links.this.clone()), ("holdfast-accepted-by", accepted_by.name().to_owned())];
    let replay = replayed.then_some([("idempotent-replayed", "true")]);
    let body = Json(Accepted { id, status, created_at, links });
    match replay {
        Some(replay) => (StatusCode::ACCEPTED, headers, replay, body).into_response(),
        None => (StatusCode::ACCEPTED, headers, body).into_response(),
    }
}

/// Where the command stands. With `Prefer: wait=N` the answer is held until there is something to say.
async fn show(
    kind: Kind,
    extract::State(state): Shared,
    Caller(client): Caller,
    Named(id): Named<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = command_id(&id)?;
    let wait = headers::preferred_wait(&headers);
    let known = headers::none_match(&headers);
    let deadline = Instant::now() + wait.unwrap_or(Duration::ZERO);
    let mut waiting = None;
    let mut may_wait = || {
        waiting = waiting.take().or_else(|| state.load.wait(client));
        waiting.is_some()
    };
    loop {
        let reading = state.readers.begin(client).await?;
        let found = query::find(&state.app, client, kind, id).await;
        // Who waits for a change keeps nobody from asking.
        drop(reading);
        let view = match found {
            Ok(Found::Nothing) => return Err(Problem::NotFound),
            Ok(Found::Archived(tombstone)) => return Err(Problem::Archived(tombstone)),
            Ok(Found::IssuedOnly) => return Ok(issued(kind, id)),
            Ok(Found::Command(view)) => view,
            // Whoever waits for minutes need not hear of a moment in which Postgres was not there.
            Err(StoreError::Unavailable(_))
                if Instant::now() < deadline && !state.stop.is_cancelled() && may_wait() =>
            {
                pause(LOOK_AGAIN).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let etag = etag(&view);
        let unchanged = known.as_ref().is_some_and(|matches| matches(&etag));
        let awaited = if known.is_some() { !unchanged } else { view.version.status.is_settled() };
        if awaited || Instant::now() >= deadline || state.stop.is_cancelled() {
            return Ok(represent(*view, etag, unchanged, wait));
        }
        if !may_wait() {
            // Too many wait already. A preference may be left unheeded (RFC 7240).
            return Ok(represent(*view, etag, unchanged, None));
        }
        // The time limit and the end of the process both lead to one more look and an answer.
        tokio::select! {
            () = state.watch.changed(view.no, view.version) => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = state.stop.cancelled() => {}
        }
    }
}

fn represent(view: View, etag: String, unchanged: bool, wait: Option<Duration>) -> Response {
    let headers = [(ETAG, etag), (CACHE_CONTROL, "private, no-cache".to_owned())];
    let mut response = match unchanged {
        true => (StatusCode::NOT_MODIFIED, headers).into_response(),
        false => (headers, Json(view.resource)).into_response(),
    };
    if let Some(applied) = wait.and_then(|wait| format!("wait={}", wait.as_secs()).parse().ok()) {
        response.headers_mut().insert("preference-applied", applied);
    }
    response
}

/// We computed this id, but its row is not to be seen: not a 404, because the command may be on its way.
fn issued(kind: Kind, id: CommandId) -> Response {
    #[derive(Serialize)]
    struct Issued {
        id: CommandId,
        status: Status,
        links: Links,
    }
    ([(RETRY_AFTER, "1")], Json(Issued { id, status: Status::Accepted, links: Links::of(kind, id) })).into_response()
}

/// Changes with every write and every change of status, and only then.
fn etag(view: &View) -> String {
    format!("W/\"{}-{}\"", view.version.sequence, view.version.status)
}

/// Ends a command of which nothing was sent yet; again and again if need be.
async fn cancel(
    kind: Kind,
    extract::State(state): Shared,
    Caller(client): Caller,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    let _reading = state.readers.begin(client).await?;
    match cancel::cancel(&state.app, client, kind, command_id(&id)?).await? {
        Cancelled::Done(view) => {
            let etag = etag(&view);
            Ok(represent(*view, etag, false, None))
        }
        Cancelled::Refused(why) => Err(Problem::NotCancellable(why)),
        Cancelled::Archived(tombstone) => Err(Problem::Archived(tombstone)),
        Cancelled::Nothing => Err(Problem::NotFound),
    }
}

/// The audit trail.
async fn events(
    kind: Kind,
    extract::State(state): Shared,
    Caller(client): Caller,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Trail {
        data: Vec<query::Event>,
    }
    let _reading = state.readers.begin(client).await?;
    let data = found(query::trail(&state.app, client, kind, command_id(&id)?).await?)?;
    Ok(([(CACHE_CONTROL, "private, no-cache")], Json(Trail { data })).into_response())
}

/// What is no UUID was never issued.
pub(crate) fn command_id(text: &str) -> Result<CommandId, Problem> {
    let id = if text.len() == 36 { uuid::Uuid::try_parse(text).ok() } else { None };
    id.map(CommandId).ok_or(Problem::NotFound)
}
