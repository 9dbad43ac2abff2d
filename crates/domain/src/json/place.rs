//! Where in a document something stands. It becomes a pointer only where something is wrong there: written for every value,
//! one long name would be copied as often as there are values below it.

use super::Violation;

/// More violations than these are not listed. A body of 64 KiB can have ten thousand, and the answer to it must not be
/// many times as large.
pub const MAX_VIOLATIONS: usize = 100;

/// Where a pointer would be longer, the rest of it is left out: a long name above many bad values would be repeated in each
/// of their pointers.
const MAX_POINTER_LEN: usize = 500;
pub(crate) const LEFT_OUT: &str = "/…";

#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    Root,
    Member(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl Place<'_> {
    /// RFC 6901. A very long one ends in `/…`.
    pub(crate) fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Item(above, at) => below(above.pointer(), &at.to_string()),
            // Not even looked through if it does not fit.
            Self::Member(above, name) if name.len() > MAX_POINTER_LEN => left_out(above.pointer()),
            Self::Member(above, name) => below(above.pointer(), &name.replace('~', "~0").replace('/', "~1")),
        }
    }
}

fn below(above: String, name: &str) -> String {
    let fits = above.len() + 1 + name.len() <= MAX_POINTER_LEN && !above.ends_with(LEFT_OUT);
    if fits { above + "/" + name } else { left_out(above) }
}

fn left_out(above: String) -> String {
    if above.ends_with(LEFT_OUT) { above } else { above + LEFT_OUT }
}

/// One more, as long as there are not too many.
pub(crate) fn note(violations: &mut Vec<Violation>, at: Place<'_>, detail: &str) {
    if violations.len() < MAX_VIOLATIONS {
        violations.push(Violation::new(at.pointer(), detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_escaped_and_ends_where_it_would_be_too_long() {
        let (above, long) = (Place::Member(&Place::Root, "a/b~c"), "x".repeat(MAX_POINTER_LEN));
        let item = Place::Item(&above, 7);
        assert_eq!(item.pointer(), "/a~1b~0c/7");
        let cut = Place::Member(&item, &long);
        assert_eq!(cut.pointer(), "/a~1b~0c/7/…");
        assert_eq!(Place::Item(&Place::Member(&cut, "d"), 1).pointer(), "/a~1b~0c/7/…");
    }
}
