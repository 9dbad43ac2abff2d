//! Webhooks that are forged, replayed, stale or written anew: nobody's word counts but the partner's own, as it signed it.

use super::sending::Request;
use super::{As, Bad, Refused, Site};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use hmac::{Hmac, KeyInit as _, Mac as _};
use holdfast_devstack::settings::WEBHOOK_SECRET;
use holdfast_partners::signature::show_secret;
use sha2::Sha256;
use standardwebhooks::Webhook;

/// Signs its webhooks in a header of its own.
const OTHER: &str = "ledger";
const OTHER_SECRET: &str = "what the two of us have agreed on";

const NOT_AUTHENTIC: Refused = As(401, "webhook-not-authentic");
const UNREADABLE: Refused = As(400, "unparseable-body");

pub(super) fn environment() -> Vec<(&'static str, String)> {
    vec![
        ("HOLDFAST__PARTNERS__LEDGER__WEBHOOK_SECRET", OTHER_SECRET.to_owned()),
        ("HOLDFAST__PARTNERS__LEDGER__WEBHOOK_HEADER", "x-ledger-signature".to_owned()),
        ("HOLDFAST__PARTNERS__LEDGER__WEBHOOK_TIMESTAMP_HEADER", "x-ledger-time".to_owned()),
    ]
}

/// One of each form, as they are taken.
pub(super) fn authentic(site: &Site) -> Vec<Request> {
    let body = update(site);
    vec![good(site), good(site).renamed(str::to_uppercase), of_other(site.now, &body), of_other(site.now, &body)]
}

