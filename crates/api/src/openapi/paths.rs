//! Every route. One function for each, in the order of `server.rs`.

use super::problems::{self, WITH_A_KEY};
use super::schemas::{formatted, header, integer, reference, string, words};
use super::{API_KEY, SIGNATURE, commands, endpoint, events, examples, requests};
use crate::routes::lists::{DEFAULT_LIMIT, MAX_LIMIT};
use holdfast_domain::event::VERSION;
use holdfast_domain::{Kind, Scope, Status};
use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Ref, RefOr, Required, Schema};

pub(super) const JSON: &str = "application/json";

pub(super) fn paths() -> PathsBuilder {
    let kinds = Kind::ALL.into_iter().fold(PathsBuilder::new(), commands::paths);
    endpoint::paths(kinds)
        .path("/api/v1/webhooks/{partner}", PathItem::new(HttpMethod::Post, receive()))
        .path("/livez", PathItem::new(HttpMethod::Get, livez()))
        .path("/readyz", PathItem::new(HttpMethod::Get, readyz()))
        .path("/openapi.json", PathItem::new(HttpMethod::Get, document()))
        .path("/docs", PathItem::new(HttpMethod::Get, docs()))
        .path("/problems/{slug}", PathItem::new(HttpMethod::Get, problem()))
        .path("/schemas/events/{version}/{file}", PathItem::new(HttpMethod::Get, event_schema()))
}

// What operations are made of.

/// An operation that an API key with this scope opens, with the answers that all of these have.
pub(super) fn operation(tag: &str, id: &str, summary: &str, scope: Scope) -> OperationBuilder {
    // OpenAPI 3.1 has the scopes of every scheme here, not only those of OAuth.
    let security = SecurityRequirement::new(API_KEY, [scope.to_string()]);
    with_problems(bare(tag, id, summary), WITH_A_KEY).security(security)
}

/// An operation that is open to everybody.
fn open(tag: &str, id: &str, summary: &str) -> OperationBuilder {
    bare(tag, id, summary).securities(Some(Vec::<SecurityRequirement>::new()))
}

fn bare(tag: &str, id: &str, summary: &str) -> OperationBuilder {
    OperationBuilder::new().tag(tag).operation_id(Some(id)).summary(Some(summary))
}

/// Problems of one status must be given together: they share an answer.
pub(super) fn with_problems(
    operation: OperationBuilder,
    slugs: impl IntoIterator<Item = &'static str>,
) -> OperationBuilder {
    let responses = problems::responses(slugs);
    responses.into_iter().fold(operation, |operation, (status, response)| operation.response(status, response))
}

/// An answer of JSON.
pub(super) fn answer(description: &str, schema: impl Into<RefOr<Schema>>, example: Option<Value>) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(schema)).example(example);
    ResponseBuilder::new().description(description).content(JSON, content)
}

/// A body of JSON, with examples that have names.
pub(super) fn body(schema: &str, examples: impl IntoIterator<Item = (String, Value)>) -> RequestBody {
    let examples = examples.into_iter().map(|(name, value)| (name, ExampleBuilder::new().value(Some(value))));
    let content = ContentBuilder::new().schema(Some(reference(schema))).examples_from_iter(examples);
    RequestBodyBuilder::new().required(Some(Required::True)).content(JSON, content).build()
}

/// `Cache-Control: private, no-cache`
pub(super) fn uncached(response: ResponseBuilder) -> ResponseBuilder {
    response.header("Cache-Control", header("`private, no-cache`", false))
}

// Parameters.

pub(super) fn parameter(name: &str) -> Ref {
    Ref::new(format!("#/components/parameters/{name}"))
}

/// Those that more than one operation takes.
pub(super) fn parameters() -> Vec<Parameter> {
    vec![
        path("id", "The command's id", formatted("uuid")),
        path("callback", "The event's id", string().min_length(Some(1))),
        request_header("Idempotency-Key", KEY, requests::header_key()),
        request_header("Prefer", WAIT, string().examples(["wait=2"])),
        request_header("If-None-Match", NONE_MATCH, string().examples(["W/\"3-completed\""])),
        request_header("traceparent", TRACE, string()),
        query(
            "limit",
            "How many at most",
            integer().minimum(Some(1)).maximum(Some(MAX_LIMIT)).default(Some(json!(DEFAULT_LIMIT))),
        ),
        query("cursor", "A `nextCursor`: the page that follows", string().pattern(Some("^[A-Za-z0-9_-]+$"))),
        query("status", "Those that stand so", words(Status::ALL.map(Status::name))),
        query("createdFrom", "Those accepted at or after this time", formatted("date-time")),
        query("createdBefore", "Those accepted before this time", formatted("date-time")),
        query("key", "The one that this identifies: its own id, or its `Idempotency-Key`", string()),
    ]
}

