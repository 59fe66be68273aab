-- People who asked to be forgotten, and from when on. Follows from their events; the process that carries it
-- out keeps it, so that it need not look for them.
create table departures (
    person_id uuid        not null,
    due_at    timestamptz not null,
    constraint departures_pkey primary key (person_id)
);
create index departures_due_idx on departures (due_at);

-- The rooms that somebody ever joined: to put them out of all of them.
create index events_joined_idx on events ((payload -> event_type ->> 'userId')) where event_type = 'MemberJoined';

insert into process_positions (process, position)
select 'departures', coalesce(max(position), 0) from positions;
