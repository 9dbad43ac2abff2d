-- Lists of commands, newest first: of a client and kind by time, and of those that have ended by status too. Both indexes
-- grow at their ends. What has not ended is listed from wakeups, which holds nothing else.
create index commands_list_idx on commands (client, kind, created_at desc, no desc);

-- Copied from the command, so that a list by status needs no other table to find its rows.
alter table outcomes
    add column client int,
    add column kind smallint,
    add column created_at timestamptz;

update outcomes o
   set client = c.client, kind = c.kind, created_at = c.created_at
  from commands c
 where c.no = o.no;

alter table outcomes
    alter column client set not null,
    alter column kind set not null,
    alter column created_at set not null;

create index outcomes_list_idx on outcomes (client, kind, status, created_at desc, no desc);
