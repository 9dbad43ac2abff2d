//! What clients are told, and how: the events that go to the `callbackUrl` of a command (callbacks, in OpenAPI's words)
//! and to a client's standing endpoint (webhooks).

use super::schemas::{Component, field, formatted, object, reference, string, title, words};
use super::{SIGNATURE, examples};
use holdfast_domain::cloud_event::CONTENT_TYPE;
use holdfast_domain::{Kind, Status};
use serde_json::json;
use std::collections::BTreeMap;
use utoipa::openapi::Required;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{
    Callback, HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::security::SecurityRequirement;

/// The states that clients are told of.
const TOLD: [Status; 5] =
    [Status::Pending, Status::Completed, Status::Failed, Status::Cancelled, Status::NeedsAttention];

/// Every schema of what we send.
pub(super) fn schemas() -> Vec<Component> {
    let of_kind = |kind| -> Component { (name(kind), event(kind).into()) };
    let test: Component = ("TestEvent".to_owned(), test_event().into());
    Kind::ALL.map(of_kind).into_iter().chain([test]).collect()
}

/// To a command's own `callbackUrl`.
pub(super) fn callback(kind: Kind) -> Callback {
    to("{$request.body#/callbackUrl}", tell(kind))
}

/// To the endpoint that is being set.
pub(super) fn callbacks() -> impl Iterator<Item = (&'static str, Callback)> {
    let url = "{$request.body#/url}";
    let told = Kind::ALL.into_iter().map(move |kind| (kind.name(), to(url, tell(kind))));
    told.chain([("test", to(url, test()))])
}

/// To the endpoint that was set before.
pub(super) fn webhooks() -> PathsBuilder {
    let webhooks = Kind::ALL.into_iter().fold(PathsBuilder::new(), |webhooks, kind| {
        let operation = tell(kind).operation_id(Some(format!("tell{}", title(kind))));
        webhooks.path(kind.name(), PathItem::new(HttpMethod::Post, operation))
    });
    let operation = test().operation_id(Some("tellTest"));
    webhooks.path("callback_endpoint.test", PathItem::new(HttpMethod::Post, operation))
}

fn to(expression: &str, operation: OperationBuilder) -> Callback {
    BTreeMap::from([(expression.to_owned(), PathItem::new(HttpMethod::Post, operation).into())])
}

fn name(kind: Kind) -> String {
    format!("{}CloudEvent", title(kind))
}

fn tell(kind: Kind) -> OperationBuilder {
    let content = ContentBuilder::new().schema(Some(reference(&name(kind)))).example(Some(examples::event(kind)));
    told(body(content)).summary(Some(format!("Where a {kind} stands"))).description(Some(
        "The end of a command, and before it that it is pending, if its partner has not decided at once. What is told \
         is the state of the moment: keep the highest `sequence` and never go backwards. The same event may come twice, \
         with the same `webhook-id`.",
    ))
}

fn test() -> OperationBuilder {
    let content = ContentBuilder::new().schema(Some(reference("TestEvent")));
    told(body(content))
        .summary(Some("An event that means nothing"))
        .description(Some("Sent once, on request. Not repeated."))
}

fn told(body: RequestBody) -> OperationBuilder {
    OperationBuilder::new()
        .parameters(Some(headers()))
        .request_body(Some(body))
        .securities(Some([SecurityRequirement::new(SIGNATURE, Vec::<String>::new())]))
        .response("2XX", Response::new("Heard. It is not told again"))
        .response("410", Response::new("Wants no more of this. It is not told again"))
        .response(
            "default",
            Response::new(
                "Anything else, a redirect too, or no answer within 10 s: tried again after 5 s, 5 min, 30 min, 2 h, \
                 5 h, 10 h, 10 h, 12 h, 12 h and 24 h, each ± 20 %, or later where `Retry-After` asks for it, by at most \
                 an hour",
            ),
        )
}

fn body(content: ContentBuilder) -> RequestBody {
    RequestBodyBuilder::new().required(Some(Required::True)).content(CONTENT_TYPE, content).build()
}

fn headers() -> [Parameter; 4] {
    let header = |name: &str, description: &str, required| {
        let header = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).schema(Some(string()));
        header.description(Some(description)).required(required).build()
    };
    let signature = "`v1,` and the base64 of the HMAC-SHA256 over `webhook-id.webhook-timestamp.body`, for each valid \
                     secret one, separated by spaces";
    [
        header(
            "webhook-id",
            "The event's id, the same on every retry, by which duplicates are dropped",
            Required::True,
        ),
        header("webhook-timestamp", "Seconds since the epoch. Refuse what is far from your own clock", Required::True),
        header("webhook-signature", signature, Required::True),
        header("traceparent", "W3C Trace Context, if the submission had one", Required::False),
    ]
}

/// CloudEvents 1.0 in structured mode: `domain/src/cloud_event.rs`.
fn event(kind: Kind) -> ObjectBuilder {
    let own = TOLD.into_iter().map(|status| format!("{kind}.{status}"));
    let types = words(own.chain(["request.rejected".to_owned()]));
    let always = [
        field("specversion", words(["1.0"])),
        field("id", string().description(Some("As `webhook-id`"))),
        field("source", words(["/holdfast"])),
        field("type", types.description(Some("`request.rejected`: its key stood for other content"))),
        field("subject", formatted("uuid").description(Some("The command's id"))),
        field("sequence", string().description(Some("Grows with every state of the command"))),
        field("datacontenttype", words(["application/json"])),
        field("data", reference(title(kind))),
    ];
    object(always, [field("time", formatted("date-time").description(Some("When it ended, if it has")))])
}

fn test_event() -> ObjectBuilder {
    let always = [
        field("specversion", words(["1.0"])),
        field("id", string()),
        field("source", words(["/holdfast"])),
        field("type", words(["callback_endpoint.test"])),
        field("subject", words(["callback-endpoint"])),
        field("time", formatted("date-time")),
        field("datacontenttype", words(["application/json"])),
        field("data", ObjectBuilder::new()),
    ];
    object(always, []).examples([json!({
        "specversion": "1.0",
        "id": "evt_test_0123456789abcdef0123456789abcdef",
        "source": "/holdfast",
        "type": "callback_endpoint.test",
        "subject": "callback-endpoint",
        "time": "2026-01-31T12:00:00Z",
        "datacontenttype": "application/json",
        "data": {},
    })])
}
