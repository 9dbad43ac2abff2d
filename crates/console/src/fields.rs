//! What a form, or the query of an address, says. A name may be there several times.

use axum::extract::FromRequestParts;
use http::request::Parts;
use std::convert::Infallible;
use url::form_urlencoded;

#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// Empty is absent: a form sends every field that it has.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|pair| Self::is(pair, name)).map(|(_, value)| value.trim())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |pair| Self::is(pair, name)).map(|(_, value)| value.trim())
    }

    fn is((known, value): &(String, String), name: &str) -> bool {
        known == name && !value.trim().is_empty()
    }

    pub(crate) fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.get(name)?.parse().ok()
    }

    /// As it was typed, spaces included.
    pub(crate) fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl<S: Sync> FromRequestParts<S> for Fields {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default().as_bytes()))
    }
}

/// An address with a query.
pub(crate) fn address(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_may_repeat() {
        let fields = Fields::parse(b"id=a&id=b+c%26&why=+&n=7");
        assert_eq!(fields.all("id").collect::<Vec<_>>(), ["a", "b c&"]);
        assert_eq!((fields.get("why"), fields.number("n")), (None, Some(7)));
        assert_eq!(address("/x", &[("q", "a&b"), ("empty", "")]), "/x?q=a%26b");
    }
}
