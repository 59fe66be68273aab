-- The event log: the only truth. Rows are inserted by the append statement and never change.
create table events (
    aggregate_type text        not null,
    aggregate_id   text        not null,
    sequence       bigint      not null, -- place in the stream: 1, 2, 3 …
    event_id       uuid        not null,
    event_type     text        not null,
    event_version  text        not null,
    payload        json        not null, -- json, not jsonb: the stored bytes are what the chain proves
    metadata       json        not null,
    channel        text,                 -- room or conversation whose clients see the event numbered
    recorded_at    timestamptz not null default clock_timestamp(),
    transaction_id xid8        not null default pg_current_xact_id(),
    log_number     bigint      not null generated always as identity,
    constraint events_pkey primary key (aggregate_type, aggregate_id, sequence),
    constraint events_event_id_key unique (event_id),
    constraint events_log_number_key unique (log_number),
    constraint events_sequence_check check (sequence > 0)
);

-- The order in which the relay takes events. Transaction ids are handed out late, so a reader that
-- stops below the oldest running transaction never passes one that commits later.
create index events_order_idx on events (transaction_id, log_number);

-- Place in the whole log, assigned by the relay alone. The primary key fences off a second relay.
create table positions (
    position    bigint not null, -- 1, 2, 3 … without gaps
    log_number  bigint not null,
    channel     text,
    channel_seq bigint,          -- 1, 2, 3 … within the channel
    chain_hash  bytea  not null, -- SHA-256 over the previous hash and the stored event
    constraint positions_pkey primary key (position),
    constraint positions_log_number_key unique (log_number),
    constraint positions_channel_key unique (channel, channel_seq),
    constraint positions_channel_check check ((channel is null) = (channel_seq is null))
);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'rows of % are never changed', tg_table_name using errcode = 'restrict_violation';
end
$$;

-- transaction_id is not listed: a log restored into another cluster gets new ones.
create trigger events_are_immutable
    before delete or update of aggregate_type, aggregate_id, sequence, event_id, event_type,
        event_version, payload, metadata, channel, recorded_at, log_number on events
    for each row execute function refuse_change();
create trigger events_are_not_truncated
    before truncate on events for each statement execute function refuse_change();
create trigger positions_are_immutable
    before update or delete on positions for each row execute function refuse_change();
create trigger positions_are_not_truncated
    before truncate on positions for each statement execute function refuse_change();
