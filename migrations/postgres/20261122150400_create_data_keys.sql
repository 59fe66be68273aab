-- One data key per person, wrapped by the master key. Erasing a person destroys the key.
create table data_keys (
    subject_id  uuid        not null,
    wrapped_key bytea,
    created_at  timestamptz not null default now(),
    erased_at   timestamptz,
    constraint data_keys_pkey primary key (subject_id),
    constraint data_keys_erased_check check ((wrapped_key is null) = (erased_at is not null))
);

-- Who leads: one row per role or projector partition.
create table leases (
    name       text        not null,
    holder     text        not null,
    token      bigint      not null, -- grows with every change of holder
    expires_at timestamptz not null,
    constraint leases_pkey primary key (name)
);
