//! The routes that every kind of command has.

use super::paths::{answer, body, operation, parameter, uncached, with_problems};
use super::problems::{WITH_A_BODY, rate_limit};
use super::schemas::{header, reference, title};
use super::{examples, told};
use holdfast_domain::{Kind, Scope, Status};
use serde_json::{Value, json};
use utoipa::openapi::link::{Link, LinkBuilder};
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, PathItem, PathsBuilder};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::OneOfBuilder;

pub(super) fn paths(paths: PathsBuilder, kind: Kind) -> PathsBuilder {
    let base = format!("/api/v1/{}", kind.plural());
    let one = |rest: &str| format!("{base}/{{id}}{rest}");
    let get = |operation| PathItem::new(HttpMethod::Get, operation);
    let post = |operation| PathItem::new(HttpMethod::Post, operation);
    paths
        .path(&base, post(submit(kind)))
        .path(&base, get(list(kind)))
        .path(one(""), get(show(kind)))
        .path(one("/cancel"), post(cancel(kind)))
        .path(one("/events"), get(events(kind)))
        .path(one("/callbacks"), get(callbacks(kind)))
        .path(one("/callbacks/{callback}/resend"), post(resend(kind)))
}

/// Of an operation: `submitTransaction`.
fn id(verb: &str, kind: Kind) -> String {
    format!("{verb}{}", title(kind))
}

fn reading(verb: &str, kind: Kind, summary: &str) -> OperationBuilder {
    operation(kind.plural(), &id(verb, kind), summary, Scope::read(kind))
}

fn writing(verb: &str, kind: Kind, summary: &str) -> OperationBuilder {
    operation(kind.plural(), &id(verb, kind), summary, Scope::write(kind))
}

/// About one command.
fn about_one(operation: OperationBuilder) -> OperationBuilder {
    with_problems(operation, ["not-found", "archived"]).parameter_ref(parameter("id"))
}

/// To what can be done with the command next.
fn link(verb: &str, kind: Kind, parameters: &[(&str, &str)]) -> Link {
    let link = LinkBuilder::new().operation_id(id(verb, kind));
    parameters.iter().fold(link, |link, (name, value)| link.parameter(*name, *value)).build()
}

/// The id is that of the request.
const SAME: [(&str, &str); 1] = [("id", "$request.path.id")];

fn submit(kind: Kind) -> Operation {
    let own = [
        "idempotency-key-missing",
        "idempotency-key-malformed",
        "invalid-content",
        "idempotency-key-reused",
        "archived",
    ];
    let slugs = WITH_A_BODY.into_iter().chain(own);
    let bodies = examples::bodies(kind).iter().map(|(name, body)| {
        let body = serde_json::from_str(body).expect("an example is JSON");
        ((*name).to_owned(), body)
    });
    let description = "A retry under the same key with the same content answers the same id and the present status; long after \
                       the end it is a 410, and never another command. An own id in the body or an `Idempotency-Key` is \
                       required. Never send card data: text that looks like a card number is refused, and so is an id or \
                       a key that is nothing but such a number, of 15 or 16 digits. Where ids are counted up, a letter in \
                       front avoids that.";
    with_problems(writing("submit", kind, &format!("Submit a {kind}")), slugs)
        .description(Some(description))
        .parameter_ref(parameter("Idempotency-Key"))
        .parameter_ref(parameter("traceparent"))
        .request_body(Some(body(&id_of_request(kind), bodies)))
        .response("202", accepted(kind))
        .callback("told", told::callback(kind))
        .build()
}

fn id_of_request(kind: Kind) -> String {
    format!("{}Request", title(kind))
}

fn accepted(kind: Kind) -> ResponseBuilder {
    let new = [("id", "$response.body#/id")];
    let by = "What it rests on: a row in Postgres (`database`), or a message in SQS (`queue`)";
    let accepted = answer("Accepted, now or before", reference("Accepted"), Some(examples::accepted(kind)));
    let accepted = rate_limit().into_iter().fold(accepted, |accepted, (name, header)| accepted.header(name, header));
    accepted
        .header("Location", header("The command", true))
        .header("Holdfast-Accepted-By", header(by, true))
        .header("Idempotent-Replayed", header("`true`, if it was accepted before", false))
        .link("show", link("show", kind, &new))
        .link("cancel", link("cancel", kind, &new))
        .link("events", link("trail", kind, &new))
        .link("callbacks", link("callbacksOf", kind, &new))
}

