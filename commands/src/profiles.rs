//! What people show of themselves, what they study, and what they allow others.
use chrono::{DateTime, Utc};
use domain::{
    Personal, Preferences, Profile, ProfileCommand, ProfileEdit, RejectionKind, SubjectId, User,
    UserCommand, UserEvent, UserId,
    study::{StudyLevel, StudyRole, StudySubject},
    text::FullName,
};
use serde::{Deserialize, Serialize};

use crate::{
    Caller, CommandError, Commands, IdempotencyKey, Written,
    bus::{Context, Executed},
    metadata,
    requests::{Timer, replay},
};

/// A profile after an edit.
#[derive(Clone, Debug)]
pub struct EditedProfile {
    /// Shown to others.
    pub full_name: Personal<FullName>,
    /// The rest of it.
    pub profile: Profile,
    /// The version of the account.
    pub version: i64,
    /// When it changed; `None` if it held already.
    pub changed_at: Option<DateTime<Utc>>,
}

/// What putting a subject on the profile came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubjectSet {
    /// Whether it was not there before.
    pub created: bool,
    /// The entry as it is now.
    pub entry: StudySubject,
}

impl Commands {
    /// Changes parts of the caller's profile. What holds already is not recorded.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `username_taken`; [`CommandError::VersionMismatch`] if the
    /// account is not at `if_version` any more.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id,
    ))]
    pub async fn edit_profile(
        &self,
        caller: &Caller,
        edit: ProfileEdit,
        if_version: Option<i64>,
    ) -> Result<Written<EditedProfile>, CommandError> {
        let _timer = Timer::start("edit_profile");
        let at = self.now();
        let command = ProfileCommand::Edit { edit: Box::new(edit), at };
        let context = Context::new(metadata(Some(caller.user_id), &caller.request_id))
            .with_version(if_version);
        let executed = self.execute_profile(caller, command, context).await?;
        let (version, receipt) = (executed.version, executed.receipt);
        let changed_at = executed.events.last().map(|_| at);
        let User::Active { full_name, profile, .. } = executed.state else {
            return Err(no_account());
        };
        if changed_at.is_some() {
            // Who looks at this node sees the new name at once.
            self.forget_person(caller.user_id);
        }
        let value = EditedProfile { full_name, profile: *profile, version, changed_at };
        Ok(Written { value, receipt, replayed: false })
    }

    /// Puts a subject on the caller's profile, or changes what it says there.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `subject_not_found` or `limit_reached`;
    /// [`CommandError::IdempotencyKeyReused`].
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, subject.id = %subject_id,
    ))]
    pub async fn set_subject(
        &self,
        caller: &Caller,
        subject_id: SubjectId,
        level: Option<StudyLevel>,
        role: Option<StudyRole>,
        key: Option<IdempotencyKey>,
    ) -> Result<Written<SubjectSet>, CommandError> {
        let _timer = Timer::start("set_subject");
        self.require_subject(subject_id).await?;
        let most = usize::from(self.inner.users.max_subjects);
        let at = self.now();
        let command = ProfileCommand::SetSubject { subject_id, level, role, most, at };
        let answer =
            move |events: &[UserEvent], user: &User| subject_set(events, user, subject_id, at);
        let context = Context::new(metadata(Some(caller.user_id), &caller.request_id))
            .with_idempotency(self.keep_answer(key, caller, answer));
        let executed = self.execute_profile(caller, command, context).await?;
        let value = if executed.replayed {
            replay::<Option<SubjectSet>>(executed.answer)?
        } else {
            answer(&executed.events, &executed.state)
        };
        let value = value.ok_or_else(no_account)?;
        Ok(Written { value, receipt: executed.receipt, replayed: executed.replayed })
    }

    /// Takes a subject off the caller's profile. One that is not there is no error.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] and its like.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, subject.id = %subject_id,
    ))]
    pub async fn remove_subject(
        &self,
        caller: &Caller,
        subject_id: SubjectId,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("remove_subject");
        let command = ProfileCommand::RemoveSubject { subject_id, at: self.now() };
        let context = Context::new(metadata(Some(caller.user_id), &caller.request_id));
        let executed = self.execute_profile(caller, command, context).await?;
        Ok(Written { value: (), receipt: executed.receipt, replayed: executed.replayed })
    }

    /// Lets others see whether the caller is there, or not. What holds already is not recorded. Answers the
    /// version of the account.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] and its like.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id,
    ))]
    pub async fn show_presence(
        &self,
        caller: &Caller,
        visible: bool,
    ) -> Result<Written<i64>, CommandError> {
        let _timer = Timer::start("show_presence");
        let command = ProfileCommand::ShowPresence { visible, at: self.now() };
        let context = Context::new(metadata(Some(caller.user_id), &caller.request_id));
        let executed = self.execute_profile(caller, command, context).await?;
        Ok(Written {
            value: executed.version,
            receipt: executed.receipt,
            replayed: executed.replayed,
        })
    }

    /// What a person allows others, from the truth; `None` without an account that others see.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] when the store is away.
    pub async fn preferences_of(
        &self,
        user_id: UserId,
    ) -> Result<Option<Preferences>, CommandError> {
        let user = self.inner.bus.state::<User>(&user_id.to_string()).await?;
        Ok(user.profile().filter(|_| !user.looks_like_none()).map(|profile| profile.preferences))
    }

    async fn execute_profile(
        &self,
        caller: &Caller,
        command: ProfileCommand,
        context: Context<User>,
    ) -> Result<Executed<User>, CommandError> {
        let id = caller.user_id.to_string();
        self.inner.bus.execute::<User>(&id, UserCommand::Profile(command), context).await
    }
}

/// What the events of setting a subject come to, or without any what was there. An entry that is as old
/// as the command is new.
fn subject_set(
    events: &[UserEvent],
    user: &User,
    subject_id: SubjectId,
    at: DateTime<Utc>,
) -> Option<SubjectSet> {
    if events.is_empty() {
        let entry = user.profile()?.subject(subject_id)?;
        return Some(SubjectSet { created: false, entry });
    }
    let UserEvent::StudySubjectSet { subjects, .. } = events.last()? else { return None };
    let entry = *subjects.known()?.iter().find(|entry| entry.subject_id == subject_id)?;
    Some(SubjectSet { created: entry.added_at == at, entry })
}

fn no_account() -> CommandError {
    CommandError::refused(
        RejectionKind::Unauthenticated,
        "unauthenticated",
        "this account does not exist any more",
    )
}
