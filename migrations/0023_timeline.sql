-- What a standby counts on when it takes over: a place among transactions means something only on the timeline that it was
-- read on. 0 where the server does not say; Aurora does not, where a failover loses no commit.
create function holdfast_timeline() returns bigint language plpgsql stable as $$
begin
    return ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint;
exception
    when others then return 0;
end
$$;
