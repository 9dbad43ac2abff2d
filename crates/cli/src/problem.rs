//! What the API says instead of doing it (RFC 9457), for people.

use crate::exit;
use crate::http::Answer;
use anyhow::anyhow;
use reqwest::StatusCode;
use serde_json::Value;

/// Something that is not there has an exit status of its own.
pub(crate) fn of(answer: &Answer) -> anyhow::Error {
    let text = describe(answer.status, &answer.body);
    match answer.status {
        StatusCode::NOT_FOUND => exit::not_found(text),
        StatusCode::UNAUTHORIZED => anyhow!("{text}: see HOLDFAST_API_KEY, or --api-key-file"),
        _ => anyhow!(text),
    }
}

/// `Content is not valid (422 invalid-content)` and, each on a line of its own, what is wrong where.
fn describe(status: StatusCode, body: &Value) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let kind = text(&body["type"]).unwrap_or_default();
    let slug = kind.rsplit('/').next().unwrap_or_default();
    let title = text(&body["title"]).unwrap_or_else(|| "the answer is no problem that could be read".to_owned());
    let mut described = format!("{title} ({})", format!("{} {slug}", status.as_u16()).trim_end());
    if let Some(detail) = text(&body["detail"]) {
        described.push_str(&format!(": {detail}"));
    }
    for error in body["errors"].as_array().into_iter().flatten() {
        let at = text(&error["pointer"]).unwrap_or_default();
        let at = if at.is_empty() { "the whole" } else { &at };
        described.push_str(&format!("\n  {at}: {}", text(&error["detail"]).unwrap_or_default()));
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_problem_says_what_is_wrong_and_where() {
        let body = json!({
            "type": "/problems/invalid-content", "title": "Content is not valid", "status": 422,
            "errors": [{ "pointer": "/amount", "detail": "is required" }, { "pointer": "", "detail": "is no object" }],
        });
        let expected = "Content is not valid (422 invalid-content)\n  /amount: is required\n  the whole: is no object";
        assert_eq!(describe(StatusCode::UNPROCESSABLE_ENTITY, &body), expected);
    }

    #[test]
    fn what_somebody_else_answers_is_told_by_its_status() {
        let said = describe(StatusCode::BAD_GATEWAY, &Value::Null);
        assert_eq!(said, "the answer is no problem that could be read (502)");
    }
}