fn list(kind: Kind) -> Operation {
    let first = [("id", "$response.body#/data/0/id")];
    let next = [("cursor", "$response.body#/nextCursor")];
    let example = json!({ "data": [examples::command(kind, Status::Completed)], "nextCursor": Value::Null });
    let page = answer("One page, newest first", reference(&format!("{}Page", title(kind))), Some(example))
        .link("next", link("list", kind, &next))
        .link("show", link("show", kind, &first));
    let operation = with_problems(reading("list", kind, &format!("List your {}", kind.plural())), ["invalid-query"])
        .description(Some(
            "Pages are stable under inserts. A list ends where the archive begins: what was accepted before is found by \
             its id, and, as long as it has not ended, by its status. An unknown parameter is an error.",
        ))
        .response("200", page);
    let names = ["limit", "cursor", "status", "createdFrom", "createdBefore", "key"];
    names.into_iter().fold(operation, |operation, name| operation.parameter_ref(parameter(name))).build()
}

fn show(kind: Kind) -> Operation {
    let applied = || header("The wait that was granted", false);
    let found = OneOfBuilder::new().item(reference(title(kind))).item(reference("Issued"));
    let found = answer("Where it stands", found, Some(json!(examples::command(kind, Status::Completed))));
    let found = uncached(found)
        .header("ETag", header("Changes with every write and every change of status, and only then", false))
        .header("Preference-Applied", applied())
        .header("Retry-After", header("If the id was issued, but its command cannot be seen yet", false))
        .link("events", link("trail", kind, &SAME))
        .link("callbacks", link("callbacksOf", kind, &SAME))
        .link("cancel", link("cancel", kind, &SAME));
    let unchanged = uncached(ResponseBuilder::new().description("It has not changed"))
        .header("ETag", header("That of the request", true))
        .header("Preference-Applied", applied());
    about_one(reading("show", kind, &format!("Where a {kind} stands")))
        .parameter_ref(parameter("Prefer"))
        .parameter_ref(parameter("If-None-Match"))
        .response("200", found)
        .response("304", unchanged)
        .build()
}

fn cancel(kind: Kind) -> Operation {
    let example = json!(examples::command(kind, Status::Cancelled));
    let cancelled = uncached(answer("Cancelled, now or before", reference(title(kind)), Some(example)))
        .header("ETag", header("As of `show`", true))
        .link("show", link("show", kind, &SAME));
    with_problems(about_one(writing("cancel", kind, &format!("Cancel a {kind}"))), ["not-cancellable"])
        .description(Some("Ends a command of which nobody has hold and nothing was sent to any partner."))
        .response("200", cancelled)
        .build()
}

fn events(kind: Kind) -> Operation {
    let example = json!({ "data": [
        { "sequence": 0, "at": "2026-01-31T12:00:00Z", "type": "accepted" },
        { "sequence": 3, "at": "2026-01-31T12:00:00.18Z", "type": "finished", "status": "completed" },
    ]});
    about_one(reading("trail", kind, &format!("What happened to a {kind}")))
        .response("200", uncached(answer("The audit trail, oldest first", reference("Trail"), Some(example))))
        .build()
}

fn callbacks(kind: Kind) -> Operation {
    let resend = [("id", "$request.path.id"), ("callback", "$response.body#/data/0/id")];
    let example = json!({ "data": [examples::callback(kind)] });
    let told = uncached(answer("What you were told, oldest first", reference("Callbacks"), Some(example)))
        .link("resend", link("resendCallbackOf", kind, &resend));
    let summary = format!("What you were told about a {kind}");
    about_one(reading("callbacksOf", kind, &summary)).response("200", told).build()
}

fn resend(kind: Kind) -> Operation {
    let owed = answer("Owed once more", reference("Callback"), Some(examples::callback(kind)))
        .link("callbacks", link("callbacksOf", kind, &SAME));
    let summary = format!("Be told about a {kind} once more");
    with_problems(about_one(writing("resendCallbackOf", kind, &summary)), ["not-resendable"])
        .description(Some(
            "At once, on a schedule that begins anew, under the same `webhook-id`. Only the present state.",
        ))
        .parameter_ref(parameter("callback"))
        .response("202", owed)
        .build()
}
