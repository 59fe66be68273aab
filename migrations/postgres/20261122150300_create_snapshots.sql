-- States of busy aggregates, so that loading need not replay everything. May be emptied any time.
create table snapshots (
    aggregate_type text    not null,
    aggregate_id   text    not null,
    state_version  integer not null, -- other versions are ignored and replaced
    last_sequence  bigint  not null,
    state          json    not null,
    constraint snapshots_pkey primary key (aggregate_type, aggregate_id, state_version)
);
