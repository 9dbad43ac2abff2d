-- Requests a second that a client may make of one process. Null: what is configured for all; 0: as many as it likes.
alter table clients
    add column submissions_per_s int,
    add column reads_per_s int,
    add constraint clients_submissions_per_s_check check (submissions_per_s between 0 and 1000000),
    add constraint clients_reads_per_s_check check (reads_per_s between 0 and 1000000);
