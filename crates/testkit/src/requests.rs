//! What a test does as a client, and what it looks at afterwards.

use crate::{Stack, clock, eventually};
use holdfast_app::audit::{Audit, Filter, Found};
use holdfast_devstack::inbox::Delivery;
use holdfast_devstack::sandbox::{Entry, Sandbox};
use holdfast_devstack::settings::{ORDER_PARTNER, REFUND_PARTNERS};
use holdfast_domain::{CommandId, Kind};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// What a 202 said.
#[derive(Clone, Debug)]
pub struct Submission {
    pub id: String,
    /// Path of the command.
    pub this: String,
}

impl Submission {
    fn kind(&self) -> Kind {
        let of_path = |kind: &Kind| self.this.contains(&format!("/{}/", kind.plural()));
        Kind::ALL.into_iter().find(of_path).expect("a path of some kind")
    }
}

impl Stack {
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.request_as(&self.api_key, method, path)
    }

    /// Submits a transaction as it is.
    pub async fn post(&self, body: &Value) -> Response {
        self.post_as(Kind::Transaction, body).await
    }

    pub async fn post_as(&self, kind: Kind, body: &Value) -> Response {
        let path = format!("/api/v1/{}", kind.plural());
        self.request("POST", &path).json(body).send().await.expect("an answer")
    }

    /// Submits a valid command of this kind with callbacks to the inbox.
    pub async fn submit_as(&self, kind: Kind, key: &str, amount: &str) -> Submission {
        let mut body = match kind {
            Kind::Transaction => json!({ "transactionId": key, "amount": amount, "currency": "EUR" }),
            Kind::Refund => {
                json!({ "refundId": key, "originalReference": "a sale", "amount": amount, "currency": "EUR" })
            }
            Kind::Order => json!({
                "orderId": key, "userId": "u", "productName": "tea", "quantity": 1, "totalPrice": amount,
            }),
        };
        body["callbackUrl"] = format!("{}/callbacks", self.inbox_url).into();
        Self::submission(self.post_as(kind, &body).await).await
    }

    /// A refund of this transaction.
    pub async fn refund(&self, key: &str, transaction: &str, amount: Option<&str>) -> Submission {
        let body = json!({ "refundId": key, "transactionId": transaction, "amount": amount });
        Self::submission(self.post_as(Kind::Refund, &body).await).await
    }

    /// Submits a valid transaction with callbacks to the inbox.
    pub async fn submit(&self, key: &str, amount: &str) -> Submission {
        self.submit_as(Kind::Transaction, key, amount).await
    }

    /// As a client does that takes a 503 at its word.
    pub async fn submit_until_accepted(&self, body: &Value) -> Submission {
        let accepted = eventually("it is accepted", || async {
            let response = self.post(body).await;
            (response.status() != StatusCode::SERVICE_UNAVAILABLE).then_some(response)
        });
        Self::submission(accepted.await).await
    }

    pub async fn submit_body(&self, body: &Value) -> Submission {
        self.submit_body_as(Kind::Transaction, body).await
    }

    pub async fn submit_body_as(&self, kind: Kind, body: &Value) -> Submission {
        Self::submission(self.post_as(kind, body).await).await
    }

    pub async fn submission(response: reqwest::Response) -> Submission {
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        let body: Value = response.json().await.expect("a body");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        Submission { id: text(&body["id"]), this: text(&body["links"]["self"]) }
    }

    pub async fn get(&self, path: &str) -> Value {
        let response = self.request("GET", path).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.expect("a body")
    }

    /// The command once its status is settled, and its client told: nothing is owed any more.
    pub async fn settled(&self, submission: &Submission) -> Value {
        let what = format!("{} is settled and told (logs: {})", submission.id, self.logs.display());
        eventually(&what, || async {
            let owed = sqlx::query_scalar::<_, i64>(
                "select count(*) from wakeups join commands using (no) where id = $1::uuid",
            );
            let owed = owed.bind(&submission.id).fetch_one(&self.pool).await.ok()?;
            (owed == 0).then_some(())
        })
        .await;
        self.assert_trail_is_intact(submission).await;
        self.get(&submission.this).await
    }

    /// Like [`Self::settled`], but moves the clock whenever nothing is due before later.
    pub async fn settled_in_time(&self, submission: &Submission) -> Value {
        let what = format!("{} is settled and told (logs: {})", submission.id, self.logs.display());
        eventually(&what, || async {
            let owed = clock::advance_if_idle(&self.pool, &submission.id, Duration::from_secs(30)).await.ok()?;
            (owed == 0).then_some(())
        })
        .await;
        self.assert_trail_is_intact(submission).await;
        self.get(&submission.this).await
    }

    /// Whatever happened to a command: each row of its trail follows the one before it.
    async fn assert_trail_is_intact(&self, submission: &Submission) {
        let id = CommandId(submission.id.parse().expect("an id"));
        let found = self.verify(Filter { id: Some(id), ..Filter::default() }).await;
        assert!(found.is_empty(), "{found:?} (logs: {})", self.logs.display());
    }

    /// What is wrong with the trails of these commands.
    pub async fn verify(&self, filter: Filter) -> Vec<Found> {
        let mut audit = Audit::begin(&self.app, filter, None).await.expect("begin to verify");
        let mut all = Vec::new();
        while let Some(found) = audit.go_on().await.expect("read the trails") {
            all.extend(found);
        }
        all
    }

    /// Entries of the audit trail, in order.
    pub async fn trail(&self, submission: &Submission) -> Vec<Value> {
        let trail = self.get(&format!("{}/events", submission.this)).await;
        trail["data"].as_array().expect("a list").clone()
    }

    /// What the partner's book says.
    pub fn at_partner(&self, submission: &Submission) -> Entry {
        self.sandbox.entry(&submission.id).unwrap_or_default()
    }

    /// What the book of each partner says that takes part in this kind.
    pub fn at_partners(&self, kind: Kind, submission: &Submission) -> Vec<Entry> {
        at_partners(&self.sandbox, kind, submission)
    }

    /// What the client was told of the end.
    pub fn told(&self, submission: &Submission) -> Vec<Delivery> {
        let mut deliveries = self.inbox.about(&submission.id);
        deliveries.retain(|delivery| delivery.kind != format!("{}.pending", submission.kind()));
        deliveries
    }

    /// What the client was told while it was not yet decided.
    pub fn told_pending(&self, submission: &Submission) -> Vec<Delivery> {
        let mut deliveries = self.inbox.about(&submission.id);
        deliveries.retain(|delivery| delivery.kind == format!("{}.pending", submission.kind()));
        deliveries
    }
}

/// The same at a sandbox of the test's own.
pub fn at_partners(sandbox: &Sandbox, kind: Kind, submission: &Submission) -> Vec<Entry> {
    let at = |partner: &str| sandbox.entry_at(partner, &submission.id).unwrap_or_default();
    match kind {
        Kind::Transaction => vec![sandbox.entry(&submission.id).unwrap_or_default()],
        Kind::Refund => REFUND_PARTNERS.into_iter().map(at).collect(),
        Kind::Order => vec![at(ORDER_PARTNER)],
    }
}
