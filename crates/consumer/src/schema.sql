-- What a consumer of Holdfast's events keeps in its own database: how far it has come with each command. `Store::install`
-- runs this; it may as well be a migration of the service itself.

-- One row for each subject (the id of a command), which is both the memory of what was handled and the lock on handling.
create table if not exists holdfast_seen (
    -- Several consumers may live in one database, each with a name of its own.
    consumer text not null,
    subject text collate "C" not null,
    -- The sequence of the last event that was handled, or given up.
    last bigint not null,
    handled_at timestamptz not null default now(),
    primary key (consumer, subject)
) with (fillfactor = 80); -- `last` stands in no index: with room in its page, a row is updated in place

-- What was waited for in vain and then passed over. Should it come after all, it is a dead letter and no duplicate.
create table if not exists holdfast_skipped (
    consumer text not null,
    subject text collate "C" not null,
    first bigint not null,
    last bigint not null,
    skipped_at timestamptz not null default now(),
    primary key (consumer, subject, first)
);
