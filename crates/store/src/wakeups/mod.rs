//! The one narrow, hot table: outbox, timer, lease and watchdog. See PROTOCOL in the README for its rules.
//!
//! Every predicate of a state change is on the row that is updated, never on a joined table or in an unlocked subselect:
//! Postgres re-checks only the locked row after a wait. `commands` is joined for reading and never locked. All
//! multi-row writes take rows of the lane `run` before those of `tell`, each in the order of their numbers.
//!
//! Often the table is empty, and Postgres may believe for a while that it always is: then it finds nothing wrong with reading
//! all of it for each row that is looked for. Two forms leave it no way but the key. `w.no = any(array[d.no])` in a join: a
//! plain `=` would also suit a scan in the order of the key, begun at its first row. `lane + 0`: the index of what is due has
//! the lane too, and could be read by that alone.

mod back;
mod cancel;
mod claim;
mod claimed;
mod finish;
mod relay;
mod restored;
mod run;
mod standing;
mod tell;

pub use back::{PutBack, go_alone, put_back};
pub use cancel::{Refused, cancel, why_not};
pub use claim::{Claim, Due, First, Wish, begin, claim, claim_due, claimed_under, held};
pub use claimed::Claimed;
pub use finish::{Finish, Finished, finish};
pub use relay::{Marked, Overdue, hasten, mark_published, not_published, take_overdue};
pub use restored::doubt;
pub use run::{Ended, Hold, Note, Tell, note, wait};
pub use standing::{After, Standing, Telling, standing, telling};
pub use tell::{Owed, Told, owe_again, owed, tell_again, told};
