//! API keys, as strangers write them.

use holdfast_domain::api_key::ApiKey;

pub(crate) fn check(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input)
        && let Some(key) = ApiKey::parse(text)
    {
        assert_eq!((key.text, key.text.len()), (text, 69));
        assert!(text[4..].starts_with(key.key_id) && key.key_id.len() == 16);
    }
    typed_wrongly(input);
}

/// A key that anybody could have been given, with one character of it changed.
fn typed_wrongly(input: &[u8]) {
    let Some((key_id, rest)) = input.split_first_chunk::<8>() else { return };
    let Some((secret, [at, other, ..])) = rest.split_first_chunk::<32>() else { return };
    let text = ApiKey::format(*key_id, *secret);
    assert!(ApiKey::parse(&text).is_some());
    let (at, other) = (usize::from(*at) % text.len(), other & 0x7f);
    let mut wrong = text.clone().into_bytes();
    wrong[at] = other;
    let wrong = String::from_utf8(wrong).expect("it is ASCII");
    assert!(wrong == text || ApiKey::parse(&wrong).is_none(), "{wrong:?}");
}
