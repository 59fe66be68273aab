//! `last_changes`: the log position of the last change of what `cache` keeps, so that nothing
//! older is believed. Redis, two sorted sets whose scores are positions: `changed:users`, with a member
//! for each of a fixed number of groups of people, and `changed:subjects` with one member.
use std::ops::Range;

use domain::{AnyEvent, Recorded, UserId};

use crate::changes::KeyChange;
use crate::names;
use crate::projector::Projector;

/// The keys of a version, for those who look at all of them.
pub(crate) const PATTERNS: &[&str] = &["changed:*"];

/// Groups of people: more cost memory, fewer make one person's change hide what is kept of others.
const GROUPS: u128 = 16_384;

/// Feeds `last_changes`. Positions only rise, so events of many aggregates may share a member.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastChangesProjector;

impl Projector for LastChangesProjector {
    type Change = KeyChange;
    const NAME: &'static str = names::LAST_CHANGES;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["user", "subject"];
    const CONFIRMED: bool = true;

    fn project(&self, recorded: &Recorded) -> Vec<KeyChange> {
        let topic = match &recorded.event {
            AnyEvent::User(_) => recorded.aggregate_id.parse().ok().map(Topic::User),
            AnyEvent::Subject(_) => Some(Topic::Subjects),
            _ => None,
        };
        let raise = |topic: Topic| {
            let (key, member) = topic.place();
            KeyChange::Raise { key: key.to_owned(), member, to: recorded.position.0 }
        };
        topic.map(raise).into_iter().collect()
    }
}

/// What an answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// One account.
    User(UserId),
    /// The catalogue of subjects.
    Subjects,
}

impl Topic {
    /// The sorted set and the member in it.
    pub(crate) fn place(self) -> (&'static str, String) {
        match self {
            Self::User(UserId(id)) => ("changed:users", (id.as_u128() % GROUPS).to_string()),
            Self::Subjects => ("changed:subjects", "all".to_owned()),
        }
    }

    /// The read model whose rows answer.
    pub(crate) fn model(self) -> &'static str {
        match self {
            Self::User(_) => names::USERS,
            Self::Subjects => names::SUBJECTS,
        }
    }

    /// The partitions from which its events come.
    pub(crate) fn partitions(self) -> Range<u16> {
        match self {
            Self::User(id) => {
                let partition = eventstore::partition_of(&id.to_string());
                partition..partition + 1
            }
            Self::Subjects => 0..eventstore::PARTITIONS,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{SubjectEvent, SubjectId, UserEvent};
    use uuid::Uuid;

    use super::*;
    use crate::samples::{ANA, BEN, at, created, in_room, recorded};

    const ALGEBRA: SubjectId = SubjectId(Uuid::from_u128(0x5));

    #[test]
    fn a_change_of_an_account_or_of_the_catalogue_leaves_its_position() {
        let suspended = UserEvent::AccountReinstated { user_id: ANA, at: at(0) };
        let added = SubjectEvent::SubjectAdded {
            subject_id: ALGEBRA,
            name: "Algebra".into(),
            category: "Mathematics".into(),
            description: "Structures.".into(),
            at: at(0),
        };
        let raise = |key: &str, member: &str, to| {
            [KeyChange::Raise { key: key.into(), member: member.into(), to }]
        };
        let project = |recorded| LastChangesProjector.project(&recorded);
        assert_eq!(
            project(recorded(&ANA, 7, AnyEvent::User(suspended))),
            raise("changed:users", "10", 1007)
        );
        assert_eq!(
            project(recorded(&ALGEBRA, 1, AnyEvent::Subject(added))),
            raise("changed:subjects", "all", 1001)
        );
        assert_eq!(project(in_room(1, created())), []);
    }

    #[test]
    fn people_share_a_bounded_number_of_members() {
        assert_ne!(Topic::User(ANA).place(), Topic::User(BEN).place());
        let far = UserId(Uuid::from_u128(ANA.0.as_u128() + GROUPS));
        assert_eq!(Topic::User(ANA).place(), Topic::User(far).place());
    }
}
