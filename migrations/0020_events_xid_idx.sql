-- no-transaction
-- The same. Attempts to tell a client are nothing for others, and do not pay for it.
create index concurrently events_xid_idx on events (xid, no, sequence) where xid is not null and attempt = 0;
