//! Pages of other origins: none may call this API but those that are configured.

use crate::envelope::{RATE_LIMIT, RATE_LIMIT_POLICY};
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, LOCATION, RETRY_AFTER};
use std::time::Duration;
use tower_http::cors::CorsLayer;

/// How long a browser may go without asking again.
const MAX_AGE: Duration = Duration::from_secs(3_600);

/// `None`: no origin is. No cookie is ever of any use here, so that none is asked for.
pub(crate) fn layer(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins = origins.iter().map(|origin| HeaderValue::from_str(origin).expect("an origin is visible ASCII"));
    let name = HeaderName::from_static;
    let taken =
        [AUTHORIZATION, CONTENT_TYPE, IF_NONE_MATCH, name("idempotency-key"), name("prefer"), name("traceparent")];
    let told = [
        LOCATION,
        ETAG,
        RETRY_AFTER,
        RATE_LIMIT,
        RATE_LIMIT_POLICY,
        name("holdfast-accepted-by"),
        name("idempotent-replayed"),
        name("preference-applied"),
    ];
    let layer = CorsLayer::new()
        .allow_origin(origins.collect::<Vec<_>>())
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(taken)
        .expose_headers(told)
        .max_age(MAX_AGE);
    Some(layer)
}