fn update(site: &Site) -> String {
    format!(r#"{{"id": "{}", "status": "pending", "eventId": "evt_of_body"}}"#, site.transaction)
}

fn good(site: &Site) -> Request {
    signed("evt_1", site.now, &update(site))
}

fn to(partner: &str, body: &str) -> Request {
    Request::new("POST", &format!("/api/v1/webhooks/{partner}")).json(body)
}

/// As another implementation of Standard Webhooks signs it, without the version.
fn signature(secret: &[u8], id: &str, at: i64, body: &str) -> String {
    let webhook = Webhook::new(&show_secret(secret)).expect("a secret");
    let versioned = webhook.sign(id, at, body.as_bytes()).expect("signs");
    versioned.trim_start_matches("v1,").to_owned()
}

fn stamped(body: &str, id: &str, at: impl ToString, signature: &str) -> Request {
    let request = to("processor", body).with("webhook-id", id).with("webhook-timestamp", at.to_string());
    request.with("webhook-signature", format!("v1,{signature}"))
}

fn signed(id: &str, at: i64, body: &str) -> Request {
    stamped(body, id, at, &signature(WEBHOOK_SECRET, id, at, body))
}

fn hex(secret: &str, signed: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(signed.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn of_other(at: i64, body: &str) -> Request {
    let signature = hex(OTHER_SECRET, &format!("{at}.{body}"));
    to(OTHER, body).with("x-ledger-time", at.to_string()).with("x-ledger-signature", format!("sha256={signature}"))
}

pub(super) fn table(site: &Site) -> Vec<Bad> {
    let tables =
        [from_nobody(site), forged(site), replayed(site), written_anew(site), unreadable(site), other_form(site)];
    tables.into_iter().flatten().collect()
}

/// Partners that are none, and webhooks without a signature.
fn from_nobody(site: &Site) -> Vec<Bad> {
    let body = update(site);
    let (id, at) = ("evt_1", site.now);
    let signature = signature(WEBHOOK_SECRET, id, at, &body);
    let mut table = Vec::new();
    for partner in ["nobody", "Processor", "processor%20", "processor%00", "%70rocesso", "..", "processor,ledger", "*"]
    {
        let request = to(partner, &body).with("webhook-id", id).with("webhook-timestamp", at.to_string());
        let request = request.with("webhook-signature", format!("v1,{signature}"));
        table.push(Bad::new(format!("webhook of {partner}"), request, As(404, "not-found")));
    }
    for missing in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        table.push(Bad::new(format!("webhook without {missing}"), good(site).without(missing), NOT_AUTHENTIC));
        table.push(Bad::new(format!("webhook with an empty {missing}"), good(site).but(missing, ""), NOT_AUTHENTIC));
        table.push(Bad::new(
            format!("webhook with bytes in {missing}"),
            good(site).but(missing, b"\xff"),
            NOT_AUTHENTIC,
        ));
    }
    table.push(Bad::new("webhook without any of them", to("processor", &body), NOT_AUTHENTIC));
    let with_a_key = site.request("POST", "/api/v1/webhooks/processor").json(&body);
    table.push(Bad::new("webhook with an API key", with_a_key, NOT_AUTHENTIC));
    let branded =
        [("svix-id", id.to_owned()), ("svix-timestamp", at.to_string()), ("svix-signature", format!("v1,{signature}"))];
    let branded = branded.into_iter().fold(to("processor", &body), |request, (name, value)| request.with(name, value));
    table.push(Bad::new("webhook with headers of another name", branded, NOT_AUTHENTIC));
    table
}

/// Signatures that are none, or not of this.
fn forged(site: &Site) -> Vec<Bad> {
    let body = update(site);
    let (id, at) = ("evt_1", site.now);
    let right = signature(WEBHOOK_SECRET, id, at, &body);
    let mac = STANDARD.decode(&right).expect("base64");
    let (changed, longer) = ([&[mac[0] ^ 1], &mac[1..]].concat(), [&mac[..], &[0]].concat());
    let of_high_bits = mac.iter().map(|byte| byte | 0xfb).collect::<Vec<_>>();
    let of_body_alone = STANDARD.encode(hex_bytes(&hex(std::str::from_utf8(WEBHOOK_SECRET).expect("text"), &body)));
    let forged = signature(&[9; 32], id, at, &body);
    let headers = [
        ("another secret", format!("v1,{forged}")),
        (
            "the secret as it is shown",
            format!("v1,{}", signature(show_secret(WEBHOOK_SECRET).as_bytes(), id, at, &body)),
        ),
        ("no secret", format!("v1,{}", signature(b"", id, at, &body))),
        ("another body", format!("v1,{}", signature(WEBHOOK_SECRET, id, at, "{}"))),
        ("no body", format!("v1,{}", signature(WEBHOOK_SECRET, id, at, ""))),
        ("the body alone", format!("v1,{of_body_alone}")),
        ("another id", format!("v1,{}", signature(WEBHOOK_SECRET, "evt_2", at, &body))),
        ("another time", format!("v1,{}", signature(WEBHOOK_SECRET, id, at + 1, &body))),
        ("no id", format!("v1,{}", signature(WEBHOOK_SECRET, "", at, &body))),
        ("one bit changed", format!("v1,{}", STANDARD.encode(changed))),
        ("cut short", format!("v1,{}", STANDARD.encode(&mac[..31]))),
        ("half", format!("v1,{}", STANDARD.encode(&mac[..16]))),
        ("one byte", format!("v1,{}", STANDARD.encode(&mac[..1]))),
        ("one byte longer", format!("v1,{}", STANDARD.encode(longer))),
        ("a version alone", "v1,".to_owned()),
        ("no version", right.clone()),
        ("version 2", format!("v2,{right}")),
        ("version 1a", format!("v1a,{right}")),
        ("a capital version", format!("V1,{right}")),
        ("a version with an equals sign", format!("v1={right}")),
        ("a version with a blank", format!("v1, {right}")),
        ("two versions", format!("v1,v1,{right}")),
        ("without padding", format!("v1,{}", STANDARD_NO_PAD.encode(&mac))),
        ("more padding", format!("v1,{right}=")),
        ("with letters of URLs", format!("v1,{}", URL_SAFE.encode(of_high_bits))),
        ("in hex", format!("v1,{}", hex("x", &body))),
        ("sha256", format!("sha256={right}")),
        ("quotes", format!("\"v1,{right}\"")),
        ("a comma between two", format!("v1,{forged},v1,{right}")),
        ("a tab between two", format!("v1,{forged}\tv1,{right}")),
        ("many wrong ones", vec![format!("v1,{forged}"); 100].join(" ")),
        ("a right one after too many", format!("{} v1,{right}", vec![format!("v1,{forged}"); 8].join(" "))),
    ];
    let bad = |(name, header): (&str, String)| {
        let request = stamped(&body, id, at, &right).but("webhook-signature", header);
        Bad::new(format!("webhook signed with: {name}"), request, NOT_AUTHENTIC)
    };
    let mut table: Vec<_> = headers.into_iter().map(bad).collect();
    let second =
        good(site).but("webhook-signature", format!("v1,{forged}")).with("webhook-signature", format!("v1,{right}"));
    table.push(Bad::new("webhook signed with: a right one in a second header", second, NOT_AUTHENTIC));
    table
}

fn hex_bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect()
}

/// Well signed, but not now; or at a time that can be read in two ways.
fn replayed(site: &Site) -> Vec<Bad> {
    let body = update(site);
    let now = site.now;
    let times = [
        ("six minutes old", now - 360),
        ("a day old", now - 86_400),
        ("a year old", now - 31_557_600),
        ("the beginning of time", 0),
        ("before time", -1),
        ("an hour ahead", now + 3_600),
        ("in milliseconds", now * 1_000),
        ("the end of time", i64::MAX),
        ("the beginning of all numbers", i64::MIN),
    ];
    let mut table: Vec<_> = times
        .into_iter()
        .map(|(name, at)| Bad::new(format!("webhook: {name}"), signed("evt_1", at, &body), NOT_AUTHENTIC))
        .collect();
    // Signed as they are written, by somebody who has the secret.
    let written =
        [format!("+{now}"), format!("0{now}"), format!("{now}.0"), format!("{now}e0"), "now".to_owned(), String::new()];
    for at in written {
        let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET).expect("a key");
        mac.update(format!("evt_1.{at}.{body}").as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let shown = at.replace(&now.to_string(), "now");
        table.push(Bad::new(format!("webhook: at {shown:?}"), stamped(&body, "evt_1", at, &signature), NOT_AUTHENTIC));
    }
    table
}

/// The same content in other bytes was never signed.
fn written_anew(site: &Site) -> Vec<Bad> {
    let body = update(site);
    let right = signature(WEBHOOK_SECRET, "evt_1", site.now, &body);
    let other = [
        ("without blanks", body.replace(": ", ":").replace(", ", ",")),
        ("with more blanks", body.replace(": ", " : ")),
        ("with a line feed", format!("{body}\n")),
        ("with a blank before it", format!(" {body}")),
        ("with an escape", body.replace("pending", "p\\u0065nding")),
        ("with another order", body.replacen("{", "{\"reason\": null, ", 1)),
        ("with a byte order mark", format!("\u{feff}{body}")),
        ("with another status", body.replace("pending", "completed")),
        ("with another command", body.replace(&site.transaction, "9a6d12b7-6deb-8b42-8b75-d76a4b1e8cf1")),
        ("with a capital id", body.replace(&site.transaction, &site.transaction.to_uppercase())),
        ("twice", format!("{body}{body}")),
        ("empty", String::new()),
    ];
    let bad = |(name, other): (&str, String)| {
        assert_ne!(other, body, "{name}");
        Bad::new(format!("webhook {name}"), stamped(&other, "evt_1", site.now, &right), NOT_AUTHENTIC)
    };
    other.into_iter().map(bad).collect()
}

/// Authentic, and nothing that we could act on.
fn unreadable(site: &Site) -> Vec<Bad> {
    let id = &site.transaction;
    let bodies = [
        ("nothing", String::new()),
        ("no JSON", "{".to_owned()),
        ("a list", "[]".to_owned()),
        ("null", "null".to_owned()),
        ("no status", format!(r#"{{"id":"{id}"}}"#)),
        ("no command", r#"{"status":"completed"}"#.to_owned()),
        ("an id of another form", r#"{"id":"t1","status":"completed"}"#.to_owned()),
        ("a number for an id", r#"{"id":1,"status":"completed"}"#.to_owned()),
        ("a status of another name", format!(r#"{{"id":"{id}","status":"done"}}"#)),
        ("a capital status", format!(r#"{{"id":"{id}","status":"Completed"}}"#)),
        ("a status that is ours alone", format!(r#"{{"id":"{id}","status":"cancelled"}}"#)),
        ("two statuses", format!(r#"{{"id":"{id}","status":"completed","status":"failed"}}"#)),
        ("two commands", format!(r#"{{"id":"{id}","id":"{id}","status":"failed"}}"#)),
        ("a reason that is no text", format!(r#"{{"id":"{id}","status":"failed","reason":7}}"#)),
        ("a lone surrogate", format!(r#"{{"id":"{id}","status":"failed","reason":"\ud800"}}"#)),
        ("something behind it", format!(r#"{{"id":"{id}","status":"completed"}} x"#)),
    ];
    let mut table: Vec<_> = bodies
        .into_iter()
        .map(|(name, body)| Bad::new(format!("webhook of {name}"), signed("evt_1", site.now, &body), UNREADABLE))
        .collect();
    let long = "e".repeat(256);
    table.push(Bad::new("webhook with a long id", signed(&long, site.now, &update(site)), UNREADABLE));
    let large = format!(r#"{{"id":"{id}","status":"failed","reason":"{}"}}"#, "x".repeat(66_000));
    table.push(Bad::new("webhook above 64 KiB", signed("evt_1", site.now, &large), As(413, "payload-too-large")));
    table
}

/// The same attempts against a partner that signs `timestamp.body` in hex.
fn other_form(site: &Site) -> Vec<Bad> {
    let (body, at) = (update(site), site.now);
    let right = hex(OTHER_SECRET, &format!("{at}.{body}"));
    let good = || of_other(at, &body);
    let signed = |signature: String| good().but("x-ledger-signature", signature);
    let requests = [
        ("no signature", good().without("x-ledger-signature")),
        ("no time", good().without("x-ledger-time")),
        ("an empty signature", signed(String::new())),
        ("the prefix alone", signed("sha256=".to_owned())),
        ("the prefix twice", signed(format!("sha256=sha256={right}"))),
        ("another prefix", signed(format!("sha1={right}"))),
        ("a capital prefix", signed(format!("SHA256={right}"))),
        ("a blank", signed(format!("sha256= {right}"))),
        ("half of it", signed(right[..32].to_owned())),
        ("an odd digit", signed(right[..63].to_owned())),
        ("no hex", signed("z".repeat(64))),
        ("signs before digits", signed("+1".repeat(32))),
        ("base64", signed(STANDARD.encode(hex_bytes(&right)))),
        ("another secret", signed(hex("another secret", &format!("{at}.{body}")))),
        ("the body alone", signed(hex(OTHER_SECRET, &body))),
        ("another time", signed(hex(OTHER_SECRET, &format!("{}.{body}", at + 1)))),
        ("another body", signed(hex(OTHER_SECRET, &format!("{at}.{{}}")))),
        ("an old time", of_other(at - 360, &body)),
        ("a time ahead", of_other(at + 3_600, &body)),
        ("a time with a sign", {
            let signature = hex(OTHER_SECRET, &format!("+{at}.{body}"));
            good().but("x-ledger-time", format!("+{at}")).but("x-ledger-signature", signature)
        }),
        ("a Standard Webhook", self::good(site).retargeted("/api/v1/webhooks/ledger")),
    ];
    let mut table: Vec<_> = requests
        .into_iter()
        .map(|(name, request)| Bad::new(format!("webhook of the ledger: {name}"), request, NOT_AUTHENTIC))
        .collect();
    let id = &site.transaction;
    for event in ["", r#","eventId":"""#, r#","eventId":"a\u0000b""#, r#","eventId":"\uffff""#, r#","eventId":7"#] {
        let body = format!(r#"{{"id":"{id}","status":"pending"{event}}}"#);
        table.push(Bad::new(format!("webhook of the ledger: event {event:?}"), of_other(at, &body), UNREADABLE));
    }
    table
}
