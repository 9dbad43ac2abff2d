//! The one narrow, hot table: outbox, timer, lease and watchdog. See PROTOCOL in the README for its rules.
//!
//! Every predicate of a state change is on the row that is updated, never on a joined table or in an unlocked subselect:
//! Postgres re-checks only the locked row after a wait. `commands` is joined for reading and never locked. All
//! multi-row writes lock first, rows of the lane `run` before those of `tell`, each by number.

mod cancel;
mod claim;
mod relay;
mod run;
mod tell;

pub use cancel::{Refused, cancel, why_not};
pub use claim::{Claim, Claimed, Due, claim, claim_due, claimed_under, go_alone, held, put_back};
pub use relay::{Marked, Overdue, hasten, mark_published, not_published, take_overdue};
pub use run::{Ended, Finish, Finished, Hold, Note, finish, note, wait};
pub use tell::{Owed, Told, owe_again, owed, tell_again, told};
