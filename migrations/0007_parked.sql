-- no-transaction
-- Parked commands, oldest first. Nobody waits while this is built.
create index concurrently outcomes_attention_idx on outcomes (finished_at) where status = 'needs_attention';
