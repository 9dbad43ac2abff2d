-- The same for the rows of trails. A migration of its own: who writes a command's end needs both tables, and must not be met
-- between their locks.
alter table events add column xid xid8;
alter table events alter column xid set default pg_current_xact_id();
