//! What happens to accounts: stored for ever.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{EducationLevel, Preferences, Role, Side};
use crate::{
    Change, Personal, SessionId, SubjectId, UserId,
    macros::domain_event,
    study::{LanguageTag, StudySubject, TimeSlot, TimeZone},
    text::{Bio, Email, FullName, Goals, Institution, Phone, Username},
};

/// What happened to an account. Past tense; persisted for ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum UserEvent {
    /// The account exists and its password opens it.
    UserRegistered {
        /// Whose account.
        user_id: UserId,
        /// As typed; unique by its canonical form.
        email: Personal<Email>,
        /// PHC string.
        password_hash: Personal<String>,
        /// Shown to others.
        full_name: Personal<FullName>,
        /// Public handle.
        username: Personal<Option<Username>>,
        /// E.164.
        phone: Personal<Option<Phone>>,
        /// How far their education has come.
        education_level: Personal<Option<EducationLevel>>,
        /// Where they study or work.
        institution: Personal<Option<Institution>>,
        /// When.
        at: DateTime<Utc>,
    },
    /// The same password under newer hash parameters.
    PasswordRehashed {
        /// Whose account.
        user_id: UserId,
        /// PHC string.
        password_hash: Personal<String>,
        /// When.
        at: DateTime<Utc>,
    },
    /// The person goes by another handle; the old one is free for anybody.
    UsernameChanged {
        /// Whose account.
        user_id: UserId,
        /// The handle until now.
        previous: Personal<Option<Username>>,
        /// The handle from now on.
        username: Personal<Option<Username>>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Parts of the profile have other values; what is left out stays what it was.
    ProfileChanged {
        /// Whose account.
        user_id: UserId,
        /// Shown to others.
        #[serde(default, skip_serializing_if = "Change::is_keep")]
        full_name: Change<Personal<FullName>>,
        /// What they say about themselves.
        #[serde(default, skip_serializing_if = "Change::is_keep")]
        bio: Change<Personal<Option<Bio>>>,
        /// How far their education has come.
        #[serde(default, skip_serializing_if = "Change::is_keep")]
        education_level: Change<Personal<Option<EducationLevel>>>,
        /// Where they study or work.
        #[serde(default, skip_serializing_if = "Change::is_keep")]
        institution: Change<Personal<Option<Institution>>>,
        /// The languages they speak.
        #[serde(default, skip_serializing_if = "Change::is_keep")]
        languages: Change<Personal<Vec<LanguageTag>>>,
        /// Where their clock is.
        #[serde(default, skip_serializing_if = "Change::is_keep")]
        time_zone: Change<Personal<Option<TimeZone>>>,
        /// When in the week they have time.
        #[serde(default, skip_serializing_if = "Change::is_keep")]
        availability: Change<Personal<Vec<TimeSlot>>>,
        /// What they want to reach.
        #[serde(default, skip_serializing_if = "Change::is_keep")]
        goals: Change<Personal<Option<Goals>>>,
        /// When.
        at: DateTime<Utc>,
    },
    /// The person allows others something else.
    PreferencesChanged {
        /// Whose account.
        user_id: UserId,
        /// All of them, as they are from now on.
        preferences: Preferences,
        /// When.
        at: DateTime<Utc>,
    },
    /// The person studies or teaches a subject, or does so differently.
    StudySubjectSet {
        /// Whose account.
        user_id: UserId,
        /// Which one is new or other than before.
        subject_id: Personal<SubjectId>,
        /// All of the profile's, as they are from now on.
        subjects: Personal<Vec<StudySubject>>,
        /// When.
        at: DateTime<Utc>,
    },
    /// The person has nothing to do with a subject any more.
    StudySubjectRemoved {
        /// Whose account.
        user_id: UserId,
        /// Which one is gone.
        subject_id: Personal<SubjectId>,
        /// All of the profile's, as they are from now on.
        subjects: Personal<Vec<StudySubject>>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Another password opens the account. Sessions from before end, but for one.
    PasswordChanged {
        /// Whose account.
        user_id: UserId,
        /// PHC string.
        password_hash: Personal<String>,
        /// Sessions with a lower one do not count any more.
        token_version: u64,
        /// The session in which it was changed, which goes on.
        kept_session: Option<SessionId>,
        /// When.
        at: DateTime<Utc>,
    },
    /// The person may do other things from now on.
    RoleChanged {
        /// Whose account.
        user_id: UserId,
        /// What they may do.
        role: Role,
        /// When.
        at: DateTime<Utc>,
    },
    /// The account is closed until it is opened again. All its sessions end.
    AccountSuspended {
        /// Whose account.
        user_id: UserId,
        /// Sessions with a lower one do not count any more.
        token_version: u64,
        /// When.
        at: DateTime<Utc>,
    },
    /// The account is closed, and looks like none. All its sessions end.
    AccountDeactivated {
        /// Whose account.
        user_id: UserId,
        /// Sessions with a lower one do not count any more.
        token_version: u64,
        /// When.
        at: DateTime<Utc>,
    },
    /// The account is open again.
    AccountReinstated {
        /// Whose account.
        user_id: UserId,
        /// When.
        at: DateTime<Utc>,
    },
    /// The account exists, and a code sent to its number opens it. It has no address and no password.
    UserRegisteredWithPhone {
        /// Whose account.
        user_id: UserId,
        /// E.164; proven.
        phone: Personal<Phone>,
        /// Shown to others.
        full_name: Personal<FullName>,
        /// When.
        at: DateTime<Utc>,
    },
    /// The person reads the messages of the account's number.
    PhoneVerified {
        /// Whose account.
        user_id: UserId,
        /// Which number.
        phone: Personal<Phone>,
        /// When.
        at: DateTime<Utc>,
    },
    /// The account has another number, which is proven.
    PhoneChanged {
        /// Whose account.
        user_id: UserId,
        /// The one it has.
        phone: Personal<Phone>,
        /// The one it had.
        previous: Personal<Option<Phone>>,
        /// When.
        at: DateTime<Utc>,
    },
    /// The number was never proven, and is somebody else's.
    PhoneGivenUp {
        /// Whose account.
        user_id: UserId,
        /// Which number.
        phone: Personal<Phone>,
        /// When.
        at: DateTime<Utc>,
    },
    /// A link that proves the address is to be sent. The ones before are dead.
    EmailVerificationRequested {
        /// Whose account.
        user_id: UserId,
        /// Which request; the link is made from it.
        request_id: Uuid,
        /// Which address.
        email: Personal<Email>,
        /// The link works until then.
        expires_at: DateTime<Utc>,
        /// When.
        at: DateTime<Utc>,
    },
    /// The person reads the mail of the address.
    EmailVerified {
        /// Whose account.
        user_id: UserId,
        /// Which address.
        email: Personal<Email>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Others see from now on whether the person is there, or do not.
    PresenceVisibilityChanged {
        /// Who.
        user_id: UserId,
        /// Whether they do.
        visible: bool,
        /// When.
        at: DateTime<Utc>,
    },
    /// The account is closed, and its owner is to be forgotten. All sessions end.
    AccountDeletionRequested {
        /// Whose account.
        user_id: UserId,
        /// Sessions with a lower one do not count any more.
        token_version: u64,
        /// The person may come back until then.
        due_at: DateTime<Utc>,
        /// When.
        at: DateTime<Utc>,
    },
    /// The person is forgotten: their key is destroyed, and what was theirs alone is anybody's.
    AccountErased {
        /// Whose account.
        user_id: UserId,
        /// The address it had.
        email: Personal<Option<Email>>,
        /// The handle it had.
        username: Personal<Option<Username>>,
        /// The number it had.
        phone: Personal<Option<Phone>>,
        /// When.
        at: DateTime<Utc>,
    },
    /// The person may fetch what is kept of them. Links from before are dead.
    DataExportRequested {
        /// Whose account.
        user_id: UserId,
        /// Which request; the link is made from it.
        request_id: Uuid,
        /// The link works until then.
        expires_at: DateTime<Utc>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Somebody tried to register with the address of this account.
    RegistrationRepeated {
        /// Whose account.
        user_id: UserId,
        /// When.
        at: DateTime<Utc>,
    },
    /// A link that resets the password is to be sent. The ones before are dead.
    PasswordResetRequested {
        /// Whose account.
        user_id: UserId,
        /// Which request; the link is made from it.
        request_id: Uuid,
        /// The link works until then.
        expires_at: DateTime<Utc>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Another password opens the account. All sessions from before end.
    PasswordReset {
        /// Whose account.
        user_id: UserId,
        /// Which request was answered.
        request_id: Uuid,
        /// PHC string.
        password_hash: Personal<String>,
        /// Sessions with a lower one do not count any more.
        token_version: u64,
        /// When.
        at: DateTime<Utc>,
    },
    /// The account shall move to another address. Both are to be asked.
    EmailChangeRequested {
        /// Whose account.
        user_id: UserId,
        /// Which request; both links are made from it.
        request_id: Uuid,
        /// Where to.
        email: Personal<Email>,
        /// The links work until then.
        expires_at: DateTime<Utc>,
        /// When.
        at: DateTime<Utc>,
    },
    /// One of the two addresses agrees.
    EmailChangeConfirmed {
        /// Whose account.
        user_id: UserId,
        /// Which request was answered.
        request_id: Uuid,
        /// Which of the two.
        side: Side,
        /// When.
        at: DateTime<Utc>,
    },
    /// The account has another address, which is proven.
    EmailChanged {
        /// Whose account.
        user_id: UserId,
        /// The one it has.
        email: Personal<Email>,
        /// The one it had.
        previous: Personal<Email>,
        /// When.
        at: DateTime<Utc>,
    },
}

domain_event!(UserEvent {
    UserRegistered => "1.0" seals "userId": [
        "email", "passwordHash", "fullName", "username", "phone", "educationLevel", "institution",
    ],
    PasswordRehashed => "1.0" seals "userId": ["passwordHash"],
    UsernameChanged => "1.0" seals "userId": ["previous", "username"],
    ProfileChanged => "1.0" seals "userId": [
        "fullName", "bio", "educationLevel", "institution", "languages", "timeZone", "availability",
        "goals",
    ],
    PreferencesChanged => "1.0",
    PresenceVisibilityChanged => "1.0",
    StudySubjectSet => "1.0" seals "userId": ["subjectId", "subjects"],
    StudySubjectRemoved => "1.0" seals "userId": ["subjectId", "subjects"],
    PasswordChanged => "1.0" seals "userId": ["passwordHash"],
    RoleChanged => "1.0",
    AccountSuspended => "1.0",
    AccountDeactivated => "1.0",
    AccountReinstated => "1.0",
    UserRegisteredWithPhone => "1.0" seals "userId": ["phone", "fullName"],
    PhoneVerified => "1.0" seals "userId": ["phone"],
    PhoneChanged => "1.0" seals "userId": ["phone", "previous"],
    PhoneGivenUp => "1.0" seals "userId": ["phone"],
    EmailVerificationRequested => "1.0" seals "userId": ["email"],
    EmailVerified => "1.0" seals "userId": ["email"],
    AccountDeletionRequested => "1.0",
    AccountErased => "1.0" seals "userId": ["email", "username", "phone"],
    DataExportRequested => "1.0",
    RegistrationRepeated => "1.0",
    PasswordResetRequested => "1.0",
    PasswordReset => "1.0" seals "userId": ["passwordHash"],
    EmailChangeRequested => "1.0" seals "userId": ["email"],
    EmailChangeConfirmed => "1.0",
    EmailChanged => "1.0" seals "userId": ["email", "previous"],
});
