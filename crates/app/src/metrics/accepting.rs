//! What came in: requests, and what became of submissions.

use super::{Timings, register, timings};
use crate::accept::{self, Receipt};
use holdfast_domain::Kind;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use std::time::Duration;

#[derive(Debug)]
pub struct Accepting {
    requests: Timings<Request>,
    submissions: Family<Submission, Counter>,
    webhooks: Family<Webhook, Counter>,
}

/// As OpenTelemetry's conventions for HTTP have it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    http_request_method: &'static str,
    http_route: String,
    http_response_status_code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Submission {
    kind: &'static str,
    /// What the 202 rests on.
    by: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Webhook {
    partner: String,
    outcome: &'static str,
}

impl Accepting {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let name = "http_server_request_duration_seconds";
        let requests = register(registry, name, "Requests by their route, until the answer's head", timings());
        let help = "Submissions that could be read: new, replayed, conflict, archived, unavailable, failed; and what the 202 rests on";
        let submissions = register(registry, "holdfast_submissions", help, Family::default());
        let help = "Webhooks of partners: stored, not_authentic, unreadable, unavailable, failed";
        let webhooks = register(registry, "holdfast_partner_webhooks", help, Family::default());
        Self { requests, submissions, webhooks }
    }

    /// `route` is a template, not a path.
    pub fn answered(&self, method: &http::Method, route: &str, status: http::StatusCode, took: Duration) {
        let request = Request {
            http_request_method: known(method),
            http_route: route.to_owned(),
            http_response_status_code: status.as_u16(),
        };
        self.requests.get_or_create(&request).observe(took.as_secs_f64());
    }

    pub fn submitted(&self, kind: Kind, accepted: &Result<Receipt, accept::Error>) {
        let (by, outcome) = match accepted {
            Ok(Receipt { accepted_by, replayed: false, .. }) => (accepted_by.name(), "new"),
            Ok(Receipt { accepted_by, replayed: true, .. }) => (accepted_by.name(), "replayed"),
            Err(accept::Error::Conflict) => ("none", "conflict"),
            Err(accept::Error::Archived(_)) => ("none", "archived"),
            Err(accept::Error::Unavailable(_)) => ("none", "unavailable"),
            Err(accept::Error::Failed(_)) => ("none", "failed"),
        };
        self.submissions.get_or_create(&Submission { kind: kind.name(), by, outcome }).inc();
    }

    pub fn heard(&self, partner: &str, outcome: &'static str) {
        self.webhooks.get_or_create(&Webhook { partner: partner.to_owned(), outcome }).inc();
    }
}

/// Anybody can make a method up.
fn known(method: &http::Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}
