//! What an API key may do: scopes such as `refunds:write`, and sets of them.

use crate::Kind;
use std::fmt;
use std::str::FromStr;

/// What a scope is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Commands(Kind),
    CallbackEndpoint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// One thing that a key may do. Reading is not a part of writing: a key that submits need not be one that looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    subject: Subject,
    access: Access,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScopes {
    #[error("{0} is not a scope: they are SUBJECT:read and SUBJECT:write, such as refunds:write")]
    Unknown(String),
    #[error("a key without any scope may do nothing")]
    Empty,
}

impl Subject {
    fn all() -> impl Iterator<Item = Self> {
        Kind::ALL.into_iter().map(Self::Commands).chain([Self::CallbackEndpoint])
    }

    /// As in routes.
    const fn name(self) -> &'static str {
        match self {
            Self::Commands(kind) => kind.plural(),
            Self::CallbackEndpoint => "callback-endpoint",
        }
    }
}

impl From<Kind> for Subject {
    fn from(kind: Kind) -> Self {
        Self::Commands(kind)
    }
}

impl Scope {
    pub fn read(subject: impl Into<Subject>) -> Self {
        Self { subject: subject.into(), access: Access::Read }
    }

    pub fn write(subject: impl Into<Subject>) -> Self {
        Self { subject: subject.into(), access: Access::Write }
    }

    pub fn all() -> impl Iterator<Item = Self> {
        Subject::all().flat_map(|subject| [Self::read(subject), Self::write(subject)])
    }

    /// A place of its own in every set.
    const fn bit(self) -> u32 {
        let subject = match self.subject {
            Subject::CallbackEndpoint => 0,
            // From 1 on.
            Subject::Commands(kind) => kind.code(),
        };
        let access = match self.access {
            Access::Read => 0,
            Access::Write => 1,
        };
        1 << (2 * subject + access)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.subject.name())?;
        f.write_str(match self.access {
            Access::Read => ":read",
            Access::Write => ":write",
        })
    }
}

impl FromStr for Scope {
    type Err = InvalidScopes;

    fn from_str(text: &str) -> Result<Self, InvalidScopes> {
        let of = |name: &str| Subject::all().find(|subject| subject.name() == name);
        let scope = match text.split_once(':') {
            Some((subject, "read")) => of(subject).map(Self::read),
            Some((subject, "write")) => of(subject).map(Self::write),
            _ => None,
        };
        scope.ok_or_else(|| InvalidScopes::Unknown(text.to_owned()))
    }
}

/// What one key may do. A bit each: it is asked on every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(u32);

impl Scopes {
    pub fn all() -> Self {
        Scope::all().collect()
    }

    /// Those of these that there are. A key may have some that only a later version knows.
    pub fn known<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().filter_map(|name| name.parse::<Scope>().ok()).collect()
    }

    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::all().filter(move |scope| self.contains(*scope))
    }

    /// As they are stored.
    pub fn names(self) -> Vec<String> {
        self.iter().map(|scope| scope.to_string()).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::all() { f.write_str("all") } else { f.write_str(&self.names().join(",")) }
    }
}

/// `all`, or some with commas between them.
impl FromStr for Scopes {
    type Err = InvalidScopes;

    fn from_str(text: &str) -> Result<Self, InvalidScopes> {
        match text.trim() {
            "all" => Ok(Self::all()),
            "" => Err(InvalidScopes::Empty),
            some => some.split(',').map(|name| name.trim().parse::<Scope>()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_has_a_name_and_a_place_of_its_own() {
        assert_eq!(Scope::all().count(), 2 * (Kind::ALL.len() + 1));
        for scope in Scope::all() {
            assert_eq!(scope.to_string().parse(), Ok(scope));
            let alone = Scopes::from_iter([scope]);
            assert_eq!(alone.iter().collect::<Vec<_>>(), [scope]);
            assert_eq!(Scope::all().filter(|other| alone.contains(*other)).count(), 1);
        }
        assert_eq!(Scope::write(Kind::Refund).to_string(), "refunds:write");
        assert_eq!(Scope::read(Subject::CallbackEndpoint).to_string(), "callback-endpoint:read");
    }

    #[test]
    fn a_set_is_read_as_it_is_written() {
        for text in ["all", "orders:read", "transactions:write,callback-endpoint:read"] {
            assert_eq!(text.parse::<Scopes>().expect(text).to_string(), text);
        }
        assert_eq!(" refunds:write , refunds:read ".parse::<Scopes>().expect("two").names().len(), 2);
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        assert_eq!("".parse::<Scopes>(), Err(InvalidScopes::Empty));
        for wrong in ["refunds", "refunds:", "refund:read", "refunds:READ", "all,refunds:read", "refunds:read,"] {
            assert!(matches!(wrong.parse::<Scopes>(), Err(InvalidScopes::Unknown(_))), "{wrong}");
        }
    }

    #[test]
    fn what_only_a_later_version_knows_allows_nothing_here() {
        let known = Scopes::known(["orders:read", "parcels:write"]);
        assert_eq!(known, Scopes::from_iter([Scope::read(Kind::Order)]));
        assert_eq!(Scopes::known([]).iter().count(), 0);
    }
}
