//! What clients send, field by field. The rules are those of `holdfast_domain`, with its own limits. What JSON Schema
//! cannot say (decimals by currency, a key in the body or in a header, nesting) stands in descriptions.

use super::schemas::{
    Component, Field, closed, field, formatted, integer, list, object, or_null, reference, string, title, words,
};
use holdfast_domain::command::MAX_KEY_LEN;
use holdfast_domain::money::{Currency, MAX_AMOUNT_LEN, MAX_MINOR};
use holdfast_domain::order::{MAX_ITEMS, MAX_NAME_CHARS, MAX_QUANTITY, MAX_USER_ID_CHARS};
use holdfast_domain::refund::{MAX_REASON_CHARS, MAX_REFERENCE_CHARS};
use holdfast_domain::transaction::MAX_DESCRIPTION_CHARS;
use holdfast_domain::wishes::MAX_CALLBACK_URL_LEN;
use holdfast_domain::{Kind, Status};
use serde_json::json;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};

/// What every string and every name may hold (`domain/src/json.rs`, `refused`).
const TEXT: &str = r"^[^\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]*$";

/// Visible ASCII (`domain/src/command.rs`, `is_key`).
const KEY: &str = "^[!-~]*$";

/// A key in a header: bare, or in double quotes (`api/src/headers.rs`, `idempotency_key`).
const HEADER_KEY: &str = r#"^(?:[!#-~][!-~]{0,254}|"[!-~]{1,255}")$"#;

/// Greater than zero, with as many digits as any currency allows (`domain/src/money.rs`).
const AMOUNT: &str = concat!(
    r"^(?:0*[1-9][0-9]{0,14}(?:\.[0-9]{1,4})?",
    r"|0+\.(?:[1-9][0-9]{0,3}|0[1-9][0-9]{0,2}|00[1-9][0-9]?|000[1-9]))$"
);

/// No more than what is surely wrong: the host is for the URL parser to judge. No `format`: that would be RFC 3986.
const CALLBACK_URL: &str = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s#]+$";

/// What the operator's settings make of it no schema can know.
const CALLBACK_RULE: &str = "An `https` URL of a public address, without user information or fragment, at port 443. The \
    operator may allow other ports, `http`, and addresses that are not public. A name is resolved for each connection: \
    where it leads to such an address alone, the attempt fails and is repeated";

/// Every schema of what we are sent.
pub(super) fn schemas() -> Vec<Component> {
    let mut schemas: Vec<Component> = vec![
        ("Amount".to_owned(), amount().into()),
        ("Currency".to_owned(), words(Currency::all().map(Currency::code)).description(Some("ISO 4217")).into()),
        ("JsonObject".to_owned(), json_object().into()),
        ("JsonValue".to_owned(), json_value().into()),
        ("RefundOfTransaction".to_owned(), refund_of_transaction().into()),
        ("RefundOfReference".to_owned(), refund_of_reference().into()),
        ("EndpointRequest".to_owned(), closed(object([field("url", callback_url())], [])).into()),
        ("PartnerUpdate".to_owned(), partner_update().into()),
    ];
    for kind in Kind::ALL {
        let schema = match kind {
            Kind::Transaction => transaction().into(),
            Kind::Refund => refund().into(),
            Kind::Order => order().into(),
        };
        schemas.push((format!("{}Request", title(kind)), schema));
    }
    schemas
}

/// What a header may say as `Idempotency-Key`.
pub(super) fn header_key() -> ObjectBuilder {
    string().pattern(Some(HEADER_KEY))
}

fn text(min: usize, max: usize) -> ObjectBuilder {
    string().pattern(Some(TEXT)).min_length((min > 0).then_some(min)).max_length(Some(max))
}

fn key(description: &str) -> ObjectBuilder {
    string().pattern(Some(KEY)).min_length(Some(1)).max_length(Some(MAX_KEY_LEN)).description(Some(description))
}

fn own_id() -> OneOfBuilder {
    or_null(key("The client's own id of it: what makes a retry safe. Without it, `Idempotency-Key` is required"))
}

fn callback_url() -> ObjectBuilder {
    string().pattern(Some(CALLBACK_URL)).max_length(Some(MAX_CALLBACK_URL_LEN)).description(Some(CALLBACK_RULE))
}

fn amount() -> OneOfBuilder {
    let text = string().pattern(Some(AMOUNT)).max_length(Some(MAX_AMOUNT_LEN));
    let number = ObjectBuilder::new().schema_type(Type::Number).exclusive_minimum(Some(0)).maximum(Some(MAX_MINOR));
    OneOfBuilder::new().item(text).item(number).examples([json!("12.50"), json!(12.5)]).description(Some(
        "In major units, greater than zero, at most 999,999,999,999,999 minor units, written with no more decimals \
         than the currency has. A number is read as it is written, never as binary floating point: 1.0 has a decimal.",
    ))
}

