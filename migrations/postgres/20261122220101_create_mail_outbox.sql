-- E-mails that are to be sent, until the mail server has them. What they say and where they go follows from
-- the event at this position: nothing about anybody stands here. A dead one is not tried any more.
create table mail_outbox (
    position    bigint      not null,
    kind        text        not null,
    person_id   uuid        not null, -- the mails of one person are sent one after the other
    attempts    integer     not null default 0,
    created_at  timestamptz not null,
    next_try_at timestamptz not null,
    dead_at     timestamptz,
    reason      text,
    constraint mail_outbox_pkey primary key (position, kind),
    constraint mail_outbox_attempts_check check (attempts >= 0),
    constraint mail_outbox_dead_check check ((dead_at is null) = (reason is null))
) with (fillfactor = 50);
create index mail_outbox_waiting_idx on mail_outbox (person_id, position, kind) where dead_at is null;
create index mail_outbox_dead_idx on mail_outbox (dead_at) where dead_at is not null;
