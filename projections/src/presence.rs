//! What people want others to see of them, and whether they are there. Redis, written by the nodes
//! that have their sockets, not by a projector: nothing of it is recorded, and a node that died
//! takes its part with it. But that somebody wants not to be seen is recorded (`active_members`), for when
//! what is kept here is lost.
//!
//! `user:{userId}:socket` lives while a socket of the person does, `user:{userId}:moving` for a while after
//! its node ended, `user:{userId}:presence` is what they chose, `user:{userId}:seen` is when they were last
//! seen.
use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use domain::UserId;
use serde::{Deserialize, Serialize};

use crate::{ReadError, ReadModels};

/// What someone wants others to see while they are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresenceChoice {
    /// Here.
    #[default]
    Online,
    /// Here, but not looking.
    Away,
    /// Here, and not to be disturbed.
    Dnd,
    /// Nothing: as if they were not there.
    Invisible,
}

impl PresenceChoice {
    /// The stored and public name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
            Self::Dnd => "dnd",
            Self::Invisible => "invisible",
        }
    }

    /// Reads [`PresenceChoice::as_str`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Online, Self::Away, Self::Dnd, Self::Invisible]
            .into_iter()
            .find(|choice| choice.as_str() == name)
    }
}

/// What others see of someone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `online`, `away` or `dnd`; `None` is offline.
    pub status: Option<PresenceChoice>,
    /// When they were last there; `None` for those who are, and where nobody knows.
    pub last_seen_at: Option<DateTime<Utc>>,
}

impl Seen {
    /// The public name of the status.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        status_name(self.status)
    }

    fn new(has_sockets: bool, chosen: Option<&str>, seen: Option<i64>) -> Self {
        let chosen = chosen.and_then(PresenceChoice::parse).unwrap_or_default();
        let visible = has_sockets && chosen != PresenceChoice::Invisible;
        let status = visible.then_some(chosen);
        let last_seen_at = seen.filter(|_| !visible).and_then(DateTime::from_timestamp_millis);
        Self { status, last_seen_at }
    }
}

/// The public name of what others see of someone; `None` is offline.
#[must_use]
pub fn status_name(status: Option<PresenceChoice>) -> &'static str {
    status.map_or("offline", PresenceChoice::as_str)
}

/// The set of a person's sockets.
#[must_use]
pub fn sockets_key(id: UserId) -> String {
    format!("user:{id}:socket")
}

/// Whether a person whose node ended is to come back at another one. They are there meanwhile.
#[must_use]
pub fn moving_key(id: UserId) -> String {
    format!("user:{id}:moving")
}

/// What a person chose.
#[must_use]
pub fn choice_key(id: UserId) -> String {
    format!("user:{id}:presence")
}

/// When a person was last there, milliseconds since 1970.
#[must_use]
pub fn seen_key(id: UserId) -> String {
    format!("user:{id}:seen")
}

/// Queries of presence.
#[derive(Clone, Copy)]
pub struct Presence<'a>(pub(crate) &'a ReadModels);

impl Presence<'_> {
    /// What others see of these people.
    ///
    /// # Errors
    /// [`ReadError`] when Redis is unavailable.
    pub async fn of(&self, ids: &[UserId]) -> Result<HashMap<UserId, Seen>, ReadError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let prefix = &self.0.0.key_prefix;
        let mut redis = self.0.redis();
        let mut sockets = redis::pipe();
        let (mut choices, mut seen) = (Vec::new(), Vec::new());
        for id in ids {
            let keys = [sockets_key(*id), moving_key(*id)];
            sockets.exists(&keys.map(|key| format!("{prefix}{key}")));
            choices.push(format!("{prefix}{}", choice_key(*id)));
            seen.push(format!("{prefix}{}", seen_key(*id)));
        }
        let sockets: Vec<bool> = sockets.query_async(&mut redis).await?;
        let mut values = redis::pipe();
        values.mget(&choices).mget(&seen);
        let (choices, seen): (Vec<Option<String>>, Vec<Option<i64>>) =
            values.query_async(&mut redis).await?;
        let invisible = self.invisible(ids).await?;
        let people = ids.iter().zip(sockets).zip(choices.iter().zip(seen));
        let people = people.map(|((id, has_sockets), (choice, seen))| {
            let shown = has_sockets && !invisible.contains(id);
            (*id, Seen::new(shown, choice.as_deref(), seen))
        });
        Ok(people.collect())
    }

    /// Who of these people wants to look as if they were not there: by what they chose, or where that is
    /// lost, by what was recorded.
    ///
    /// # Errors
    /// [`ReadError`] when Redis is unavailable.
    pub async fn invisible(&self, ids: &[UserId]) -> Result<HashSet<UserId>, ReadError> {
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let prefix = &self.0.0.key_prefix;
        let choices: Vec<_> = ids.iter().map(|id| format!("{prefix}{}", choice_key(*id))).collect();
        let names: Vec<_> = ids.iter().map(UserId::to_string).collect();
        let mut both = redis::pipe();
        both.mget(&choices).smismember(self.0.active_members().invisible_key(), names);
        let (chosen, recorded): (Vec<Option<String>>, Vec<bool>) =
            both.query_async(&mut self.0.redis()).await?;
        let hidden = chosen.iter().zip(recorded).map(|(chosen, recorded)| {
            let chosen = chosen.as_deref().and_then(PresenceChoice::parse);
            chosen.map_or(recorded, |chosen| chosen == PresenceChoice::Invisible)
        });
        Ok(ids.iter().zip(hidden).filter(|(_, hidden)| *hidden).map(|(id, _)| *id).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_invisible_looks_like_who_is_not_there() {
        let hidden = Seen::new(true, Some("invisible"), Some(1_800_000_000_000));
        assert_eq!(hidden, Seen::new(false, Some("dnd"), Some(1_800_000_000_000)));
        assert_eq!(hidden.as_str(), "offline");
        assert!(hidden.last_seen_at.is_some());
    }

    #[test]
    fn who_is_there_is_online_unless_they_say_otherwise() {
        assert_eq!(Seen::new(true, None, Some(7)).as_str(), "online");
        assert_eq!(Seen::new(true, None, Some(7)).last_seen_at, None);
        assert_eq!(Seen::new(true, Some("away"), None).as_str(), "away");
        assert_eq!(Seen::new(false, None, None).as_str(), "offline");
    }
}
