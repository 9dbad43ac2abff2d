//! The routes of `/api/v1/callback-endpoint`.

use super::paths::{answer, body, operation, with_problems};
use super::problems::WITH_A_BODY;
use super::schemas::reference;
use super::told;
use holdfast_domain::Scope;
use holdfast_domain::scope::Subject;
use serde_json::json;
use utoipa::openapi::link::{Link, LinkBuilder};
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, PathItem, PathItemBuilder, PathsBuilder};
use utoipa::openapi::response::Response;

const TAG: &str = "callback endpoint";
const BASE: &str = "/api/v1/callback-endpoint";
const URL: &str = "https://shop.example/callbacks";
const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

pub(super) fn paths(paths: PathsBuilder) -> PathsBuilder {
    let endpoint = PathItemBuilder::new()
        .operation(HttpMethod::Get, show())
        .operation(HttpMethod::Put, set())
        .operation(HttpMethod::Delete, remove());
    paths
        .path(BASE, endpoint.build())
        .path(format!("{BASE}/rotate-secret"), PathItem::new(HttpMethod::Post, rotate_secret()))
        .path(format!("{BASE}/test"), PathItem::new(HttpMethod::Post, test()))
}

fn reading(id: &str, summary: &str) -> OperationBuilder {
    operation(TAG, id, summary, Scope::read(Subject::CallbackEndpoint))
}

fn writing(id: &str, summary: &str) -> OperationBuilder {
    operation(TAG, id, summary, Scope::write(Subject::CallbackEndpoint))
}

fn link(id: &str) -> Link {
    LinkBuilder::new().operation_id(id).build()
}

fn show() -> Operation {
    with_problems(reading("showCallbackEndpoint", "Where you are told"), ["not-found"])
        .response("200", answer("The standing endpoint", reference("Endpoint"), Some(json!({ "url": URL }))))
        .build()
}

fn set() -> Operation {
    let slugs = WITH_A_BODY.into_iter().chain(["invalid-content"]);
    let example = json!({ "url": URL, "secret": SECRET });
    let set = answer("Set. With the `secret`, if there was none before", reference("Endpoint"), Some(example))
        .link("show", link("showCallbackEndpoint"))
        .link("test", link("testCallbackEndpoint"))
        .link("remove", link("removeCallbackEndpoint"));
    with_problems(writing("setCallbackEndpoint", "Set where you are told"), slugs)
        .description(Some("Callbacks of commands that name no `callbackUrl` go there from now on."))
        .request_body(Some(body("EndpointRequest", [("shop".to_owned(), json!({ "url": URL }))])))
        .response("200", set)
        .callbacks_from_iter(told::callbacks())
        .build()
}

fn remove() -> Operation {
    writing("removeCallbackEndpoint", "Be told no more")
        .description(Some("Callbacks of commands that name no `callbackUrl` go nowhere from now on."))
        .response("204", Response::new("There is none, now or since before"))
        .build()
}

fn rotate_secret() -> Operation {
    writing("rotateCallbackSecret", "Draw a new secret")
        .description(Some("For 24 h the old one signs too."))
        .response(
            "200",
            answer("The new one. It is shown once", reference("Secret"), Some(json!({ "secret": SECRET }))),
        )
        .build()
}

fn test() -> Operation {
    let example = json!({ "outcome": "delivered", "httpStatus": 204, "tookMs": 12 });
    with_problems(writing("testCallbackEndpoint", "Send a `callback_endpoint.test` event"), ["not-found"])
        .description(Some("200 whatever the endpoint made of it."))
        .response("200", answer("What the endpoint made of it", reference("Tested"), Some(example)))
        .build()
}
