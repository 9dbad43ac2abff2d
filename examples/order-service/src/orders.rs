//! What others ask of the service.

use crate::Service;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const USUAL: i64 = 50;
const MOST: i64 = 200;

#[derive(Serialize, sqlx::FromRow)]
pub(crate) struct Order {
    id: String,
    status: String,
    sequence: i64,
    data: Value,
    /// As Postgres writes JSON.
    #[serde(rename = "changedAt")]
    changed_at: Value,
}

#[derive(Deserialize)]
pub(crate) struct Page {
    limit: Option<i64>,
    after: Option<String>,
}

/// `GET /orders/{id}`
pub(crate) async fn one(State(service): State<Service>, Path(id): Path<String>) -> Result<Json<Order>, Failure> {
    let sql = "select id, status, sequence, data, to_json(changed_at) as changed_at
                 from orders
                where id = $1";
    let order = sqlx::query_as(sql).bind(id).fetch_optional(&service.pool).await?;
    order.map(Json).ok_or(Failure::NotFound)
}

/// `GET /orders?limit=50&after={id}`: by their ids, so that pages neither repeat nor leave out what stays.
pub(crate) async fn page(State(service): State<Service>, Query(page): Query<Page>) -> Result<Json<Value>, Failure> {
    let limit = page.limit.unwrap_or(USUAL).clamp(1, MOST);
    let sql = "select id, status, sequence, data, to_json(changed_at) as changed_at
                 from orders
                where id > $1
                order by id
                limit $2";
    let query = sqlx::query_as(sql).bind(page.after.unwrap_or_default()).bind(limit);
    let orders: Vec<Order> = query.fetch_all(&service.pool).await?;
    let more = orders.last().filter(|_| orders.len() as i64 == limit).map(|last| last.id.clone());
    Ok(Json(json!({ "data": orders, "after": more })))
}

/// `GET /healthz`
pub(crate) async fn health(State(service): State<Service>) -> Result<&'static str, Failure> {
    sqlx::query("select 1").execute(&service.pool).await?;
    Ok("ok")
}

pub(crate) enum Failure {
    NotFound,
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, Json(json!({ "title": "there is no such order" }))),
            Self::Database(error) => {
                tracing::error!(%error, "could not answer");
                (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "title": "the database does not answer" })))
            }
        }
        .into_response()
    }
}
