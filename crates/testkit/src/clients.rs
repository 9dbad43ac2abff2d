//! Clients beside a stack's own one, and keys with fewer scopes.

use crate::Stack;
use holdfast_app::credentials::{Created, create_client};
use holdfast_domain::api_key::ApiKey;
use holdfast_domain::{ClientNo, Scopes};
use reqwest::RequestBuilder;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

impl Stack {
    /// The stack's own client.
    pub const CLIENT: ClientNo = ClientNo(1);

    pub async fn another_client(&self, name: &str) -> Created {
        create_client(&self.app, name, None).await.expect("create a client").expect("the name is free")
    }

    /// One more key of the stack's own client, which may do this. There is no limit: a test may want one for each scope.
    pub async fn key_with(&self, scopes: Scopes) -> String {
        self.insert_key(scopes, None).await
    }

    /// One that expires.
    pub async fn key_for(&self, lifetime: Duration) -> String {
        self.insert_key(Scopes::all(), Some(lifetime)).await
    }

    async fn insert_key(&self, scopes: Scopes, lifetime: Option<Duration>) -> String {
        let api_key = unknown_key();
        let query = "insert into api_keys (key_id, client, hash, scopes, expires_at)
                     values ($1, $2, $3, $4, holdfast_now() + make_interval(secs => $5))";
        sqlx::query(query)
            .bind(key_id(&api_key))
            .bind(Self::CLIENT.0)
            .bind(self.app.server_key.api_key_hash(&api_key))
            .bind(scopes.names())
            .bind(lifetime.map(|lifetime| lifetime.as_secs_f64()))
            .execute(&self.pool)
            .await
            .expect("insert a key");
        api_key
    }

    pub fn request_as(&self, api_key: &str, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().expect("a method");
        self.client.request(method, format!("{}{path}", self.api_url)).bearer_auth(api_key)
    }
}

/// A well-formed key that is nobody's, another one each time.
pub fn unknown_key() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    ApiKey::format(count, [count; 4].concat().try_into().expect("32 bytes"))
}

/// What names a key, without being secret.
pub fn key_id(api_key: &str) -> &str {
    ApiKey::parse(api_key).expect("a key of ours").key_id
}
