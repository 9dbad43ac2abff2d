//! The style and the script, under names that change with what is in them.

use crate::failure::Failure;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;

const STYLE: &str = include_str!("../assets/console.css");
const SCRIPT: &str = include_str!("../assets/console.js");

pub(crate) static STYLE_PATH: LazyLock<String> = LazyLock::new(|| path(STYLE, "css"));
pub(crate) static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| path(SCRIPT, "js"));

fn path(content: &str, ending: &str) -> String {
    let hash: String = Sha256::digest(content).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("/console/assets/{hash}.{ending}")
}

pub(crate) async fn serve(Path(name): Path<String>) -> Result<Response, Failure> {
    let is = |path: &str| path.ends_with(&format!("/{name}"));
    let (kind, content) = match () {
        () if is(&STYLE_PATH) => ("text/css; charset=utf-8", STYLE),
        () if is(&SCRIPT_PATH) => ("text/javascript; charset=utf-8", SCRIPT),
        () => return Err(Failure::NotFound),
    };
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, content).into_response())
}
