//! Every problem, as the document and its own page explain it. Slugs, statuses and titles are those of `error.rs`.

use super::examples;
use super::schemas::{header, reference};
use crate::error::Problem;
use holdfast_domain::{Kind, Scope, Violation};
use http::StatusCode;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::Header;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{Ref, RefOr};

/// Answers of every operation that an API key opens.
pub(super) const WITH_A_KEY: [&str; 7] =
    ["unauthorized", "insufficient-scope", "uri-too-long", "rate-limited", "internal", "unavailable", "overloaded"];

/// Further ones, of operations that take a body.
pub(super) const WITH_A_BODY: [&str; 4] =
    ["unparseable-body", "request-timeout", "payload-too-large", "unsupported-media-type"];

/// One of each, as a client may meet it.
fn every() -> [Problem; 22] {
    let violations =
        vec![Violation::new("/amount", "must be greater than zero"), Violation::new("/colour", "is not a known field")];
    let unparseable = "body is not valid JSON: EOF while parsing a value at line 1 column 11";
    [
        Problem::Unparseable(unparseable.to_owned()),
        Problem::KeyMissing,
        Problem::KeyMalformed,
        Problem::InvalidContent(violations),
        Problem::KeyReused,
        Problem::InvalidQuery("limit must be a number from 1 to 200".to_owned()),
        Problem::NotCancellable("Something was sent to a partner".to_owned()),
        Problem::NotResendable("There is no endpoint to send it to".to_owned()),
        Problem::Unauthorized,
        Problem::InsufficientScope(Scope::write(Kind::Refund)),
        Problem::NotAuthentic,
        Problem::NotFound,
        Problem::Archived(examples::tombstone()),
        Problem::MethodNotAllowed,
        Problem::PayloadTooLarge,
        Problem::UriTooLong,
        Problem::RequestTimeout,
        Problem::UnsupportedMediaType,
        Problem::RateLimited(Duration::from_secs(1)),
        Problem::Overloaded,
        Problem::Unavailable,
        Problem::Internal,
    ]
}

const ARCHIVED: (&str, &str) = (
    "The command ended so long ago that its content, its trail and what was told of it are no longer kept. What \
     is left is how it ended.",
    "Nothing: it will not be carried out again. For another command use another key.",
);

// Of content.

const INVALID_CONTENT: Explanation = (
    "The body is JSON, but fields are missing, unknown or wrong. Nothing was accepted.",
    "The errors name every such field by its JSON pointer. Correct them and send it again: the key is still free.",
);

const KEY_REUSED: Explanation = (
    "A command with other content was accepted under this key before. That one stands.",
    "Send the same content to repeat that command, or another key for another one. A number and a string are two \
     contents, even if they say the same amount.",
);

// Of what was turned away: when a client meets it, and what it can do then.

const PAYLOAD_TOO_LARGE: (&str, &str) =
    ("The body has more than 64 KiB.", "Keep in metadata what is needed to find the rest, and the rest elsewhere.");

const URI_TOO_LONG: (&str, &str) =
    ("Path and query have more than 8 KiB.", "Cursors are to be sent as they came; nothing else here is long.");

const REQUEST_TIMEOUT: (&str, &str) = (
    "The body was announced, but did not arrive within 10 seconds. The connection was closed.",
    "Send the request again, with the same key: nothing of it was read.",
);

const RATE_LIMITED: (&str, &str) = (
    "This client has made more requests than it may: by POST, or by all other methods. Every answer tells in \
     RateLimit what is left and in RateLimit-Policy how many there are. Each process counts by itself. Or it \
     has too many under way, or its endpoint is being tested already. Or a \
     great many unknown API keys were tried, and this one is not known yet.",
    "Wait for the time that Retry-After says, then repeat it with the same key. The operator can set another \
     limit for a client.",
);

const OVERLOADED: (&str, &str) = (
    "There are more requests than can be answered in time, from all clients together. This one was refused at \
     once, and nothing of it was done.",
    "Repeat it after the time that Retry-After says, with the same key.",
);

