//! What answers hold, field by field, and the vocabulary that schemas are written with.

use super::examples;
use holdfast_domain::json::MAX_VIOLATIONS;
use holdfast_domain::progress::PartnerState;
use holdfast_domain::status::Step;
use holdfast_domain::{Kind, Status};
use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ArrayItems, ObjectBuilder, OneOfBuilder, Ref, Schema, SchemaFormat, Type,
};

pub(super) type Field = (&'static str, RefOr<Schema>);
pub(super) type Component = (String, RefOr<Schema>);

/// Every partner's state, and every status, as it is written in JSON.
const PARTNER_STATES: [PartnerState; 6] = [
    PartnerState::Open,
    PartnerState::Unknown,
    PartnerState::Accepted,
    PartnerState::Completed,
    PartnerState::Failed,
    PartnerState::Rejected,
];
const CALLBACK_STATES: [&str; 4] = ["owed", "delivered", "given_up", "superseded"];

/// Every schema of what we answer.
pub(super) fn schemas() -> Vec<Component> {
    let mut schemas: Vec<Component> = vec![
        ("Status".to_owned(), status().into()),
        ("Accepted".to_owned(), accepted().into()),
        ("Issued".to_owned(), issued().into()),
        ("Links".to_owned(), links().into()),
        ("Reason".to_owned(), reason().into()),
        ("Partner".to_owned(), partner().into()),
        ("Trail".to_owned(), data(reference("Event")).into()),
        ("Event".to_owned(), event().into()),
        ("Callbacks".to_owned(), data(reference("Callback")).into()),
        ("Callback".to_owned(), callback().into()),
        ("Attempt".to_owned(), attempt().into()),
        ("Endpoint".to_owned(), endpoint().into()),
        ("Secret".to_owned(), object([field("secret", secret())], []).into()),
        ("Tested".to_owned(), tested().into()),
        ("Problem".to_owned(), problem().into()),
        ("Violation".to_owned(), violation().into()),
        ("Tombstone".to_owned(), tombstone().into()),
    ];
    for kind in Kind::ALL {
        schemas.push((title(kind).to_owned(), command(kind).into()));
        schemas.push((format!("{}Page", title(kind)), page(kind).into()));
    }
    schemas
}

/// As names of schemas and operations have it.
pub(super) const fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Transaction => "Transaction",
        Kind::Refund => "Refund",
        Kind::Order => "Order",
    }
}

// The vocabulary.

pub(super) fn reference(name: &str) -> Ref {
    Ref::from_schema_name(name)
}

pub(super) fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

pub(super) fn integer() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer)
}

pub(super) fn formatted(format: &str) -> ObjectBuilder {
    string().format(Some(SchemaFormat::Custom(format.to_owned())))
}

/// One of these words.
pub(super) fn words<S: Into<serde_json::Value>>(words: impl IntoIterator<Item = S>) -> ObjectBuilder {
    string().enum_values(Some(words))
}

pub(super) fn list(of: impl Into<ArrayItems>) -> ArrayBuilder {
    ArrayBuilder::new().items(of)
}

pub(super) fn or_null(schema: impl Into<RefOr<Schema>>) -> OneOfBuilder {
    OneOfBuilder::new().item(schema).item(ObjectBuilder::new().schema_type(Type::Null))
}

pub(super) fn field(name: &'static str, schema: impl Into<RefOr<Schema>>) -> Field {
    (name, schema.into())
}

/// An object that always has the first of these fields and may have the others.
pub(super) fn object(always: impl IntoIterator<Item = Field>, maybe: impl IntoIterator<Item = Field>) -> ObjectBuilder {
    let object = always
        .into_iter()
        .fold(ObjectBuilder::new(), |object, (name, schema)| object.property(name, schema).required(name));
    maybe.into_iter().fold(object, |object, (name, schema)| object.property(name, schema))
}

/// An object that has no other fields.
pub(super) fn closed(object: ObjectBuilder) -> ObjectBuilder {
    object.additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
}

/// A header of an answer. utoipa's own type has no `required`.
pub(super) fn header(description: &str, always: bool) -> Header {
    let header = HeaderBuilder::new().schema(Some(string())).description(Some(description));
    header.extensions(always.then(|| Extensions::from_iter([("required", true)]))).build()
}

fn data(of: Ref) -> ObjectBuilder {
    object([field("data", list(of))], [])
}

fn time(description: &str) -> ObjectBuilder {
    formatted("date-time").description(Some(description))
}

fn text(description: &str) -> ObjectBuilder {
    string().description(Some(description))
}

fn count(description: &str) -> ObjectBuilder {
    integer().minimum(Some(0)).description(Some(description))
}

// Commands.

fn status() -> ObjectBuilder {
    words(Status::ALL.map(Status::name)).description(Some(
        "`completed`, `failed` and `cancelled` are final. `needs_attention` is parked for an operator. `pending` is at \
         a partner that has not decided yet.",
    ))
}

