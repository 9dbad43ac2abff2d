//! The chain of the audit trail: where each row that is appended gets the hash of the row that it follows.
//!
//! `holdfast_domain::chain` says what a hash is taken of; the schema has it as `holdfast_event_hash`. That what a row
//! follows is the last one of its kind rests on who may append at all:
//!
//! | Who appends | What its row follows |
//! |---|---|
//! | The run: `finish`, `note`, `wait` | `wakeups.chain` of the very row that the statement has locked. While that is null, nothing of this command was appended yet, and the holder brings its acceptance along (`anchor`): a claim reads that row of `commands` anyway |
//! | `cancel` | The same `wakeups.chain` |
//! | `take_up`, `reopen`, `resolve` | `outcomes.chain` of the row that the statement deletes or locks. Nothing is appended to the run of a command that has an outcome but by these three, and each changes the row |
//! | `reject` | The acceptance that the same statement has inserted |
//! | An attempt to tell: `told`, `tell_again` | The attempt before it, or the row of the state that is told. Only the holder of the lane `tell` appends attempts, so it reads the last one under its claim, where it counts them; or `finish` has told it, with the claim. Should the claim be lost meanwhile, its token fences the write |
//!
//! The wakeup of the lane `tell` has no chain of its own: the run raises its sequence while an attempt to tell an earlier
//! state is under way, and that one goes on with the branch of that earlier state.
//!
//! Nothing here is read from `events` by a statement that appends to a run: it may have waited for the row's lock, and would
//! miss what was committed meanwhile. The one exception is `holdfast_chain_head`, where a row says nothing because a process
//! of an earlier release wrote it last. For a claimed run it is asked after the claim, when nobody else can append
//! ([`heads`]). In `cancel`, `take_up` and `resolve` the row must be at a sequence that an earlier statement has seen: what
//! was appended up to there is visible, and nothing was appended since. `reopen` sees the outcome with what was appended
//! before it, and whoever appends behind it takes it away, or the state that `reopen` asks for.
//!
//! A command that is materialised anew after a restore has another number, and a chain of its own.

use crate::{Error, Pool, Result};
use holdfast_domain::CommandNo;
use holdfast_domain::chain::Hash;
use std::collections::HashMap;

/// What the next row of each of these runs follows, where its wakeup does not say so. Only who has claimed them may build
/// upon it.
pub(crate) async fn heads(pool: &Pool, nos: &[CommandNo]) -> Result<HashMap<CommandNo, Hash>> {
    let nos: Vec<i64> = nos.iter().map(|no| no.0).collect();
    let query =
        sqlx::query!(r#"select no as "no!", holdfast_chain_head(no) as "head!" from unnest($1::bigint[]) n(no)"#, &nos);
    let rows = pool.fetch_all(query).await?;
    rows.into_iter().map(|row| Ok((CommandNo(row.no), hash(row.head)?))).collect()
}

pub(crate) fn hash(bytes: Vec<u8>) -> Result<Hash> {
    bytes.try_into().map(Hash).map_err(|_| Error::Unreadable { what: "hash" })
}
