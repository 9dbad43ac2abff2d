//! Which command a client means.

use crate::exit;
use crate::filter::kind;
use holdfast_domain::Kind;
use serde_json::Value;
use uuid::Uuid;

/// A command as it was named. Without its kind the API is asked for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: Option<Kind>,
    pub(crate) id: Uuid,
}

impl Target {
    pub(crate) fn path(self, kind: Kind) -> String {
        format!("/api/v1/{}/{}", kind.plural(), self.id)
    }
}

/// `transaction ID`, `transaction/ID`, `ID`, or the path or the address of a command. A kind that stands alone is that of
/// all ids behind it.
pub(crate) fn read<'a>(words: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Vec<Target>> {
    let (mut targets, mut of) = (Vec::new(), None);
    for word in words {
        let mut parts = word.trim_end_matches('/').rsplit('/');
        let last = parts.next().unwrap_or_default();
        match (parts.next(), kind(last), Uuid::try_parse(last)) {
            (None, Ok(kind), _) => of = Some(kind),
            (None, _, Ok(id)) => targets.push(Target { kind: of, id }),
            (Some(before), _, Ok(id)) => {
                let kind = kind(before).map_err(|known| exit::usage(format!("{word}: {known}")))?;
                targets.push(Target { kind: Some(kind), id });
            }
            _ => return Err(exit::usage(format!("{word} is neither a command's id nor KIND/ID"))),
        }
    }
    Ok(targets)
}

pub(crate) fn one(words: &[String]) -> anyhow::Result<Target> {
    match read(words.iter().map(String::as_str))?[..] {
        [target] => Ok(target),
        [] => Err(exit::usage("which command? KIND ID, KIND/ID or ID")),
        _ => Err(exit::usage("one command, please")),
    }
}

/// Of a line of words, or of what `submit` and `list` print as JSON.
pub(crate) fn of_line(line: &str) -> anyhow::Result<Vec<Target>> {
    match serde_json::from_str::<Value>(line) {
        Ok(command) if command.is_object() => match command["links"]["self"].as_str() {
            Some(path) => read([path]),
            None => Err(exit::usage("a line of JSON must be a command, with its links")),
        },
        _ => read(line.split_whitespace()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "9a6d12b7-6deb-8b42-8b75-d76a4b1e8cf1";

    fn kinds(words: &[&str]) -> Vec<Option<Kind>> {
        read(words.iter().copied()).expect("targets").into_iter().map(|target| target.kind).collect()
    }

    #[test]
    fn a_command_is_named_in_several_ways() {
        let refund = Some(Kind::Refund);
        assert_eq!(kinds(&["refund", ID]), [refund]);
        assert_eq!(kinds(&["refunds", ID, ID]), [refund, refund]);
        assert_eq!(kinds(&[&format!("refund/{ID}")]), [refund]);
        assert_eq!(kinds(&[&format!("/api/v1/refunds/{ID}")]), [refund]);
        assert_eq!(kinds(&[&format!("https://host/api/v1/refunds/{ID}/")]), [refund]);
        assert_eq!(kinds(&[ID, "order", ID]), [None, Some(Kind::Order)]);
    }

    #[test]
    fn a_line_may_be_what_was_printed() {
        let line = format!(r#"{{"id": "{ID}", "links": {{"self": "/api/v1/orders/{ID}"}}}}"#);
        assert_eq!(of_line(&line).expect("a target")[0].kind, Some(Kind::Order));
        assert_eq!(of_line(&format!("order {ID}")).expect("a target").len(), 1);
    }

    #[test]
    fn what_names_no_command_is_a_wrong_command_line() {
        for words in [&["x"][..], &["what/x"], &["order/x"], &[&format!("what/{ID}")]] {
            let error = read(words.iter().copied()).expect_err("nothing");
            assert_eq!(exit::status(&error), 2, "{error:#}");
        }
    }
}
