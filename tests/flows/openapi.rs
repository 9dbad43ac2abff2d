//! The interface as it describes itself.

use holdfast_testkit::{Options, Stack};
use reqwest::StatusCode;
use serde_json::Value;

#[tokio::test]
async fn the_document_that_is_served_is_the_committed_one() {
    let stack = Stack::with(Options::default()).await;
    let answer = reqwest::get(format!("{}/openapi.json", stack.api_url)).await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.text().await.expect("a body"), include_str!("../../crates/api/openapi.json"));
}

#[tokio::test]
async fn the_page_that_shows_it_needs_no_other_host() {
    let stack = Stack::with(Options::default()).await;
    let page = reqwest::get(format!("{}/docs", stack.api_url)).await.expect("an answer");
    assert!(page.headers()["content-security-policy"].to_str().expect("text").starts_with("default-src 'none'"));
    let page = page.text().await.expect("a body");
    assert!(!page.contains("//"), "{page}");
    let files = page.split('"').filter(|text| text.starts_with("/docs/"));
    let mut found = 0;
    for file in files {
        let answer = reqwest::get(format!("{}{file}", stack.api_url)).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{file}");
        found += 1;
    }
    assert_eq!(found, 3);
    let missing = reqwest::get(format!("{}/docs/missing.js", stack.api_url)).await.expect("an answer");
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_type_of_a_problem_leads_to_a_page_about_it() {
    let stack = Stack::with(Options::default()).await;
    let answer = reqwest::get(format!("{}/api/v1/transactions", stack.api_url)).await.expect("an answer");
    let problem: Value = answer.json().await.expect("a problem");
    let page = format!("{}{}", stack.api_url, problem["type"].as_str().expect("a type"));
    let page = reqwest::get(page).await.expect("an answer");
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.text().await.expect("a body").contains(problem["title"].as_str().expect("a title")));
}

#[tokio::test]
async fn a_path_that_is_no_text_is_a_problem_too() {
    let stack = Stack::with(Options::default()).await;
    let answer = stack.request("GET", "/api/v1/transactions/%FF").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
}

/// The document is written by hand beside the routes: what it names must be there.
#[tokio::test]
async fn every_operation_of_the_document_is_a_route() {
    let stack = Stack::with(Options::default()).await;
    let document: Value = serde_json::from_str(include_str!("../../crates/api/openapi.json")).expect("JSON");
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("operations").keys() {
            let path =
                path.replace("{id}", "x").replace("{callback}", "x").replace("{partner}", "x").replace("{slug}", "x");
            let path = path.replace("{version}", "1").replace("{file}", "x");
            let answer = stack.request(&method.to_uppercase(), &path).send().await.expect("an answer");
            assert_ne!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            // A route that is not there has other methods neither.
            let other = stack.request("TRACE", &path).send().await.expect("an answer");
            assert_eq!(other.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
            operations += 1;
        }
    }
    assert!(operations > 30);
}
