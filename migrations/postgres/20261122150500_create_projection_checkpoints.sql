-- How far each read model has read the log, which of its versions is read, and the events it could
-- not take. The read models' own tables are no migrations: each version has tables of its own.
create table projection_checkpoints (
    projector  text        not null,
    version    integer     not null,
    partition  smallint    not null,
    position   bigint      not null default 0, -- everything of the partition up to here is in it
    updated_at timestamptz not null default now(),
    constraint projection_checkpoints_pkey primary key (projector, version, partition),
    constraint projection_checkpoints_version_check check (version > 0),
    constraint projection_checkpoints_partition_check check (partition >= 0),
    constraint projection_checkpoints_position_check check (position >= 0)
) with (fillfactor = 50); -- rewritten all the time: room for new row versions beside the old ones

create table projection_versions (
    projector      text    not null,
    active_version integer not null, -- the one queries read and workers feed
    constraint projection_versions_pkey primary key (projector),
    constraint projection_versions_active_version_check check (active_version > 0)
);

create table parked_events (
    projector       text        not null,
    version         integer     not null,
    partition       smallint    not null,
    park_key        text        not null, -- later events of the same key wait behind
    position        bigint      not null,
    event_id        uuid        not null,
    error           text,                 -- null: nothing wrong with this one, it only waits
    parked_at       timestamptz not null default now(),
    retry_requested boolean     not null default false,
    constraint parked_events_pkey primary key (projector, version, position)
);
create index parked_events_key_idx on parked_events (projector, version, park_key, position);

-- Who empties a table of a read model gets it back: its projector starts again from the beginning.
create function restart_projection() returns trigger language plpgsql as $$
begin
    delete from projection_checkpoints where projector = tg_argv[0] and version = tg_argv[1]::integer;
    delete from parked_events where projector = tg_argv[0] and version = tg_argv[1]::integer;
    return null;
end
$$;
