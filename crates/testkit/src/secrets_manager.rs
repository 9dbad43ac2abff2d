//! AWS Secrets Manager, as far as a function asks it: one operation of its JSON protocol.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use holdfast_devstack::server;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Values by ARN.
type Secrets = BTreeMap<String, String>;

pub struct SecretsManager {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _server: DropGuard,
}

impl SecretsManager {
    pub async fn with(secrets: Secrets) -> Self {
        let asked = Arc::default();
        let router =
            Router::new().route("/", post(get_secret_value)).with_state((Arc::new(secrets), Arc::clone(&asked)));
        let stop = CancellationToken::new();
        let listener = server::bind(0).await.expect("bind a free port");
        let address = server::serve(listener, router, stop.clone()).expect("serve");
        Self { address, asked, _server: stop.drop_guard() }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The secrets that were asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

type Shared = (Arc<Secrets>, Arc<Mutex<Vec<String>>>);

async fn get_secret_value(
    State((secrets, asked)): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Json<Value>) {
    let request: Value = serde_json::from_slice(&body).expect("the SDK sends JSON");
    assert_eq!(headers["x-amz-target"], "secretsmanager.GetSecretValue");
    let arn = request["SecretId"].as_str().expect("an id").to_owned();
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(arn.clone());
    match secrets.get(&arn) {
        Some(value) => (StatusCode::OK, Json(json!({ "ARN": arn, "Name": "a secret", "SecretString": value }))),
        None => (StatusCode::BAD_REQUEST, Json(json!({ "__type": "ResourceNotFoundException", "Message": "no" }))),
    }
}
