-- no-transaction
-- What is due is looked for lane by lane: who looks for runs must not visit the row of every callback that is owed.
create index concurrently wakeups_due_idx on wakeups (due_at, lane);
