//! The reactions to one message.
use serde::{Deserialize, Serialize};

use crate::{Emoji, UserId};

/// One kind of reaction, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReactionKind {
    /// The sign.
    pub emoji: Emoji,
    /// How many people set it.
    pub count: u32,
    /// The first of them.
    pub user_ids: Vec<UserId>,
}

/// Who set which sign: kinds and people in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reactions(Vec<(Emoji, Vec<UserId>)>);

impl Reactions {
    /// People who are named for one kind.
    pub const NAMED: usize = 20;

    /// Whether the person set this sign.
    #[must_use]
    pub fn has(&self, emoji: &Emoji, user_id: UserId) -> bool {
        self.0.iter().any(|(kind, people)| kind == emoji && people.contains(&user_id))
    }

    /// Different signs.
    #[must_use]
    pub fn kinds(&self) -> usize {
        self.0.len()
    }

    /// As it is shown to everyone.
    #[must_use]
    pub fn summary(&self) -> Vec<ReactionKind> {
        let kind = |(emoji, people): &(Emoji, Vec<UserId>)| ReactionKind {
            emoji: emoji.clone(),
            count: u32::try_from(people.len()).unwrap_or(u32::MAX),
            user_ids: people.iter().take(Self::NAMED).copied().collect(),
        };
        self.0.iter().map(kind).collect()
    }

    pub(crate) fn add(&mut self, emoji: Emoji, user_id: UserId) {
        match self.0.iter_mut().find(|(kind, _)| *kind == emoji) {
            Some((_, people)) if people.contains(&user_id) => {}
            Some((_, people)) => people.push(user_id),
            None => self.0.push((emoji, vec![user_id])),
        }
    }

    pub(crate) fn remove(&mut self, emoji: &Emoji, user_id: UserId) {
        if let Some((_, people)) = self.0.iter_mut().find(|(kind, _)| kind == emoji) {
            people.retain(|other| *other != user_id);
        }
        self.0.retain(|(_, people)| !people.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_first_twenty_of_many_are_named_and_all_are_counted() {
        let (mut reactions, emoji) = (Reactions::default(), Emoji::parse("👍").unwrap());
        let people: Vec<_> = (1..=25).map(|n| UserId(Uuid::from_u128(n))).collect();
        for person in &people {
            reactions.add(emoji.clone(), *person);
        }
        let shown = reactions.summary();
        assert_eq!((shown.len(), shown[0].count), (1, 25));
        assert_eq!(shown[0].user_ids, people[..20]);
        // Who is not named is known all the same, and moves up.
        assert!(reactions.has(&emoji, people[24]));
        reactions.remove(&emoji, people[0]);
        assert_eq!(reactions.summary()[0].user_ids, people[1..21]);
    }
}
