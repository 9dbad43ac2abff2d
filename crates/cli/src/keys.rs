//! The API keys of clients, among `holdfast clients`.

use crate::clients::nobody;
use crate::exit;
use crate::output::{Format, Table, say};
use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::Args;
use holdfast_app::App;
use holdfast_app::credentials::{self, KeyError, NewKey};
use holdfast_domain::Scopes;
use holdfast_store::api_keys::{self, Listed};
use serde_json::json;
use std::time::Duration;

/// Of a key that is far away from its end for as long as anybody lives.
const LONGEST: u64 = 36_500;

#[derive(Args)]
pub(crate) struct Add {
    name: String,
    /// What it may do: `all`, or some of them, such as `transactions:write,transactions:read`.
    #[arg(long, default_value_t = Scopes::all())]
    scopes: Scopes,
    /// How long it is valid, such as 90d, 12h, 30m or 45s. Without it, until it is disabled.
    #[arg(long, value_parser = lifetime)]
    expires_in: Option<Duration>,
}

pub(crate) async fn add(app: &App, add: Add) -> anyhow::Result<()> {
    let issued = credentials::add_key(app, &add.name, add.scopes, add.expires_in).await;
    show(&add.name, issued)
}

pub(crate) async fn rotate(app: &App, name: &str, overlap: Duration) -> anyhow::Result<()> {
    show(name, credentials::rotate_key(app, name, overlap).await)
}

/// Prints JSON in any case: keys are for programs.
fn show(name: &str, issued: Result<NewKey, KeyError>) -> anyhow::Result<()> {
    let NewKey { key_id, api_key, scopes } = match issued {
        Err(KeyError::NoClient) => return Err(nobody(name)),
        issued => issued.with_context(|| format!("issue a key to {name}"))?,
    };
    let shown = json!({ "name": name, "keyId": key_id, "apiKey": api_key, "scopes": scopes.names() });
    say(serde_json::to_string_pretty(&shown)?);
    Ok(())
}

pub(crate) async fn disable(app: &App, format: Format, key_id: &str) -> anyhow::Result<()> {
    if !api_keys::disable(&app.pool, key_id).await.context("disable the key")? {
        return Err(exit::not_found(format!("there is no key {key_id}")));
    }
    format.each(format_args!("{key_id} is disabled"), &json!({ "keyId": key_id, "state": "disabled" }));
    Ok(())
}

pub(crate) async fn list(app: &App, format: Format, name: &str) -> anyhow::Result<()> {
    let keys = api_keys::of_client(&app.pool, name).await.context("list the keys")?;
    // Whoever was created has a key.
    if keys.is_empty() {
        return Err(nobody(name));
    }
    let mut table = Table::new(&["key", "state", "scopes", "created", "expires", "last used"]);
    for key in keys {
        let state = state(&key);
        let value = json!({
            "keyId": key.key_id,
            "state": state,
            "scopes": key.scopes.names(),
            "createdAt": key.created_at,
            "expiresAt": key.expires_at,
            "lastUsedAt": key.last_used_at,
        });
        let cells = [
            key.key_id,
            state.to_owned(),
            key.scopes.to_string(),
            key.created_at.to_rfc3339(),
            at(key.expires_at),
            at(key.last_used_at),
        ];
        table.push(cells, value);
    }
    format.list(table);
    Ok(())
}

const fn state(key: &Listed) -> &'static str {
    match (key.disabled, key.expired) {
        (true, _) => "disabled",
        (false, true) => "expired",
        (false, false) => "active",
    }
}

fn at(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| time.to_rfc3339())
}

/// A number and what it counts: days, hours, minutes or seconds.
fn lifetime(text: &str) -> Result<Duration, String> {
    let wrong = || "a lifetime is a number and one of d, h, m and s, such as 90d".to_owned();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
    let seconds: u64 = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return Err(wrong()),
    };
    let lifetime = number.parse::<u64>().map_err(|_| wrong())?.saturating_mul(seconds);
    if (1..=LONGEST * 86_400).contains(&lifetime) {
        Ok(Duration::from_secs(lifetime))
    } else {
        Err(format!("a key lives for 1 s to {LONGEST} d"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_says_what_it_counts() {
        for (text, seconds) in
            [("90d", 7_776_000), ("12h", 43_200), ("30m", 1_800), ("45s", 45), ("36500d", 3_153_600_000)]
        {
            assert_eq!(lifetime(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in ["", "90", "d", "-1d", "1.5d", "1 d", "1w", "0s", "36501d", "99999999999999999999d", "1dd", "1ä"]
        {
            assert!(lifetime(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_that_was_disabled_is_so_whatever_else() {
        let key = |disabled, expired| Listed {
            key_id: String::new(),
            scopes: Scopes::all(),
            created_at: DateTime::UNIX_EPOCH,
            expires_at: None,
            last_used_at: None,
            disabled,
            expired,
        };
        let states = [(true, true), (true, false), (false, true), (false, false)].map(|(d, e)| state(&key(d, e)));
        assert_eq!(states, ["disabled", "disabled", "expired", "active"]);
    }
}
