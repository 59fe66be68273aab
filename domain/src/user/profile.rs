//! What someone shows of themselves, what they study, and what they allow others.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{EducationLevel, UserError, UserEvent};
use crate::{
    Change, Personal, SubjectId, UserId,
    study::{LanguageTag, StudyLevel, StudyRole, StudySubject, TimeSlot, TimeZone},
    text::{Bio, FullName, Goals, Institution, Username},
};

/// Who may write someone direct messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DmPolicy {
    /// Everyone who is not blocked.
    #[default]
    Everyone,
    /// Who is in a room with them.
    SharedRoom,
    /// Nobody.
    Nobody,
}

/// What someone allows others. Nothing of it says who they are, so it is not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preferences {
    /// Who may write them direct messages.
    pub dm_policy: DmPolicy,
    /// Whether others see that they are typing.
    pub typing_visible: bool,
    /// Whether others see what they have read.
    pub read_receipts: bool,
    /// Whether a search for people finds them.
    pub discoverable: bool,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            dm_policy: DmPolicy::default(),
            typing_visible: true,
            read_receipts: true,
            discoverable: true,
        }
    }
}

/// Which preferences to change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PreferencesEdit {
    /// See [`Preferences::dm_policy`].
    pub dm_policy: Option<DmPolicy>,
    /// See [`Preferences::typing_visible`].
    pub typing_visible: Option<bool>,
    /// See [`Preferences::read_receipts`].
    pub read_receipts: Option<bool>,
    /// See [`Preferences::discoverable`].
    pub discoverable: Option<bool>,
}

impl PreferencesEdit {
    fn of(self, now: Preferences) -> Preferences {
        Preferences {
            dm_policy: self.dm_policy.unwrap_or(now.dm_policy),
            typing_visible: self.typing_visible.unwrap_or(now.typing_visible),
            read_receipts: self.read_receipts.unwrap_or(now.read_receipts),
            discoverable: self.discoverable.unwrap_or(now.discoverable),
        }
    }
}

/// Which parts of a profile to change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileEdit {
    /// Shown to others.
    pub full_name: Change<FullName>,
    /// Public handle; unique.
    pub username: Change<Option<Username>>,
    /// What they say about themselves.
    pub bio: Change<Option<Bio>>,
    /// How far their education has come.
    pub education_level: Change<Option<EducationLevel>>,
    /// Where they study or work.
    pub institution: Change<Option<Institution>>,
    /// The languages they speak.
    pub languages: Change<Vec<LanguageTag>>,
    /// Where their clock is.
    pub time_zone: Change<Option<TimeZone>>,
    /// When in the week they have time.
    pub availability: Change<Vec<TimeSlot>>,
    /// What they want to reach.
    pub goals: Change<Option<Goals>>,
    /// What they allow others.
    pub preferences: PreferencesEdit,
}

/// What someone asks of their profile.
#[derive(Clone, Debug)]
pub enum ProfileCommand {
    /// Change parts of it.
    Edit {
        /// Which.
        edit: Box<ProfileEdit>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Study or teach a subject, or do so differently.
    SetSubject {
        /// Which; in the catalogue.
        subject_id: SubjectId,
        /// `None` leaves it as it is.
        level: Option<StudyLevel>,
        /// `None` leaves it as it is.
        role: Option<StudyRole>,
        /// Subjects that one person may have.
        most: usize,
        /// When.
        at: DateTime<Utc>,
    },
    /// Let others see whether one is there, or not.
    ShowPresence {
        /// Whether they do.
        visible: bool,
        /// When.
        at: DateTime<Utc>,
    },
    /// Have nothing to do with a subject any more.
    RemoveSubject {
        /// Which.
        subject_id: SubjectId,
        /// When.
        at: DateTime<Utc>,
    },
}

/// What decisions about a profile need to know: all of it, so that saying again what holds already
/// records nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Public handle.
    pub username: Personal<Option<Username>>,
    /// What they say about themselves.
    pub bio: Personal<Option<Bio>>,
    /// How far their education has come.
    pub education_level: Personal<Option<EducationLevel>>,
    /// Where they study or work.
    pub institution: Personal<Option<Institution>>,
    /// The languages they speak.
    pub languages: Personal<Vec<LanguageTag>>,
    /// Where their clock is.
    pub time_zone: Personal<Option<TimeZone>>,
    /// When in the week they have time.
    pub availability: Personal<Vec<TimeSlot>>,
    /// What they want to reach.
    pub goals: Personal<Option<Goals>>,
    /// What they allow others.
    pub preferences: Preferences,
    /// What they study and teach, in the order of adding.
    pub subjects: Personal<Vec<StudySubject>>,
    /// Whether they want to look as if they were not there.
    #[serde(default)]
    pub invisible: bool,
}

impl Profile {
    /// As it is after registering.
    pub(super) fn new(
        username: Personal<Option<Username>>,
        education_level: Personal<Option<EducationLevel>>,
        institution: Personal<Option<Institution>>,
    ) -> Self {
        Self {
            username,
            education_level,
            institution,
            bio: None.into(),
            languages: Vec::new().into(),
            time_zone: None.into(),
            availability: Vec::new().into(),
            goals: None.into(),
            preferences: Preferences::default(),
            subjects: Vec::new().into(),
            invisible: false,
        }
    }

