//! The clock of this machine, for the one case in which Postgres' own cannot be asked.

use chrono::{DateTime, SubsecRound as _, Utc};

/// As precise as Postgres stores it.
#[expect(clippy::disallowed_methods, reason = "this is its home: Postgres is down")]
pub fn while_postgres_is_down() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
