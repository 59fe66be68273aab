//! A subject of study, from a catalogue that is seeded.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AggregateRoot, ClaimChange, SubjectId,
    macros::{aggregate, domain_event, rejection},
};

/// What someone asks of the catalogue. Imperative; never persisted.
#[derive(Clone, Debug)]
pub enum SubjectCommand {
    /// List a subject.
    Add {
        /// See [`Subject::id_of`].
        subject_id: SubjectId,
        /// Unique without case.
        name: String,
        /// The shelf it stands on.
        category: String,
        /// One sentence.
        description: String,
        /// When.
        at: DateTime<Utc>,
    },
}

/// What happened to a subject. Past tense; persisted for ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum SubjectEvent {
    /// The subject can be chosen.
    SubjectAdded {
        /// Which subject.
        subject_id: SubjectId,
        /// Unique without case.
        name: String,
        /// The shelf it stands on.
        category: String,
        /// One sentence.
        description: String,
        /// When.
        at: DateTime<Utc>,
    },
}

domain_event!(SubjectEvent { SubjectAdded => "1.0" });

/// Why a command to the catalogue was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// Another subject has this name.
    #[error("there is a subject of this name")]
    NameTaken,
}

rejection!(SubjectError { NameTaken => Conflict, "subject_name_taken"; });

/// What a decision about a subject needs to know, and no more.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub enum Subject {
    /// Not in the catalogue.
    #[default]
    Absent,
    /// In the catalogue.
    Listed,
}

aggregate!(Subject = "subject", SubjectCommand -> SubjectEvent | SubjectError);

impl AggregateRoot for Subject {
    const STATE_VERSION: u32 = 1;

    fn claims(event: &SubjectEvent) -> Vec<ClaimChange> {
        let SubjectEvent::SubjectAdded { name, .. } = event;
        vec![ClaimChange::Take { scope: Self::NAME, value: name.to_lowercase() }]
    }

    fn claim_taken(scope: &str) -> Option<SubjectError> {
        (scope == Self::NAME).then_some(SubjectError::NameTaken)
    }
}

impl Subject {
    /// The claim scope of subject names.
    pub const NAME: &'static str = "subject_name";

    /// The same name has the same id in every installation, so seeding twice changes nothing.
    #[must_use]
    pub fn id_of(name: &str) -> SubjectId {
        const NAMESPACE: Uuid = Uuid::from_u128(0x5375_626a_6563_7473_8000_7374_7564_7968);
        SubjectId(Uuid::new_v5(&NAMESPACE, name.to_lowercase().as_bytes()))
    }

    /// The rules: state and command in, facts or a refusal out.
    #[expect(clippy::unnecessary_wraps, reason = "the shape of every aggregate")]
    fn decide(&self, command: SubjectCommand) -> Result<Vec<SubjectEvent>, SubjectError> {
        let SubjectCommand::Add { subject_id, name, category, description, at } = command;
        match self {
            Self::Absent => {
                Ok(vec![SubjectEvent::SubjectAdded { subject_id, name, category, description, at }])
            }
            // Asking for what already holds succeeds and records nothing.
            Self::Listed => Ok(vec![]),
        }
    }

    /// Folds one recorded fact into the state. Facts cannot be refused.
    fn evolve(&mut self, event: &SubjectEvent) {
        let SubjectEvent::SubjectAdded { .. } = event;
        *self = Self::Listed;
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;

    fn add() -> SubjectCommand {
        SubjectCommand::Add {
            subject_id: Subject::id_of("Algebra"),
            name: "Algebra".into(),
            category: "Mathematics".into(),
            description: "Structures and equations.".into(),
            at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        }
    }

    #[test]
    fn a_subject_is_listed_once() {
        let added = Subject::Absent.decide(add()).unwrap();
        TestFramework::<Subject>::with(())
            .given_no_previous_events()
            .when(add())
            .then_expect_events(added.clone());
        TestFramework::<Subject>::with(()).given(added).when(add()).then_expect_events(vec![]);
    }

    #[test]
    fn a_name_has_one_id_whatever_its_case() {
        assert_eq!(Subject::id_of("Algebra"), Subject::id_of("ALGEBRA"));
        assert_ne!(Subject::id_of("Algebra"), Subject::id_of("Analysis"));
    }
}