const KEY: &str = "What makes a retry safe, where the body has no id of its own: 1 to 255 visible ASCII \
                   characters, bare or in double quotes. Beside an own id it is recorded only.";
const WAIT: &str = "`wait=N` (RFC 7240): holds the answer up to N s, at most 60, until the command is settled; with \
                    `If-None-Match`, until it has changed. What cannot be read is ignored.";
const NONE_MATCH: &str = "An `ETag` of an answer before: 304 if the command has not changed since";
const TRACE: &str =
    "W3C Trace Context: stored, and passed on to SQS, partners and callbacks. Dropped if it is malformed.";

fn path(name: &str, description: &str, schema: ObjectBuilder) -> Parameter {
    made(name, ParameterIn::Path, description, schema)
}

fn query(name: &str, description: &str, schema: ObjectBuilder) -> Parameter {
    made(name, ParameterIn::Query, description, schema)
}

fn request_header(name: &str, description: &str, schema: ObjectBuilder) -> Parameter {
    made(name, ParameterIn::Header, description, schema)
}

/// Required if it is a part of the path, and only then.
fn made(name: &str, place: ParameterIn, description: &str, schema: ObjectBuilder) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(Required::False);
    parameter.description(Some(description)).schema(Some(schema)).build()
}

// Routes that are not the clients'.

fn receive() -> Operation {
    let description = "Signed after Standard Webhooks, or in a header of the partner's own, as is configured; then the \
                       body names the event. Each event is stored once. A final status ends the polling at once; early \
                       ones wait for the command, late and repeated ones are harmless. Any answer but 200 means that it was \
                       not stored and should be sent again.";
    let slugs = [
        "unparseable-body",
        "webhook-not-authentic",
        "not-found",
        "request-timeout",
        "payload-too-large",
        "internal",
        "unavailable",
        "overloaded",
    ];
    let example = json!({ "id": examples::id(), "status": "completed" });
    with_problems(bare("partners", "receiveWebhook", "A partner says how far it is"), slugs)
        .description(Some(description))
        .security(SecurityRequirement::new(SIGNATURE, Vec::<String>::new()))
        .parameter(path("partner", "The partner's name in the configuration", string().min_length(Some(1))))
        .parameter(request_header("webhook-id", "Names the event", string()))
        .parameter(request_header("webhook-timestamp", "Seconds since the epoch, at most 5 min from now", string()))
        .request_body(Some(body("PartnerUpdate", [("completed".to_owned(), example)])))
        .response("200", plain("Stored: it need not be repeated", "stored"))
        .build()
}

fn livez() -> Operation {
    open("health", "livez", "Whether the process is alive")
        .description(Some("Looks at nothing else: restarting it would not mend Postgres"))
        .response("200", plain("It is", "ok"))
        .build()
}

fn readyz() -> Operation {
    with_problems(open("health", "readyz", "Whether to send requests here"), ["unavailable"])
        .description(Some(
            "Not before the schema was found to be the binary's, and not while stopping. Outages do not count",
        ))
        .response("200", plain("Yes", "ok"))
        .build()
}

fn document() -> Operation {
    open("about", "openapi", "This document").response("200", answer("OpenAPI 3.1", ObjectBuilder::new(), None)).build()
}

fn docs() -> Operation {
    open("about", "docs", "A page that shows this document").response("200", html("The page")).build()
}

fn problem() -> Operation {
    with_problems(open("about", "problem", "What a type of problem means"), ["not-found"])
        .parameter(path("slug", "What follows `/problems/` in its `type`", words(problems::slugs())))
        .response("200", html("When it is met, and what to do then"))
        .build()
}

fn event_schema() -> Operation {
    let content = ContentBuilder::new().schema(Some(ObjectBuilder::new()));
    let found = ResponseBuilder::new().description("JSON Schema").content(events::CONTENT, content);
    let files = Kind::ALL.map(|kind| format!("{kind}.json"));
    with_problems(open("about", "eventSchema", "What the data of events for other services looks like"), ["not-found"])
        .parameter(path("version", "Of the schema", words([VERSION.to_string()])))
        .parameter(path("file", "Which kind of command", words(files)))
        .response("200", found)
        .build()
}

fn plain(description: &str, example: &str) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(string())).example(Some(json!(example)));
    ResponseBuilder::new().description(description).content("text/plain", content)
}

fn html(description: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(description).content("text/html", ContentBuilder::new().schema(Some(string())))
}