    pub(super) fn decide(
        &self,
        user_id: UserId,
        full_name: &Personal<FullName>,
        command: ProfileCommand,
    ) -> Result<Vec<UserEvent>, UserError> {
        match command {
            ProfileCommand::Edit { edit, at } => Ok(self.edit(user_id, full_name, *edit, at)),
            ProfileCommand::SetSubject { subject_id, level, role, most, at } => {
                self.set_subject(user_id, subject_id, level, role, most, at)
            }
            ProfileCommand::ShowPresence { visible, .. } if visible != self.invisible => Ok(vec![]),
            ProfileCommand::ShowPresence { visible, at } => {
                Ok(vec![UserEvent::PresenceVisibilityChanged { user_id, visible, at }])
            }
            ProfileCommand::RemoveSubject { subject_id, at } => {
                Ok(self.remove_subject(user_id, subject_id, at))
            }
        }
    }

    fn edit(
        &self,
        user_id: UserId,
        full_name: &Personal<FullName>,
        edit: ProfileEdit,
        at: DateTime<Utc>,
    ) -> Vec<UserEvent> {
        let mut events = Vec::new();
        if let Change::Set(username) = edit.username.differing_from(&self.username) {
            let previous = self.username.clone();
            events.push(UserEvent::UsernameChanged { user_id, previous, username, at });
        }
        let full_name = edit.full_name.differing_from(full_name);
        let bio = edit.bio.differing_from(&self.bio);
        let education_level = edit.education_level.differing_from(&self.education_level);
        let institution = edit.institution.differing_from(&self.institution);
        let languages = edit.languages.differing_from(&self.languages);
        let time_zone = edit.time_zone.differing_from(&self.time_zone);
        let availability = edit.availability.differing_from(&self.availability);
        let goals = edit.goals.differing_from(&self.goals);
        let unchanged = full_name.is_keep()
            && bio.is_keep()
            && education_level.is_keep()
            && institution.is_keep()
            && languages.is_keep()
            && time_zone.is_keep()
            && availability.is_keep()
            && goals.is_keep();
        if !unchanged {
            events.push(UserEvent::ProfileChanged {
                user_id,
                full_name,
                bio,
                education_level,
                institution,
                languages,
                time_zone,
                availability,
                goals,
                at,
            });
        }
        let preferences = edit.preferences.of(self.preferences);
        if preferences != self.preferences {
            events.push(UserEvent::PreferencesChanged { user_id, preferences, at });
        }
        events
    }

    fn set_subject(
        &self,
        user_id: UserId,
        subject_id: SubjectId,
        level: Option<StudyLevel>,
        role: Option<StudyRole>,
        most: usize,
        at: DateTime<Utc>,
    ) -> Result<Vec<UserEvent>, UserError> {
        let mut subjects = self.subjects();
        match subjects.iter().position(|entry| entry.subject_id == subject_id) {
            Some(place) => {
                let entry = &mut subjects[place];
                let before = *entry;
                entry.level = level.or(entry.level);
                entry.role = role.unwrap_or(entry.role);
                if *entry == before {
                    return Ok(vec![]);
                }
            }
            None if subjects.len() >= most => return Err(UserError::TooManySubjects { most }),
            None => subjects.push(StudySubject {
                subject_id,
                level,
                role: role.unwrap_or_default(),
                added_at: at,
            }),
        }
        let (subject_id, subjects) = (subject_id.into(), subjects.into());
        Ok(vec![UserEvent::StudySubjectSet { user_id, subject_id, subjects, at }])
    }

    fn remove_subject(
        &self,
        user_id: UserId,
        subject_id: SubjectId,
        at: DateTime<Utc>,
    ) -> Vec<UserEvent> {
        let mut subjects = self.subjects();
        let before = subjects.len();
        subjects.retain(|entry| entry.subject_id != subject_id);
        if subjects.len() == before {
            return vec![];
        }
        let (subject_id, subjects) = (subject_id.into(), subjects.into());
        vec![UserEvent::StudySubjectRemoved { user_id, subject_id, subjects, at }]
    }

    fn subjects(&self) -> Vec<StudySubject> {
        self.subjects.known().cloned().unwrap_or_default()
    }

    /// One subject of the profile.
    #[must_use]
    pub fn subject(&self, subject_id: SubjectId) -> Option<StudySubject> {
        let subjects = self.subjects.known()?;
        subjects.iter().find(|entry| entry.subject_id == subject_id).copied()
    }

    pub(super) fn evolve(&mut self, event: &UserEvent) {
        match event {
            UserEvent::UsernameChanged { username, .. } => self.username = username.clone(),
            UserEvent::ProfileChanged {
                bio,
                education_level,
                institution,
                languages,
                time_zone,
                availability,
                goals,
                ..
            } => {
                bio.apply_to(&mut self.bio);
                education_level.apply_to(&mut self.education_level);
                institution.apply_to(&mut self.institution);
                languages.apply_to(&mut self.languages);
                time_zone.apply_to(&mut self.time_zone);
                availability.apply_to(&mut self.availability);
                goals.apply_to(&mut self.goals);
            }
            UserEvent::PreferencesChanged { preferences, .. } => self.preferences = *preferences,
            UserEvent::PresenceVisibilityChanged { visible, .. } => self.invisible = !visible,
            UserEvent::StudySubjectSet { subjects, .. }
            | UserEvent::StudySubjectRemoved { subjects, .. } => self.subjects = subjects.clone(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