fn accepted() -> ObjectBuilder {
    let always = [
        field("id", formatted("uuid").description(Some("The same for every retry under one key"))),
        field("status", reference("Status")),
        field("createdAt", time("When it was accepted")),
        field("links", reference("Links")),
    ];
    object(always, [])
}

/// Closed, so that no command is taken for one.
fn issued() -> ObjectBuilder {
    let always = [
        field("id", formatted("uuid")),
        field("status", words([Status::Accepted.name()])),
        field("links", reference("Links")),
    ];
    closed(object(always, [])).description(Some("The id was issued, but its command cannot be seen yet"))
}

fn links() -> ObjectBuilder {
    object([field("self", string()), field("events", string()), field("callbacks", string())], [])
}

fn reason() -> ObjectBuilder {
    let code = text(
        "To branch on. `failed`: `expired`, `idempotency_key_reused`, `rejected_by_partner`, `failed_at_partner`, \
         `partner_unavailable`, `resolved_by_operator`; a refund also `transaction_not_found`, `transaction_not_completed`, \
         `refund_currency_mismatch`, `refund_amount_invalid`, `refund_exceeds_transaction`. `needs_attention`: \
         `outcome_unknown`, `partner_mismatch`, `key_lifetime_over`, `settlement_timeout`, `handler_keeps_failing`; a \
         refund also `partly_refunded`. More may follow.",
    );
    object([field("code", code), field("detail", text("To read"))], [])
}

fn partner() -> ObjectBuilder {
    let states = words(PARTNER_STATES.map(|state| json!(state)));
    let always = [
        field("partner", text("Its name")),
        field("state", states),
        field("tries", count("Creations that were answered, or whose answer is lost for good")),
    ];
    let maybe = [field("externalId", text("Its own id of it")), field("detail", text("What it said"))];
    object(always, maybe)
}

/// A command as its client sees it, in answers and in callbacks alike.
fn command(kind: Kind) -> ObjectBuilder {
    let always = [
        field("id", formatted("uuid")),
        field("kind", words([kind.name()])),
        field("status", reference("Status")),
        field("partners", list(reference("Partner"))),
        field("createdAt", time("When it was accepted")),
        field("links", reference("Links")),
    ];
    let steps = words([Step::Record, Step::Submit, Step::Settle].map(Step::name));
    let maybe = [
        field("step", steps.description(Some("The step that the run is at, until it has ended"))),
        field("reason", reference("Reason")),
        field("conflictsWith", formatted("uuid").description(Some("The command that stands under its key"))),
        field("finishedAt", time("When it ended")),
        field("metadata", ObjectBuilder::new().description(Some("As it was sent"))),
        field("expiresAt", time("As it was sent")),
        field("callbackUrl", text("As it was sent")),
    ];
    let (content, more) = content(kind);
    object(always.into_iter().chain(content), maybe.into_iter().chain(more))
        .examples([json!(examples::command(kind, Status::Completed))])
}

/// What of the content is always echoed, and what may be.
fn content(kind: Kind) -> (Vec<Field>, Vec<Field>) {
    let amount = || text("In major units, with all the decimals of the currency");
    match kind {
        Kind::Transaction => (
            vec![field("amount", amount()), field("currency", reference("Currency"))],
            vec![field("transactionId", string()), field("description", string())],
        ),
        Kind::Refund => (
            Vec::new(),
            vec![
                field("refundId", string()),
                field("transactionId", string()),
                field("originalReference", string()),
                field("amount", text("As it was sent, until it is known what is refunded")),
                field("currency", reference("Currency")),
                field("refundReason", text("Why, as it was sent in `reason`")),
            ],
        ),
        Kind::Order => (
            vec![
                field("userId", string()),
                field("productName", string()),
                field("quantity", integer().minimum(Some(1))),
                field("totalPrice", amount()),
                field("currency", reference("Currency")),
            ],
            vec![
                field("orderId", string()),
                field("timestamp", time("As it was sent")),
                field("items", list(ObjectBuilder::new())),
            ],
        ),
    }
}

fn page(kind: Kind) -> ObjectBuilder {
    let next = or_null(string()).description(Some("For `cursor`; null on the last page"));
    let newest = list(reference(title(kind))).description(Some("Newest first"));
    object([field("data", newest), field("nextCursor", next)], [])
}

// The trail.

type Happening = (&'static str, &'static str, Vec<Field>, Vec<Field>);

fn event() -> OneOfBuilder {
    happenings().into_iter().fold(OneOfBuilder::new(), |event, (name, description, always, maybe)| {
        let common = [
            field("sequence", count("Entries of one write share it")),
            field("at", time("When it happened")),
            field("type", words([name])),
        ];
        let state = field("state", reference("Status"));
        let maybe = maybe.into_iter().chain([state]);
        event.item(object(common.into_iter().chain(always), maybe).title(Some(name)).description(Some(description)))
    })
}

