//! Every operation of the committed OpenAPI document, and how it is called: for tests that must not forget one. An operation
//! that needs something of which nothing is known here fails them.

use holdfast_domain::Kind;
use holdfast_testkit::Stack;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

/// What may be left out.
const HEADERS: [&str; 6] =
    ["Idempotency-Key", "If-None-Match", "Prefer", "traceparent", "webhook-id", "webhook-timestamp"];
const QUERIES: [&str; 6] = ["createdBefore", "createdFrom", "cursor", "key", "limit", "status"];

pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) opened_by: OpenedBy,
    /// Parameters of the query.
    pub(crate) queries: Vec<String>,
    /// The name of its schema.
    body: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OpenedBy {
    Everybody,
    /// Its signature.
    Partner,
    /// An API key with this scope.
    Key(String),
}

/// What stands in the places of an operation.
#[derive(Clone, Copy)]
pub(crate) struct Places<'a> {
    /// A command's.
    pub(crate) id: &'a str,
    /// An event's.
    pub(crate) callback: &'a str,
    /// The client's own id of what it submits.
    pub(crate) key: &'a str,
    /// A client's endpoint.
    pub(crate) url: &'a str,
}

/// All that a caller can see of an answer, but for the values of its headers: one is the time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: Vec<String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Those that change nothing come first.
pub(crate) fn all() -> Vec<Operation> {
    let document: Value = serde_json::from_str(include_str!("../../crates/api/openapi.json")).expect("JSON");
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            operations.push(read(&document, &method.to_uppercase(), path, operation));
        }
    }
    operations.sort_by_key(|operation| operation.method != "GET");
    operations
}

fn read(document: &Value, method: &str, path: &str, operation: &Value) -> Operation {
    let security = operation.get("security").unwrap_or(&document["security"]).as_array().expect("a list");
    let opened_by = match security.first().and_then(Value::as_object) {
        None => OpenedBy::Everybody,
        Some(schemes) if schemes.contains_key("webhookSignature") => OpenedBy::Partner,
        Some(schemes) => OpenedBy::Key(schemes["apiKey"][0].as_str().expect("a scope").to_owned()),
    };
    let mut queries = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let parameter = match parameter["$ref"].as_str() {
            Some(reference) => document.pointer(&reference[1..]).expect("a parameter"),
            None => parameter,
        };
        let name = parameter["name"].as_str().expect("a name");
        let is_known = match parameter["in"].as_str().expect("a place") {
            "path" => true,
            "header" => HEADERS.contains(&name) && parameter["required"] != true,
            "query" => {
                queries.push(name.to_owned());
                QUERIES.contains(&name) && parameter["required"] != true
            }
            _ => false,
        };
        assert!(is_known, "{method} {path}: nobody here knows {name}");
    }
    let body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
    let body = body.map(|reference| reference.rsplit('/').next().expect("a name").to_owned());
    assert_eq!(body.is_some(), operation.get("requestBody").is_some(), "{method} {path}: nobody here knows its body");
    Operation { method: method.to_owned(), path: path.to_owned(), opened_by, queries, body }
}

impl Operation {
    /// Whether it is about something that has an id, in its path or in what a partner says.
    pub(crate) fn names_something(&self) -> bool {
        self.path.contains("{id}") || self.opened_by == OpenedBy::Partner
    }

    pub(crate) fn is_about(&self, kind: Kind) -> bool {
        self.path.starts_with(&format!("/api/v1/{}/", kind.plural()))
    }

    pub(crate) fn submits(&self, kind: Kind) -> bool {
        self.method == "POST" && self.path == format!("/api/v1/{}", kind.plural())
    }

    pub(crate) async fn call(&self, stack: &Stack, api_key: &str, places: Places<'_>) -> Answer {
        self.call_with(stack, api_key, places, "").await
    }

    /// With something behind the path.
    pub(crate) async fn call_with(&self, stack: &Stack, api_key: &str, places: Places<'_>, query: &str) -> Answer {
        let path = self.path.replace("{id}", places.id).replace("{callback}", places.callback);
        let path = path.replace("{partner}", "processor").replace("{slug}", "not-found");
        let path = path.replace("{version}", "1").replace("{file}", "transaction.json");
        assert!(!path.contains('{'), "{path}: nobody here knows what stands there");
        let request = stack.request_as(api_key, &self.method, &format!("{path}{query}"));
        let request = match self.body(places) {
            Some(body) => request.json(&body),
            None => request,
        };
        answer(request.send().await.expect("an answer")).await
    }

    fn body(&self, Places { id, key, url, .. }: Places<'_>) -> Option<Value> {
        let body = match self.body.as_deref()? {
            "TransactionRequest" => {
                json!({ "transactionId": key, "amount": "1.00", "currency": "EUR", "callbackUrl": url })
            }
            "RefundRequest" => json!({
                "refundId": key, "originalReference": "a sale", "amount": "1.00", "currency": "EUR", "callbackUrl": url,
            }),
            "OrderRequest" => json!({
                "orderId": key, "userId": "u", "productName": "tea", "quantity": 1, "totalPrice": "1.00", "callbackUrl": url,
            }),
            "EndpointRequest" => json!({ "url": url }),
            "PartnerUpdate" => json!({ "id": id, "status": "failed" }),
            other => panic!("nobody here knows a {other}"),
        };
        Some(body)
    }
}

async fn answer(response: Response) -> Answer {
    let mut headers: Vec<_> = response.headers().keys().map(ToString::to_string).collect();
    headers.sort();
    Answer { status: response.status(), headers, body: response.text().await.expect("a body") }
}
