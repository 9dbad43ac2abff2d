//! What this API takes and answers, as an OpenAPI 3.1 document: built from the constants, enums and types that the code
//! itself uses. Must not read configuration: the same document is committed as `crates/api/openapi.json`.

pub mod asyncapi;
mod commands;
mod docs;
mod endpoint;
mod events;
mod examples;
mod paths;
mod problems;
mod requests;
mod schemas;
mod told;
mod yaml;

use crate::error::Problem;
use crate::path::Named;
use crate::state::State;
use axum::Router;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use bytes::Bytes;
use holdfast_domain::Scopes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::openapi::info::{InfoBuilder, LicenseBuilder};
use utoipa::openapi::schema::ComponentsBuilder;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Components, Info, OpenApi, OpenApiBuilder, Tag};

/// Names of the security schemes.
const API_KEY: &str = "apiKey";
const SIGNATURE: &str = "webhookSignature";

/// Whom an operation is for.
const TAGS: [(&str, &str); 7] = [
    ("transactions", "Money that is taken from somebody."),
    ("refunds", "Money that is given back, wholly or in part."),
    ("orders", "Goods that are ordered."),
    ("callback endpoint", "Where a client is told, and the secret that says it is us."),
    ("partners", "What third parties tell us."),
    ("health", "For load balancers and container runtimes."),
    ("about", "This document, and what the types of problems mean."),
];

/// The whole document.
pub(crate) fn document() -> OpenApi {
    OpenApiBuilder::new()
        .info(info())
        .paths(paths::paths())
        .webhooks(Some(told::webhooks()))
        .components(Some(components()))
        .security(Some([SecurityRequirement::new(API_KEY, Vec::<String>::new())]))
        .tags(Some(TAGS.map(tag)))
        .build()
}

/// As it is served, committed and printed by `holdfast-api openapi`. Ends with a line feed.
pub fn json() -> String {
    let document = serde_json::to_value(document()).expect("the document serialises");
    format!("{:#}\n", sorted(document))
}

/// By name: whether maps keep another order is for whoever else uses `serde_json` in the same build.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<_, _> = members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            members.into_iter().collect()
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        simple => simple,
    }
}

/// The document, a page that shows it, and a page for each type of problem. Open to everybody.
pub(crate) fn router() -> Router<State> {
    let document = Bytes::from(json());
    let answer = move || {
        let document = document.clone();
        async move { ([(CONTENT_TYPE, "application/json")], document) }
    };
    let files = events::Files::make();
    let schema = move |Named((version, file)): Named<(String, String)>| {
        let found = files.serve(&version, &file);
        async move { found }
    };
    Router::new()
        .route("/openapi.json", get(answer))
        .route("/docs", get(docs::page))
        .route("/docs/{file}", get(docs::file))
        .route("/problems/{slug}", get(problem))
        .route("/schemas/events/{version}/{file}", get(schema))
}

/// It brings its style along, and nothing else.
async fn problem(Named(slug): Named<String>) -> Result<impl IntoResponse, Problem> {
    const POLICY: &str =
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let page = problems::page(&slug).ok_or(Problem::NotFound)?;
    Ok(([(CONTENT_SECURITY_POLICY, POLICY)], Html(page)))
}

fn info() -> Info {
    InfoBuilder::new()
        .title("Holdfast")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("description.md")))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build()
}

fn tag((name, description): (&str, &str)) -> Tag {
    TagBuilder::new().name(name).description(Some(description)).build()
}

fn components() -> Components {
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas::schemas())
        .schemas_from_iter(requests::schemas())
        .schemas_from_iter(told::schemas())
        .responses_from_iter(problems::components())
        .security_scheme(API_KEY, api_key())
        .security_scheme(SIGNATURE, signature());
    let with_parameters = paths::parameters().into_iter().fold(components, |components, parameter| {
        let name = parameter.name.clone();
        components.parameter(name, parameter)
    });
    with_parameters.build()
}

fn api_key() -> SecurityScheme {
    let description = format!(
        "The API key of a client, as `holdfast clients create` shows it, once. Each operation names the scope that it \
         needs; without it the answer is 403. There are {}. A key has all of them unless it was made with fewer.",
        Scopes::all().names().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    );
    let http = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("hfk_…").description(Some(description));
    SecurityScheme::Http(http.build())
}

fn signature() -> SecurityScheme {
    let description = "Standard Webhooks 1.0: `v1,` and the base64 of the HMAC-SHA256 over `id.timestamp.body`, for \
                       each valid secret one, separated by spaces. A partner may sign in a header of its own instead.";
    SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("webhook-signature", description)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// `cargo run --package holdfast-api -- openapi >crates/api/openapi.json` renews it.
    #[test]
    fn the_committed_document_is_this_one() {
        assert!(json() == include_str!("../../openapi.json"), "crates/api/openapi.json is not up to date");
    }

    #[test]
    fn the_document_is_the_same_every_time() {
        assert_eq!(json(), json());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = serde_json::to_value(document()).expect("serialises");
        let mut references = BTreeSet::new();
        collect(&document, "$ref", &mut references);
        assert!(references.len() > 30);
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_link_leads_to_an_operation() {
        let document = serde_json::to_value(document()).expect("serialises");
        let mut operations = BTreeSet::new();
        for item in document["paths"].as_object().expect("paths").values() {
            for operation in item.as_object().expect("operations").values() {
                let id = operation["operationId"].as_str().expect("an id");
                assert!(operations.insert(id.to_owned()), "{id} is there twice");
            }
        }
        let mut links = Vec::new();
        each(&document, "links", &mut |found| {
            links.extend(found.as_object().into_iter().flatten().map(|(_, l)| l.clone()))
        });
        let targets: BTreeSet<_> = links.iter().filter_map(|link| link["operationId"].as_str()).collect();
        assert!(!targets.is_empty());
        assert!(targets.iter().all(|target| operations.contains(*target)), "{targets:?}");
    }

    fn collect(value: &Value, name: &str, found: &mut BTreeSet<String>) {
        each(value, name, &mut |value| found.extend(value.as_str().map(str::to_owned)));
    }

    fn each(value: &Value, name: &str, visit: &mut impl FnMut(&Value)) {
        match value {
            Value::Object(members) => {
                members.get(name).into_iter().for_each(&mut *visit);
                members.values().for_each(|member| each(member, name, visit));
            }
            Value::Array(items) => items.iter().for_each(|item| each(item, name, visit)),
            _ => {}
        }
    }
}
