-- The role that sql-exporter asks with, in docker-compose.yml: it reads and does nothing else. Where data are real, give its
-- like `select` on the tables that sql-exporter/holdfast.collector.yml names, and a password of its own.
create role metrics login password 'metrics' connection limit 5;
grant pg_monitor, pg_read_all_data to metrics;
alter role metrics set default_transaction_read_only = on;
alter role metrics set statement_timeout = '5s';
