//! Limits of messages.

use serde::Deserialize;

/// `[messages]`: limits of what becomes of messages.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    /// How long a message may be edited after it was sent, minutes.
    pub edit_window_minutes: u32,
    /// Different reactions to one message.
    pub max_reaction_kinds: u32,
    /// Wordings of one message, the first one among them.
    pub max_wordings: u32,
    /// How often one person may set a reaction to one message or take one back.
    pub max_reaction_changes: u32,
    /// Conversations that a person may begin with strangers on one day.
    pub max_new_conversations_per_day: u32,
}
