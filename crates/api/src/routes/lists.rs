//! `GET /api/v1/{kind}s`: a client's commands, newest first.

use crate::error::Problem;
use crate::headers::Caller;
use crate::state::State;
use axum::Json;
use axum::extract::{self, Query};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use holdfast_app::query::{self, Found, Place, Wanted};
use holdfast_domain::resource::Resource;
use holdfast_domain::{ClientNo, CommandId, CommandNo, Kind, Status};
use serde::Serialize;

pub(crate) const DEFAULT_LIMIT: i64 = 50;
pub(crate) const MAX_LIMIT: i64 = 200;

/// The year 10000 since 1970.
const MAX_MICROS: i64 = 253_402_300_800_000_000;

/// One page.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    data: Vec<Resource>,
    /// For `cursor`; `null` on the last page.
    next_cursor: Option<String>,
}

pub(crate) async fn list(
    kind: Kind,
    extract::State(state): extract::State<State>,
    Caller(client): Caller,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<Page>, Problem> {
    let (wanted, key) = read(client, kind, parameters).map_err(Problem::InvalidQuery)?;
    let _reading = state.readers.begin(client).await?;
    let (data, next) = match key {
        Some(key) => (one(&state, &wanted, &key).await?, None),
        None => query::list(&state.app, wanted).await?,
    };
    Ok(Json(Page { data, next_cursor: next.map(cursor) }))
}

/// The command under this key, if it is among what is wanted. Its id is computed, so nothing is searched.
async fn one(state: &State, wanted: &Wanted, key: &str) -> Result<Vec<Resource>, Problem> {
    let id = CommandId::compute(&state.app.server_key, wanted.client, wanted.kind, key);
    let Found::Command(view) = query::find(&state.app, wanted.client, wanted.kind, id).await? else {
        return Ok(Vec::new());
    };
    let resource = view.resource;
    let fits = wanted.status.is_none_or(|status| status == resource.status)
        && wanted.created_from.is_none_or(|from| resource.created_at >= from)
        && wanted.created_before.is_none_or(|before| resource.created_at < before);
    Ok(if fits { vec![resource] } else { Vec::new() })
}

pub(crate) fn read(
    client: ClientNo,
    kind: Kind,
    parameters: Vec<(String, String)>,
) -> Result<(Wanted, Option<String>), String> {
    let mut wanted = Wanted {
        client,
        kind,
        status: None,
        created_from: None,
        created_before: None,
        after: None,
        limit: DEFAULT_LIMIT,
    };
    let mut key = None;
    for (name, value) in parameters {
        match name.as_str() {
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                wanted.limit = limit.ok_or(format!("limit must be a number from 1 to {MAX_LIMIT}"))?;
            }
            "cursor" => wanted.after = Some(place(&value).ok_or("cursor is not one of ours")?),
            "status" => {
                wanted.status = Some(Status::from_name(&value).ok_or("status is not one that a command can have")?)
            }
            "createdFrom" => wanted.created_from = Some(time(&value).ok_or("createdFrom must be an RFC 3339 time")?),
            "createdBefore" => {
                wanted.created_before = Some(time(&value).ok_or("createdBefore must be an RFC 3339 time")?);
            }
            "key" => key = Some(value),
            _ => return Err(format!("{name} is not a known parameter")),
        }
    }
    Ok((wanted, key))
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    // Nobody has a command from before, and Postgres does not have all the years.
    Some(time.max(DateTime::UNIX_EPOCH))
}

pub(crate) fn cursor(place: Place) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", place.created_at.timestamp_micros(), place.no.0))
}

pub(crate) fn place(cursor: &str) -> Option<Place> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (micros, no) = text.split_once('.')?;
    // Of years that Postgres has too.
    let micros = micros.parse().ok().filter(|micros| (0..MAX_MICROS).contains(micros))?;
    let created_at = DateTime::from_timestamp_micros(micros)?;
    Some(Place { created_at, no: CommandNo(no.parse().ok()?) })
}