const UNAVAILABLE: (&str, &str) = (
    "To a submission: neither Postgres nor SQS took it in time. Else: Postgres cannot be asked right now.",
    "Repeat it after the time that Retry-After says, with the same key. It is not promised, which is not the \
     same as not done: the same key settles that.",
);

/// When a client meets it, and what it can do then. Neither has characters that HTML would read.
type Explanation = (&'static str, &'static str);

// Of who may not.

const UNAUTHORIZED: Explanation = (
    "There is no API key in the Authorization header, or it is mistyped, unknown, expired, disabled, or of \
     a disabled client.",
    "Send the header Authorization with the word Bearer, a space, and the key.",
);

const INSUFFICIENT_SCOPE: Explanation = (
    "The API key is valid, and was not made for this. Nothing was done.",
    "The detail names the scope that is needed. Use a key that has it, or have the operator add one.",
);

const NOT_AUTHENTIC: Explanation = (
    "The signature of a webhook is missing or does not verify, or its time is more than 5 minutes from now.",
    "Sign the raw body with the secret that both sides have configured, and send it at once. \
     Nothing was stored: it may be sent again.",
);

const fn explain(problem: &Problem) -> Explanation {
    match problem {
        Problem::Unparseable(_) => (
            "The body is not JSON, not UTF-8, or could not be read to its end.",
            "Send JSON (RFC 8259) in UTF-8. The detail says where reading stopped.",
        ),
        Problem::KeyMissing => (
            "Neither the body names its own id, such as transactionId, nor is there an Idempotency-Key header.",
            "Send one of them, the same for every retry of one command and another for every other command.",
        ),
        Problem::KeyMalformed => (
            "The Idempotency-Key header is there twice, or is not 1 to 255 visible ASCII characters.",
            "Send one header, its value bare or in double quotes. A UUID is a good key.",
        ),
        Problem::InvalidContent(_) => INVALID_CONTENT,
        Problem::KeyReused => KEY_REUSED,
        Problem::InvalidQuery(_) => (
            "A parameter of the query is not known or not valid.",
            "The detail names it. Cursors are to be sent as they came, in nextCursor.",
        ),
        Problem::NotCancellable(_) => (
            "Something was sent to a partner, a worker has the command in hand, or it has ended.",
            "Look at the command. If it was not sent yet, try again; if it was, a refund may be what is wanted.",
        ),
        Problem::NotResendable(_) => (
            "A later state of the command has taken the place of this one, it was sent too often, or there is \
             nowhere to send it to.",
            "Resend the newest callback, or set an endpoint first.",
        ),
        Problem::Unauthorized => UNAUTHORIZED,
        Problem::InsufficientScope(_) => INSUFFICIENT_SCOPE,
        Problem::NotAuthentic => NOT_AUTHENTIC,
        Problem::NotFound => (
            "There is no such route, no such command of this client, or no such callback or endpoint.",
            "Compare the path with the links of the answer to the submission, and the key with the client's.",
        ),
        Problem::Archived(_) => ARCHIVED,
        Problem::MethodNotAllowed => {
            ("The route is there, but knows other methods.", "The Allow header lists those that it knows.")
        }
        Problem::PayloadTooLarge => PAYLOAD_TOO_LARGE,
        Problem::UriTooLong => URI_TOO_LONG,
        Problem::RequestTimeout => REQUEST_TIMEOUT,
        Problem::RateLimited(_) => RATE_LIMITED,
        Problem::Overloaded => OVERLOADED,
        Problem::UnsupportedMediaType => {
            ("The Content-Type is not application/json, or the body is compressed.", "Send plain JSON with that type.")
        }
        Problem::Unavailable => UNAVAILABLE,
        Problem::Internal => (
            "Something went wrong on our side. The cause is in our log.",
            "Repeat it with the same key. If it stays, tell the operator when it was.",
        ),
    }
}

/// One answer for each type, by its slug.
pub(super) fn components() -> impl Iterator<Item = (&'static str, Response)> {
    every().into_iter().map(|problem| (problem.slug(), response(&[problem])))
}

