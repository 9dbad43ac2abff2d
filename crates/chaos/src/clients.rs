//! Clients who submit, repeat themselves, contradict themselves, cancel, and write down every 202.

use crate::Arguments;
use crate::world::World;
use fastrand::Rng;
use holdfast_app::pause;
use holdfast_domain::Kind;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Who submit beside each other.
const CLIENTS: u32 = 12;

/// How long a client goes on about one command.
const STUBBORN: Duration = Duration::from_secs(60);

/// A command that was answered with 202.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) kind: Kind,
    /// The amount of the content that was accepted first, and of one under the same key that was accepted too: not both
    /// may stand.
    pub(crate) amounts: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Submitted {
    /// By id.
    pub(crate) accepted: HashMap<String, Accepted>,
    /// Requests that were answered with 422: nothing of that content may ever happen.
    pub(crate) refused: Vec<(String, String)>,
    pub(crate) by_queue: u64,
    pub(crate) unavailable: u64,
    /// Replays that were answered with another id.
    pub(crate) wrong_ids: u64,
    /// Answers of another kind, by their status.
    pub(crate) unexpected: BTreeMap<u16, u64>,
    /// Neither accepted nor refused in the end: nobody promised anything.
    pub(crate) undecided: u64,
}

/// Submits all commands, spread over the time.
pub(crate) async fn submit(world: &World, arguments: &Arguments, time: Duration) -> Submitted {
    let next = AtomicU32::new(0);
    let clients = (0..CLIENTS).map(|no| {
        let random = Rng::with_seed(arguments.seed ^ (u64::from(no) << 32));
        one(world, arguments, time, &next, no, random)
    });
    let mut all = Submitted::default();
    for part in futures::future::join_all(clients).await {
        all.accepted.extend(part.accepted);
        all.refused.extend(part.refused);
        all.by_queue += part.by_queue;
        all.unavailable += part.unavailable;
        all.wrong_ids += part.wrong_ids;
        all.undecided += part.undecided;
        part.unexpected.into_iter().for_each(|(status, count)| *all.unexpected.entry(status).or_insert(0) += count);
    }
    all
}

async fn one(
    world: &World,
    arguments: &Arguments,
    time: Duration,
    next: &AtomicU32,
    no: u32,
    mut random: Rng,
) -> Submitted {
    let (started, mut submitted) = (Instant::now(), Submitted::default());
    let http = Client::builder().no_proxy().timeout(Duration::from_secs(6)).build().expect("a plain client");
    let caller = Caller { world, http, api_key: &world.api_keys[no as usize % world.api_keys.len()] };
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= arguments.commands || world.is_stopping() {
            return submitted;
        }
        // Evenly over the time, as far as the answers allow.
        let due = time.mul_f64(f64::from(n) / f64::from(arguments.commands));
        pause(due.saturating_sub(started.elapsed())).await;
        command(&caller, &mut submitted, &mut random, &format!("c{n}")).await;
    }
}

/// One command: submitted, and then perhaps submitted again, contradicted, or cancelled.
async fn command(caller: &Caller<'_>, submitted: &mut Submitted, random: &mut Rng, key: &str) {
    let kind = Kind::ALL[random.usize(0..Kind::ALL.len())];
    let amount = format!("{}.{:02}", random.u32(1..500), random.u32(0..100));
    let Some(id) = caller.until_accepted(submitted, kind, key, &amount).await else { return };
    match random.u32(0..100) {
        0..10 => {
            let again = caller.until_accepted(submitted, kind, key, &amount).await;
            submitted.wrong_ids += u64::from(again.is_some_and(|again| again != id));
        }
        10..15 => {
            let other = format!("{amount}1").replace('.', "");
            let _told_apart_by_its_amount = caller.until_accepted(submitted, kind, key, &format!("{other}.00")).await;
        }
        15..18 => caller.cancel(kind, &id).await,
        _ => {}
    }
}

struct Caller<'a> {
    world: &'a World,
    http: Client,
    api_key: &'a str,
}

impl Caller<'_> {
    /// With the same key until somebody decides. Answers the id of a 202.
    async fn until_accepted(&self, submitted: &mut Submitted, kind: Kind, key: &str, amount: &str) -> Option<String> {
        let started = Instant::now();
        for attempt in 0.. {
            if started.elapsed() > STUBBORN || self.world.is_stopping() {
                break;
            }
            match self.post(kind, key, amount, attempt).await {
                Some(answer) if answer.status() == StatusCode::ACCEPTED => {
                    let by_queue = answer.headers().get("holdfast-accepted-by").is_some_and(|by| by == "queue");
                    submitted.by_queue += u64::from(by_queue);
                    let Ok(body) = answer.json::<Value>().await else { continue };
                    let Some(id) = body["id"].as_str() else { continue };
                    let entry = submitted.accepted.entry(id.to_owned());
                    let accepted = entry.or_insert_with(|| Accepted { kind, amounts: Vec::new() });
                    if !accepted.amounts.iter().any(|known| known == amount) {
                        accepted.amounts.push(amount.to_owned());
                    }
                    return Some(id.to_owned());
                }
                Some(answer) if answer.status() == StatusCode::UNPROCESSABLE_ENTITY => {
                    submitted.refused.push((key.to_owned(), amount.to_owned()));
                    return None;
                }
                Some(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => submitted.unavailable += 1,
                Some(answer) => {
                    *submitted.unexpected.entry(answer.status().as_u16()).or_insert(0) += 1;
                }
                None => {}
            }
            pause(Duration::from_millis(100)).await;
        }
        submitted.undecided += 1;
        None
    }

    async fn post(&self, kind: Kind, key: &str, amount: &str, attempt: usize) -> Option<Response> {
        let body = match kind {
            Kind::Transaction => json!({ "transactionId": key, "amount": amount, "currency": "EUR" }),
            Kind::Refund => json!({ "refundId": key, "originalReference": "r", "amount": amount, "currency": "EUR" }),
            Kind::Order => json!({
                "orderId": key, "userId": "u", "productName": "tea", "quantity": 1, "totalPrice": amount,
            }),
        };
        self.send(&format!("/api/v1/{}", kind.plural()), &body, attempt).await
    }

    async fn cancel(&self, kind: Kind, id: &str) {
        let _whatever_comes_of_it = self.send(&format!("/api/v1/{}/{id}/cancel", kind.plural()), &json!({}), 0).await;
    }

    /// At one of the APIs, at the other one the next time.
    async fn send(&self, path: &str, body: &Value, attempt: usize) -> Option<Response> {
        let urls = &self.world.api_urls;
        let at = (attempt + path.len() + self.api_key.len()) % urls.len();
        let at = if attempt == 0 { fastrand::usize(0..urls.len()) } else { at };
        let request = self.http.post(format!("{}{path}", urls[at])).bearer_auth(self.api_key).json(body);
        request.send().await.ok()
    }
}
