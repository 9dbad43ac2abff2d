//! `/docs`: a page that shows the document. Everything that it needs comes from this binary: no request leaves for
//! another host.

use crate::error::Problem;
use crate::path::Named;
use axum::response::{Html, IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE};

/// Nothing but what stands below. Swagger UI writes styles into its elements and shows its icons as data.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PAGE: &str = r##"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Holdfast</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"##;

/// `validatorUrl`: without it, the page would ask a server of somebody else's about this one.
const START: &[u8] = br##"SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"##;

/// Swagger UI 5.32.6, compressed as `assets/README.md` says.
const BUNDLE: &[u8] = include_bytes!("../../assets/swagger-ui-bundle.js.gz");
const STYLE: &[u8] = include_bytes!("../../assets/swagger-ui.css.gz");

pub(super) async fn page() -> impl IntoResponse {
    ([(CONTENT_SECURITY_POLICY, POLICY)], Html(PAGE))
}

pub(super) async fn file(Named(name): Named<String>) -> Result<Response, Problem> {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    match name.as_str() {
        "start.js" => Ok(([(CONTENT_TYPE, SCRIPT)], START).into_response()),
        "swagger-ui-bundle.js" => Ok(compressed(SCRIPT, BUNDLE)),
        "swagger-ui.css" => Ok(compressed("text/css; charset=utf-8", STYLE)),
        _ => Err(Problem::NotFound),
    }
}

/// Every browser takes gzip: there is no other form of it.
fn compressed(kind: &'static str, body: &'static [u8]) -> Response {
    let headers = [(CONTENT_TYPE, kind), (CONTENT_ENCODING, "gzip"), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, body).into_response()
}