/// A JSON object of the client's own.
fn json_object() -> ObjectBuilder {
    ObjectBuilder::new()
        .property_names(Some(string().pattern(Some(TEXT))))
        .additional_properties(Some(reference("JsonValue")))
}

fn json_value() -> OneOfBuilder {
    let simple = [Type::Null, Type::Boolean, Type::Number].map(|simple| ObjectBuilder::new().schema_type(simple));
    let value = simple.into_iter().fold(OneOfBuilder::new(), OneOfBuilder::item);
    value.item(string().pattern(Some(TEXT))).item(list(reference("JsonValue"))).item(reference("JsonObject"))
}

/// What a client may say about any command.
fn wishes() -> [Field; 3] {
    let metadata = or_null(reference("JsonObject")).description(Some("Carried and echoed, never interpreted"));
    let expires = "At or after this time no partner is asked to carry it out, unless one already has";
    let callback_url =
        or_null(callback_url()).description(Some("Where its callbacks go, in place of the standing endpoint"));
    [
        field("metadata", metadata),
        field("expiresAt", or_null(formatted("date-time").description(Some(expires)))),
        field("callbackUrl", callback_url),
    ]
}

fn transaction() -> ObjectBuilder {
    let always = [field("amount", reference("Amount")), field("currency", reference("Currency"))];
    let maybe = [field("transactionId", own_id()), field("description", or_null(text(0, MAX_DESCRIPTION_CHARS)))];
    closed(object(always, maybe.into_iter().chain(wishes())))
}

fn refund() -> OneOfBuilder {
    OneOfBuilder::new().item(reference("RefundOfTransaction")).item(reference("RefundOfReference"))
}

/// What both forms of a refund may say.
fn refund_wishes() -> impl Iterator<Item = Field> {
    [field("refundId", own_id()), field("reason", or_null(text(1, MAX_REASON_CHARS)))].into_iter().chain(wishes())
}

fn absent(why: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Null).description(Some(why))
}

fn refund_of_transaction() -> ObjectBuilder {
    let amount = or_null(reference("Amount")).description(Some("Else all that is left of the transaction"));
    let currency = or_null(reference("Currency")).description(Some("Else that of the transaction"));
    let maybe = [
        field("originalReference", absent("Must not stand beside `transactionId`")),
        field("amount", amount),
        field("currency", currency),
    ];
    let always = [field("transactionId", key("The client's own id of the transaction that is refunded"))];
    closed(object(always, maybe.into_iter().chain(refund_wishes()))).title(Some("Of a transaction of ours"))
}

fn refund_of_reference() -> ObjectBuilder {
    let original = text(1, MAX_REFERENCE_CHARS).description(Some("A sale that is not ours"));
    let always = [
        field("originalReference", original),
        field("amount", reference("Amount")),
        field("currency", reference("Currency")),
    ];
    let maybe = [field("transactionId", absent("Must not stand beside `originalReference`"))];
    closed(object(always, maybe.into_iter().chain(refund_wishes()))).title(Some("Of a sale that is not ours"))
}

fn order() -> ObjectBuilder {
    let quantity = integer().minimum(Some(1)).maximum(Some(MAX_QUANTITY)).description(Some("Written without a point"));
    let always = [
        field("userId", text(1, MAX_USER_ID_CHARS)),
        field("productName", text(1, MAX_NAME_CHARS)),
        field("quantity", quantity),
        field("totalPrice", reference("Amount")),
    ];
    let currency = or_null(reference("Currency")).description(Some("Else the operator's, which is EUR by default"));
    let maybe = [
        field("orderId", own_id()),
        field("currency", currency),
        field("timestamp", or_null(formatted("date-time").description(Some("When it was placed")))),
        field("items", or_null(list(reference("JsonObject")).max_items(Some(MAX_ITEMS)))),
    ];
    closed(object(always, maybe.into_iter().chain(wishes())))
}

/// Fields that we do not know are no error: it is the partner's interface as much as ours.
fn partner_update() -> ObjectBuilder {
    let statuses = [Status::Pending, Status::Completed, Status::Failed].map(Status::name);
    let always = [
        field("id", formatted("uuid").description(Some("The command's id, as the creation named it"))),
        field("status", words(statuses)),
    ];
    let event = "Names the event, where the headers do not";
    object(always, [field("reason", or_null(string())), field("eventId", or_null(string().description(Some(event))))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_currencies_are_those_that_are_taken() {
        let codes: Vec<_> = Currency::all().map(Currency::code).collect();
        assert!(codes.len() > 100 && codes.is_sorted());
        assert!(codes.contains(&"EUR") && !codes.contains(&"XXX"));
    }
}
