-- How far each process (event in, effect out) has read the log. Not a read model's checkpoint: rebuilding
-- those must never send an e-mail again. Processes begin with what is recorded from now on.
create table process_positions (
    process    text        not null,
    position   bigint      not null,
    updated_at timestamptz not null default now(),
    constraint process_positions_pkey primary key (process),
    constraint process_positions_position_check check (position >= 0)
) with (fillfactor = 50);
insert into process_positions (process, position)
select process, (select coalesce(max(position), 0) from positions)
from unnest(array['mail', 'session_guard']) as process;
