//! HTTP/2 by hand: what no library would send.

use super::{Limited, Wire};

/// Settings of ours: of no answer may anything be sent.
const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];

const END_OF_STREAM_AND_HEADERS: u8 = 0x5;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small one").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header's field (RFC 7541), its name from the static table, kept by nobody.
fn field(name: &[u8], value: &str) -> Vec<u8> {
    let length = u8::try_from(value.len()).ok().filter(|length| *length < 127).expect("a short one");
    [name, &[length], value.as_bytes()].concat()
}

/// A request by this key, as HEADERS without a body.
fn request(stream: u32, method: &str, path: &str, key: &str) -> Vec<u8> {
    let (method, scheme) = (field(&[0x02], method), 0x86);
    let authorization = field(&[0x0f, 0x08], &format!("Bearer {key}"));
    let block = [&method[..], &[scheme], &field(&[0x01], "h"), &field(&[0x04], path), &authorization].concat();
    frame(1, END_OF_STREAM_AND_HEADERS, stream, &block)
}

impl Limited {
    /// A connection on which nothing of any answer may be sent.
    async fn without_window(&self) -> Wire {
        let mut wire = self.wire().await;
        let settings = frame(4, 0, 0, &NO_WINDOW);
        assert!(wire.send([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..]].concat()).await);
        wire
    }
}

/// Who asks for answers and makes no room for them has them in memory here: they count as long as that lasts.
#[tokio::test]
async fn an_answer_that_is_not_taken_keeps_its_place() {
    let limited = Limited::with(&[]).await;
    let mut wire = limited.without_window().await;
    for stream in [1, 3, 5] {
        wire.send(request(stream, "GET", "/api/v1/orders", &limited.stack.api_key)).await;
    }
    limited.becomes("holdfast_requests_in_flight", 3.0).await;
    drop(wire);
    limited.becomes("holdfast_requests_in_flight", 0.0).await;
}

#[tokio::test]
async fn who_makes_no_room_for_an_answer_is_cut_off_whatever_else_it_asks() {
    let limited = Limited::with(&[("HOLDFAST__API__WRITE_TIMEOUT_MS", "300")]).await;
    let mut wire = limited.without_window().await;
    let mut streams = (1..).step_by(2);
    wire.send(request(streams.next().expect("one more"), "GET", "/api/v1/orders", &limited.stack.api_key)).await;
    // Of the answers to these there is nothing to take. One for each of somebody else's, until none can be sent any more.
    for stream in streams {
        if !wire.send(request(stream, "HEAD", "/livez", &limited.stack.api_key)).await {
            break;
        }
        limited.lives().await;
    }
    limited.becomes(r#"holdfast_slow_clients_total{part="answer"}"#, 1.0).await;
    limited.becomes("holdfast_requests_in_flight", 0.0).await;
}
