-- The audit trail becomes a chain: each row carries the hash of the row that it follows, and its own. What a process of an
-- earlier release appends has neither, and the chain goes on from the last row that has.
alter table events
    add column previous bytea,
    add column hash bytea;

-- The hash of the last row that the run has appended, and what that one followed. Nothing is there until the first: that
-- follows the acceptance, which its holder knows.
alter table wakeups
    add column previous bytea,
    add column chain bytea;

-- The hash of the row that ended it, so that the end of a trail cannot be taken away.
alter table outcomes add column chain bytea;

-- Everything but the last part has a fixed length. Stable, as convert_to is: else it would not be inlined.
create function holdfast_event_hash(previous bytea, no bigint, sequence int, attempt smallint, at timestamptz, data jsonb)
    returns bytea language sql stable parallel safe as $$
    select sha256('holdfast event 1'::bytea || previous || int8send(no) || int4send(sequence) || int2send(attempt)
                  || timestamptz_send(at) || convert_to(data::text, 'UTF8'))
$$;

-- What the first row of a trail follows: the command as it was accepted.
create function holdfast_acceptance_hash(
    no bigint, id uuid, client int, kind smallint, created_at timestamptz, fingerprint bytea, key text, body text
) returns bytea language sql stable parallel safe as $$
    select sha256('holdfast acceptance 1'::bytea || int8send(no) || uuid_send(id) || int4send(client) || int2send(kind)
                  || timestamptz_send(created_at) || fingerprint || int4send(octet_length(key))
                  || convert_to(key, 'UTF8') || convert_to(body, 'UTF8'))
$$;

-- What the next row of a run follows where nothing at hand says so: processes of an earlier release did not write it down.
create function holdfast_chain_head(command bigint) returns bytea language sql stable as $$
    select coalesce(
        (select e.hash from events e
          where e.no = command and e.attempt = 0 and e.hash is not null
          order by e.sequence desc limit 1),
        (select holdfast_acceptance_hash(c.no, c.id, c.client, c.kind, c.created_at, c.fingerprint, c.key, c.body)
           from commands c where c.no = command))
$$;
