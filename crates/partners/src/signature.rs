//! Signatures after the Standard Webhooks specification 1.0: HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How a secret is shown to its owner.
pub fn show_secret(secret: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(secret))
}

/// What [`show_secret`] shows. `None`: it is something else.
pub fn read_secret(shown: &str) -> Option<Vec<u8>> {
    STANDARD.decode(shown.strip_prefix("whsec_")?).ok()
}

/// The value of the `webhook-signature` header. `timestamp` is in seconds since the epoch.
pub fn sign(secret: &[u8], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("hmac takes keys of any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use standardwebhooks::Webhook;

    #[test]
    fn another_implementation_makes_the_same_signature() {
        let (secret, body) = ([9; 32], br#"{"a":1}"#);
        let webhook = Webhook::new(&show_secret(&secret)).expect("valid secret");
        let ours = sign(&secret, "evt_1", 1_700_000_000, body);
        assert_eq!(webhook.sign("evt_1", 1_700_000_000, body).expect("signs"), ours);
    }
}
