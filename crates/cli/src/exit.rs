//! How the program ends, and what its exit status says.

/// Shown below the help of the program, and of what waits.
pub(crate) const HELP: &str = "\
Exit status:
  0  done; what was watched is completed
  1  failed, or not all of it was done
  2  the command line is wrong
  3  there is no such thing
  4  what was watched ended otherwise: failed, cancelled, needs_attention
  5  what was watched has not ended in time
  6  what was verified is not as it was written";

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const NOT_FOUND: u8 = 3;
const NOT_COMPLETED: u8 = 4;
const NOT_IN_TIME: u8 = 5;
const NOT_INTACT: u8 = 6;

/// An end with a status of its own. Everything else that goes wrong is a 1.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
struct Exit {
    status: u8,
    why: String,
}

fn with(status: u8, why: impl Into<String>) -> anyhow::Error {
    Exit { status, why: why.into() }.into()
}

pub(crate) fn usage(why: impl Into<String>) -> anyhow::Error {
    with(USAGE, why)
}

pub(crate) fn not_found(why: impl Into<String>) -> anyhow::Error {
    with(NOT_FOUND, why)
}

pub(crate) fn not_completed(why: impl Into<String>) -> anyhow::Error {
    with(NOT_COMPLETED, why)
}

pub(crate) fn not_in_time(why: impl Into<String>) -> anyhow::Error {
    with(NOT_IN_TIME, why)
}

pub(crate) fn not_intact(why: impl Into<String>) -> anyhow::Error {
    with(NOT_INTACT, why)
}

pub(crate) fn status(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<Exit>().map_or(FAILED, |exit| exit.status)
}

pub(crate) fn is_not_found(error: &anyhow::Error) -> bool {
    status(error) == NOT_FOUND
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn context_does_not_change_the_status() {
        let error = Err::<(), _>(not_found("there is no letter 7")).context("show it").unwrap_err();
        assert_eq!((status(&error), format!("{error:#}").as_str()), (3, "show it: there is no letter 7"));
        assert_eq!(status(&anyhow::anyhow!("postgres is unavailable")), 1);
    }
}
