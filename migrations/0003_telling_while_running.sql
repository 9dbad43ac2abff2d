-- A client is told that its command is pending while the run goes on: two lanes append to the trail of one command, each
-- without the other's lock. The run's writes count the sequence; what is told about the state of one sequence counts
-- attempts beside it.
alter table events
    add column attempt smallint not null default 0
        constraint events_attempt_check check (attempt >= 0);
alter table events drop constraint events_pkey;
alter table events add constraint events_pkey primary key (no, sequence, attempt);