fn happenings() -> Vec<Happening> {
    let partner = || field("partner", string());
    let attempt = || field("attempt", integer().minimum(Some(1)));
    let callback = || field("callbackId", string());
    let status = || field("status", reference("Status"));
    let (by, why) = (|| field("by", string()), || field("why", string()));
    let worker = field("worker", integer().format(Some(SchemaFormat::Custom("int64".to_owned()))));
    let taken_over = field("takenOver", ObjectBuilder::new().schema_type(Type::Boolean));
    vec![
        ("accepted", "It was accepted", vec![], vec![]),
        ("claimed", "A worker has taken it in hand", vec![worker, taken_over], vec![]),
        ("recorded", "Its own row was written", vec![], vec![]),
        ("created", "A creation was sent to a partner", answered([partner(), attempt()]), unsure()),
        ("looked_up", "A partner was asked what stands there", answered([partner()]), unsure()),
        ("polled", "A partner was asked how far it is", answered([partner()]), unsure()),
        ("notified", "A webhook of the partner's said how it ended", notified(), vec![]),
        ("waiting", "Nothing is done for a while", vec![field("forMs", count("How long")), why()], vec![]),
        ("finished", "It ended", vec![status()], vec![field("reason", reference("Reason"))]),
        ("rejected", "Its key stood for other content", vec![field("conflictsWith", formatted("uuid"))], vec![]),
        ("cancelled", "By its client, before anything was sent", vec![], vec![]),
        (
            "retried",
            "By an operator, or a partner that has said how it ended: what was parked is carried on",
            vec![by(), why()],
            vec![],
        ),
        ("resolved", "By an operator, who has found out how it ended", vec![status(), by(), why()], vec![]),
        (
            "callback_attempted",
            "The client was told, or not reached",
            answered([callback(), attempt(), status()]),
            unsure().into_iter().chain([field("excerpt", text("How the answer began"))]).collect(),
        ),
        ("callback_given_up", "The client will not be told", vec![callback(), why()], vec![]),
    ]
}

fn notified() -> Vec<Field> {
    vec![
        field("partner", string()),
        field("eventId", string()),
        field("outcome", reference("Status")),
        field("receivedAt", time("When it came")),
    ]
}

/// What came back from somebody else's system: what is always known of it, and what may be.
fn answered(fields: impl IntoIterator<Item = Field>) -> Vec<Field> {
    let answer = [field("outcome", string()), field("tookMs", count("To the answer's status"))];
    fields.into_iter().chain(answer).collect()
}

fn unsure() -> Vec<Field> {
    vec![field("httpStatus", integer().minimum(Some(100)).maximum(Some(999))), field("detail", string())]
}

// Callbacks and the endpoint.

fn callback() -> ObjectBuilder {
    let always = [
        field("id", text("The event's id, the same on every attempt")),
        field("type", text("As in the event")),
        field("sequence", count("Grows with every state of the command")),
        field("state", words(CALLBACK_STATES)),
        field("attempts", list(reference("Attempt"))),
    ];
    object(always, [field("nextAttemptAt", time("Of one that is owed"))])
}

fn attempt() -> ObjectBuilder {
    let always = answered([field("attempt", integer().minimum(Some(1))), field("at", time("When it was made"))]);
    object(always, unsure().into_iter().chain([field("excerpt", text("The first 200 characters of the answer"))]))
}

fn tested() -> ObjectBuilder {
    object(answered([]), unsure().into_iter().chain([field("excerpt", text("The first 200 characters of the answer"))]))
}

fn secret() -> ObjectBuilder {
    string().pattern(Some("^whsec_[A-Za-z0-9+/]+=*$")).description(Some("What callbacks are signed with"))
}

fn endpoint() -> ObjectBuilder {
    object([field("url", string())], [field("secret", secret())])
}

// Problems.

fn problem() -> ObjectBuilder {
    let always = [
        field("type", text("Which problem it is: the path of a page that explains it")),
        field("title", text("The same for every problem of this type")),
        field("status", integer().minimum(Some(400)).maximum(Some(599))),
    ];
    let errors = "Every wrong field, each once, up to a hundred";
    let maybe = [
        field("detail", text("About this one")),
        field("errors", list(reference("Violation")).max_items(Some(MAX_VIOLATIONS)).description(Some(errors))),
        field("archived", reference("Tombstone")),
    ];
    object(always, maybe)
}

fn tombstone() -> ObjectBuilder {
    let ends = [Status::Completed, Status::Failed, Status::Cancelled];
    let always = [
        field("id", formatted("uuid")),
        field("kind", words(Kind::ALL.map(Kind::name))),
        field("status", words(ends.map(Status::name))),
        field("finishedAt", time("When it ended")),
        field("archivedAt", time("Since when the rest is no longer kept")),
    ];
    object(always, []).description(Some("What is left of a command that ended long ago"))
}

fn violation() -> ObjectBuilder {
    let pointer = text("JSON pointer (RFC 6901) into the body; empty for all of it. A very long one ends in `/…`");
    object([field("pointer", pointer), field("detail", string())], [])
}
