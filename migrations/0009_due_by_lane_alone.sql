-- no-transaction
drop index concurrently if exists wakeups_due_at_idx;
