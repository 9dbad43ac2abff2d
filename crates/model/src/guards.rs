//! What the protocol rests on. Each can be switched off, to see that it is needed.

#[derive(Clone, Copy, Debug)]
pub struct Guards {
    /// 4: the publish mark compares with what acceptance wrote, and leaves claimed rows alone.
    pub mark_compares: bool,
    /// 5: the relay puts the row off for a short time only, before it sends.
    pub relay_puts_off_shortly: bool,
    /// 2: when the relay must look and how long a claim stands are two times.
    pub lease_is_apart: bool,
    /// 6: a wait that was decided before somebody knocked does not stand.
    pub wait_counts_nudges: bool,
    /// 2: nobody claims a row during a wait that must be kept.
    pub wait_is_kept: bool,
    /// 3: tokens never repeat, whatever a failover loses.
    pub tokens_are_unique: bool,
    /// 3: who was dispossessed cannot write.
    pub writes_are_fenced: bool,
    /// 13, 18: a whole-command message whose row is missing puts it back.
    pub missing_row_is_put_back: bool,
    /// 9: what was taken over is looked up before anything is created.
    pub takeover_is_doubt: bool,
    /// An unknown outcome is looked up before anything is created again.
    pub unknown_is_looked_up: bool,
    /// 11: a refusal while an earlier creation is in doubt is no end.
    pub rejection_is_looked_up: bool,
    /// 7: a claim whose answer was lost ends by itself.
    pub claim_has_deadline: bool,
    /// 12: only what nobody holds is cancelled.
    pub cancel_needs_unclaimed: bool,
    /// What the client must be told is owed by the statement that ends the run.
    pub end_owes_callback: bool,
    /// 14: a journal entry is deleted when its row is written, not before.
    pub journal_waits_for_row: bool,
    /// A dead letter that is the only trace of a command puts its row back.
    pub dead_letters_are_drained: bool,
    /// 10, of the partner: two creations under one key are one.
    pub partner_knows_keys: bool,
}

impl Guards {
    pub const ON: Self = Self {
        mark_compares: true,
        relay_puts_off_shortly: true,
        lease_is_apart: true,
        wait_counts_nudges: true,
        wait_is_kept: true,
        tokens_are_unique: true,
        writes_are_fenced: true,
        missing_row_is_put_back: true,
        takeover_is_doubt: true,
        unknown_is_looked_up: true,
        rejection_is_looked_up: true,
        claim_has_deadline: true,
        cancel_needs_unclaimed: true,
        end_owes_callback: true,
        journal_waits_for_row: true,
        dead_letters_are_drained: true,
        partner_knows_keys: true,
    };
}
