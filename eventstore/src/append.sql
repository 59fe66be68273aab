-- Stores the events of several independent requests in one statement, one round trip and one
-- transaction. A request whose stream moved on, whose claim is taken or whose key was used is left
-- out as a whole; true races end in a unique violation of the whole statement, which the caller
-- then repeats request by request. A command that recorded nothing may still use up a key: it is
-- kept at the last event of its stream.
--
-- $1..$4 requests; $5..$12 events; $13..$16 claims; $17..$23 idempotency keys
with request as (
    select * from unnest($1::int[], $2::text[], $3::text[], $4::bigint[])
        as r (request, aggregate_type, aggregate_id, expected)
), event as (
    select * from unnest($5::int[], $6::bigint[], $7::uuid[], $8::text[], $9::text[], $10::text[],
                         $11::text[], $12::text[]) with ordinality
        as e (request, sequence, event_id, event_type, event_version, payload, metadata, channel, place)
), claim as materialized (
    select c.*, held.aggregate_type as held_type, held.aggregate_id as held_id
    from unnest($13::int[], $14::text[], $15::bytea[], $16::bool[]) with ordinality
        as c (request, scope, value, take, place)
    left join claims held using (scope, value)
), record as (
    select * from unnest($17::int[], $18::bytea[], $19::bytea[], $20::uuid[], $21::text[],
                         $22::timestamptz[], $23::bigint[]) with ordinality
        as k (request, key, request_hash, subject_id, answer, expires_at, sequence, place)
), taken as (
    select distinct on (c.request) c.request, c.scope, c.value
    from claim c
    join request r using (request)
    where c.take
      and (c.held_type, c.held_id) <> (r.aggregate_type, r.aggregate_id)
    order by c.request, c.place
), seen as (
    select distinct on (k.request) k.request, l.key, l.request_hash, l.subject_id, l.answer,
           l.log_number, l.recorded_at
    from record k
    join command_log l using (key)
    order by k.request, k.place
), verdict as materialized (
    select r.*,
           coalesce((select e.sequence from events e
                     where e.aggregate_type = r.aggregate_type and e.aggregate_id = r.aggregate_id
                     order by e.sequence desc limit 1), 0) as head,
           t.scope as taken_scope, t.value as taken_value,
           s.key as seen_key, s.request_hash as seen_hash, s.subject_id as seen_subject,
           s.answer as seen_answer, s.log_number as seen_log_number,
           s.recorded_at as seen_recorded_at
    from request r
    left join taken t using (request)
    left join seen s using (request)
), accepted as materialized (
    select * from verdict where head = expected and taken_scope is null and seen_key is null
), stored as (
    insert into events (aggregate_type, aggregate_id, sequence, event_id, event_type,
                        event_version, payload, metadata, channel)
    select a.aggregate_type, a.aggregate_id, e.sequence, e.event_id, e.event_type,
           e.event_version, e.payload::json, e.metadata::json, e.channel
    from event e
    join accepted a using (request)
    order by e.place
    returning aggregate_type, aggregate_id, sequence, log_number, recorded_at
), released as (
    delete from claims held
    using claim c, accepted a
    where not c.take and a.request = c.request
      and held.scope = c.scope and held.value = c.value
      and held.aggregate_type = a.aggregate_type and held.aggregate_id = a.aggregate_id
), claimed as (
    insert into claims (scope, value, aggregate_type, aggregate_id)
    select c.scope, c.value, a.aggregate_type, a.aggregate_id
    from claim c
    join accepted a using (request)
    where c.take and c.held_id is null
), last as (
    select aggregate_type, aggregate_id, array_agg(log_number order by sequence) as log_numbers,
           max(recorded_at) as recorded_at
    from stored
    group by aggregate_type, aggregate_id
), logged as (
    insert into command_log (key, request_hash, subject_id, answer, log_number, expires_at)
    select k.key, k.request_hash, k.subject_id, k.answer,
           coalesce(s.log_number,
                    (select e.log_number from events e
                     where e.aggregate_type = a.aggregate_type and e.aggregate_id = a.aggregate_id
                       and e.sequence = k.sequence)),
           k.expires_at
    from record k
    join accepted a using (request)
    left join stored s on s.aggregate_type = a.aggregate_type and s.aggregate_id = a.aggregate_id
        and s.sequence = k.sequence
)
select v.request, v.head, v.taken_scope, v.taken_value, v.seen_key, v.seen_hash, v.seen_subject,
       v.seen_answer, v.seen_log_number, v.seen_recorded_at, a.request is not null as accepted,
       l.log_numbers, l.recorded_at
from verdict v
left join accepted a using (request)
left join last l on a.request is not null
    and l.aggregate_type = v.aggregate_type and l.aggregate_id = v.aggregate_id
