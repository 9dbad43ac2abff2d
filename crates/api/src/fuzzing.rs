//! Doors for the fuzz targets to what reads requests, without a server around it. No binary has them.

use crate::error::Problem;
use crate::headers;
use crate::routes::commands::{self, Ours, Reading};
use crate::routes::lists;
use axum::extract::Query;
use holdfast_app::config;
use holdfast_app::query::{Place, Wanted};
use holdfast_domain::money::Currency;
use holdfast_domain::{ClientNo, Command, Kind, ServerKey};
use http::{HeaderMap, StatusCode, Uri};
use std::time::Duration;

/// A refusal as its client gets it.
pub struct Refused {
    pub status: StatusCode,
    pub body: Vec<u8>,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self { status: problem.status(), body: serde_json::to_vec(&problem.body()).expect("a problem serialises") }
    }
}

pub fn command(
    kind: Kind,
    server_key: &ServerKey,
    client: ClientNo,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Command, Refused> {
    let egress = config::Callbacks::default().guard().expect("the defaults are sound");
    let ours = Ours { server_key, default_currency: Currency::parse("EUR").expect("a currency"), egress: &egress };
    let Reading { command, refused } = commands::read(kind, ours, client, (headers, body), None)?;
    match refused.is_empty() {
        true => Ok(command),
        false => Err(Problem::InvalidContent(refused).into()),
    }
}

pub fn command_id(text: &str) -> bool {
    commands::command_id(text).is_ok()
}

pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    Ok(headers::idempotency_key(headers)?)
}

pub fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    headers::preferred_wait(headers)
}

pub fn none_match(headers: &HeaderMap) -> Option<impl Fn(&str) -> bool> {
    headers::none_match(headers)
}

pub fn traceparent(headers: &HeaderMap) -> Option<&str> {
    headers::traceparent(headers)
}

pub fn is_json(headers: &HeaderMap) -> bool {
    headers::is_json(headers)
}

/// What a list is asked for: which commands, and under which key.
pub fn list(client: ClientNo, kind: Kind, uri: &Uri) -> Result<(Wanted, Option<String>), String> {
    let Query(parameters) = Query::try_from_uri(uri).expect("any query is a list of pairs");
    lists::read(client, kind, parameters)
}

pub fn cursor(place: Place) -> String {
    lists::cursor(place)
}

pub fn place(cursor: &str) -> Option<Place> {
    lists::place(cursor)
}