/// The answers of these types by status. Types of one status share an answer.
pub(super) fn responses(slugs: impl IntoIterator<Item = &'static str>) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<String, Vec<Problem>> = BTreeMap::new();
    for slug in slugs {
        let problem = find(slug).expect("a slug of ours");
        by_status.entry(problem.status().as_str().to_owned()).or_default().push(problem);
    }
    let answer = |problems: Vec<Problem>| match problems.as_slice() {
        [one] => RefOr::Ref(Ref::from_response_name(one.slug())),
        several => RefOr::T(response(several)),
    };
    by_status.into_iter().map(|(status, problems)| (status, answer(problems))).collect()
}

fn find(slug: &str) -> Option<Problem> {
    every().into_iter().find(|problem| problem.slug() == slug)
}

/// Of problems with one status.
fn response(problems: &[Problem]) -> Response {
    let texts =
        problems.iter().map(|problem| format!("[`{0}`](/problems/{0}): {1}", problem.slug(), explain(problem).0));
    let examples = problems.iter().map(|problem| {
        let example = ExampleBuilder::new().summary(problem.title()).value(Some(json!(problem.body())));
        (problem.slug(), example)
    });
    let content = ContentBuilder::new().schema(Some(reference("Problem"))).examples_from_iter(examples);
    let response = ResponseBuilder::new()
        .description(texts.collect::<Vec<_>>().join("\n\n"))
        .content("application/problem+json", content);
    let headers = problems.first().into_iter().flat_map(own_headers);
    headers.fold(response, |response, (name, header)| response.header(name, header)).build()
}

/// The headers that come with problems of this status.
fn own_headers(problem: &Problem) -> Vec<(&'static str, Header)> {
    let retry_after = || ("Retry-After", header("Seconds after which a retry has a chance", true));
    match problem.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            vec![("WWW-Authenticate", header("What is asked for", true))]
        }
        StatusCode::METHOD_NOT_ALLOWED => vec![("Allow", header("The methods that the path knows", true))],
        StatusCode::TOO_MANY_REQUESTS => [retry_after()].into_iter().chain(rate_limit()).collect(),
        StatusCode::SERVICE_UNAVAILABLE => vec![retry_after()],
        _ => Vec::new(),
    }
}

/// Where a client stands with its limit, as every answer tells that knows who asks.
pub(super) fn rate_limit() -> [(&'static str, Header); 2] {
    let policy = "`\"submissions\";q=2000;w=2`: of requests by POST (`submissions`) or of others (`reads`) there are at \
                  most `q` at once, and as many again after `w` seconds";
    let left =
        "`\"submissions\";r=1999;t=1`: `r` are left. All are there again after `t` seconds; or, if none is left, one";
    [("RateLimit-Policy", header(policy, false)), ("RateLimit", header(left, false))]
}

/// What `type` leads to.
pub(super) fn page(slug: &str) -> Option<String> {
    let problem = find(slug)?;
    let (title, status, (when, remedy)) = (problem.title(), problem.status(), explain(&problem));
    Some(format!(
        "<!doctype html>\n\
         <html lang=\"en\">\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n\
         <style>body {{ font: 1rem/1.5 sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }}</style>\n\
         <h1>{title}</h1>\n\
         <p>Status {status}, type <code>/problems/{slug}</code></p>\n\
         <h2>When</h2>\n\
         <p>{when}</p>\n\
         <h2>What to do</h2>\n\
         <p>{remedy}</p>\n\
         <p><a href=\"/docs\">The whole interface</a></p>\n\
         </html>\n"
    ))
}

/// The slugs, for the parameter of the page's own route.
pub(super) fn slugs() -> impl Iterator<Item = &'static str> {
    every().into_iter().map(|problem| problem.slug())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_type_has_one_page() {
        let slugs: BTreeSet<_> = slugs().collect();
        assert_eq!(slugs.len(), every().len());
        assert!(slugs.into_iter().all(|slug| page(slug).is_some_and(|page| page.contains(slug))));
        assert!(page("no-such-problem").is_none());
    }

    #[test]
    fn no_text_needs_to_be_escaped() {
        for problem in every() {
            let (when, remedy) = explain(&problem);
            for text in [problem.title(), when, remedy] {
                assert!(!text.contains(['<', '>', '&', '"']), "{text}");
            }
        }
    }
}
