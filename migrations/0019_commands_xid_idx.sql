-- no-transaction
-- In the order in which they are published. Nobody waits while this is built, and what has no number is not in it.
create index concurrently commands_xid_idx on commands (xid, no) where xid is not null;
