-- The events of one message, wherever it was said: what decisions about it are made on, and how it
-- reads today when an old event of it is shown again.
create index events_message_idx on events ((payload -> event_type ->> 'messageId'), sequence)
    where event_type in ('MessagePosted', 'DirectMessageSent', 'MessageEdited', 'MessageDeleted',
                         'ReactionAdded', 'ReactionRemoved');
