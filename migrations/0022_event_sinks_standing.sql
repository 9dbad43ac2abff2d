-- Whether a sink's place was ever seen to be among transactions that were yet to come: it is of another server then, and stays
-- so also when this one has counted past it. And when somebody last had the turn, also where nobody has it now.
alter table event_sinks
    add column ahead boolean not null default false,
    add column held_at timestamptz;
