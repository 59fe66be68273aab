//! A person with an account.
mod credentials;
pub mod profile;
mod standing;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AggregateRoot, Change, ClaimChange, Personal, SessionId, SubjectId, UserId,
    macros::{aggregate, domain_event, rejection},
    study::{LanguageTag, StudySubject, TimeSlot, TimeZone},
    text::{Bio, Email, FullName, Goals, Institution, Phone, Username},
};

pub use credentials::{Credentials, CredentialsCommand, EmailChange, LinkRequest, Pending, Side};
pub use profile::{DmPolicy, Preferences, PreferencesEdit, Profile, ProfileCommand, ProfileEdit};
pub use standing::{Role, Standing};

/// How far someone's education has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EducationLevel {
    /// Up to the end of secondary school.
    School,
    /// Working towards a first degree.
    Undergraduate,
    /// Working towards a further degree.
    Graduate,
    /// Working towards a doctorate, or beyond it.
    Doctorate,
    /// Learning beside or after work.
    Professional,
    /// Anything else.
    Other,
}

impl EducationLevel {
    /// The name it is stored and shown under.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::School => "school",
            Self::Undergraduate => "undergraduate",
            Self::Graduate => "graduate",
            Self::Doctorate => "doctorate",
            Self::Professional => "professional",
            Self::Other => "other",
        }
    }
}

/// What someone says about themselves when they register.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// Where to reach them; unique.
    pub email: Email,
    /// A PHC string made by the hasher.
    pub password_hash: String,
    /// Shown to others.
    pub full_name: FullName,
    /// Public handle; unique.
    pub username: Option<Username>,
    /// Unique.
    pub phone: Option<Phone>,
    /// How far their education has come.
    pub education_level: Option<EducationLevel>,
    /// Where they study or work.
    pub institution: Option<Institution>,
}

/// What someone asks of an account. Imperative; never persisted.
#[derive(Clone, Debug)]
pub enum UserCommand {
    /// Open the account.
    Register {
        /// A fresh id.
        user_id: UserId,
        /// What the person said.
        registration: Box<Registration>,
        /// The link that will prove the address.
        verification: LinkRequest,
        /// When.
        at: DateTime<Utc>,
    },
    /// Open an account for somebody who has shown that a number is theirs.
    RegisterWithPhone {
        /// A fresh id.
        user_id: UserId,
        /// The number.
        phone: Phone,
        /// What they are called until they say.
        full_name: FullName,
        /// When.
        at: DateTime<Utc>,
    },
    /// Store the password under newer hash parameters.
    RehashPassword {
        /// A PHC string of the same password.
        password_hash: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// Something about how the person gets in.
    Credentials(CredentialsCommand),
    /// Something about what the person shows, studies or allows.
    Profile(ProfileCommand),
}

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
    RegistrationRepeated => "1.0",
    PasswordResetRequested => "1.0",
    PasswordReset => "1.0" seals "userId": ["passwordHash"],
    EmailChangeRequested => "1.0" seals "userId": ["email"],
    EmailChangeConfirmed => "1.0",
    EmailChanged => "1.0" seals "userId": ["email", "previous"],
});

/// Why a command to an account was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// The id is in use.
    #[error("this account exists already")]
    AlreadyRegistered,
    /// No such account.
    #[error("there is no such account")]
    NotFound,
    /// Another account has this address.
    #[error("this e-mail address already has an account")]
    EmailTaken,
    /// Another account has this handle.
    #[error("this username is taken")]
    UsernameTaken,
    /// Another account has this number.
    #[error("this phone number already has an account")]
    PhoneTaken,
    /// The profile has as many subjects as it may have.
    #[error("a profile has at most {most} subjects")]
    TooManySubjects {
        /// How many.
        most: usize,
    },
    /// Used, replaced, too old, or never ours.
    #[error("the link does not work any more; ask for another one")]
    LinkInvalid,
    /// Nothing would change.
    #[error("this is the account's address already")]
    EmailUnchanged,
}

rejection!(UserError {
    AlreadyRegistered => Conflict, "already_registered";
    NotFound => NotFound, "not_found";
    EmailTaken => Conflict, "email_taken";
    UsernameTaken => Conflict, "username_taken";
    PhoneTaken => Conflict, "phone_taken";
    TooManySubjects => Conflict, "limit_reached";
    LinkInvalid => BadRequest, "token_invalid";
    EmailUnchanged => Invalid, "unchanged";
});

/// What a decision about an account needs to know, and no more.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub enum User {
    /// Never registered.
    #[default]
    Absent,
    /// Registered.
    Active {
        /// Whose account.
        user_id: UserId,
        /// PHC string; erased with the person.
        password_hash: Personal<String>,
        /// Shown to others.
        full_name: Personal<FullName>,
        /// How the person gets in.
        credentials: Box<Credentials>,
        /// What they show, study and allow.
        profile: Box<Profile>,
    },
}

aggregate!(User = "user", UserCommand -> UserEvent | UserError);

impl AggregateRoot for User {
    const STATE_VERSION: u32 = 3;

    fn claims(event: &UserEvent) -> Vec<ClaimChange> {
        if let UserEvent::UsernameChanged { previous, username, .. } = event {
            return Self::username_claims(previous, username);
        }
        let take = |scope, value: String| ClaimChange::Take { scope, value };
        let release = |scope, value: String| ClaimChange::Release { scope, value };
        let (email, username, phone) = match event {
            UserEvent::UserRegistered { email, username, phone, .. } => (email, username, phone),
            UserEvent::EmailChanged { email, previous, .. } => {
                let given_up = previous.known().map(|e| release(Self::EMAIL, e.canonical()));
                let taken = email.known().map(|e| take(Self::EMAIL, e.canonical()));
                return given_up.into_iter().chain(taken).collect();
            }
            UserEvent::UserRegisteredWithPhone { phone, .. } => {
                return phone
                    .known()
                    .map(|p| take(Self::PHONE, p.as_str().into()))
                    .into_iter()
                    .collect();
            }
            UserEvent::PhoneChanged { phone, previous, .. } => {
                let previous = previous.known().into_iter().flatten();
                let given_up = previous.map(|p| release(Self::PHONE, p.as_str().into()));
                let taken = phone.known().map(|p| take(Self::PHONE, p.as_str().into()));
                return given_up.chain(taken).collect();
            }
            UserEvent::PhoneGivenUp { phone, .. } => {
                let given_up = phone.known().map(|p| release(Self::PHONE, p.as_str().into()));
                return given_up.into_iter().collect();
            }
            _ => return Vec::new(),
        };
        let mut claims = Vec::new();
        claims.extend(email.known().map(|e| take(Self::EMAIL, e.canonical())));
        claims.extend(
            username.known().into_iter().flatten().map(|u| take(Self::USERNAME, u.as_str().into())),
        );
        claims.extend(
            phone.known().into_iter().flatten().map(|p| take(Self::PHONE, p.as_str().into())),
        );
        claims
    }

    fn claim_taken(scope: &str) -> Option<UserError> {
        match scope {
            Self::EMAIL => Some(UserError::EmailTaken),
            Self::USERNAME => Some(UserError::UsernameTaken),
            Self::PHONE => Some(UserError::PhoneTaken),
            _ => None,
        }
    }
}

impl User {
    /// The claim scope of e-mail addresses (canonical form).
    pub const EMAIL: &'static str = "email";
    /// The claim scope of handles.
    pub const USERNAME: &'static str = "username";
    /// The claim scope of phone numbers.
    pub const PHONE: &'static str = "phone";

    /// A handle belongs to nobody from the moment on in which it is given up.
    fn username_claims(
        previous: &Personal<Option<Username>>,
        username: &Personal<Option<Username>>,
    ) -> Vec<ClaimChange> {
        let value = |handle: &Personal<Option<Username>>| {
            handle.known().cloned().flatten().map(|handle| handle.as_str().to_owned())
        };
        let scope = Self::USERNAME;
        let released = value(previous).map(|value| ClaimChange::Release { scope, value });
        let taken = value(username).map(|value| ClaimChange::Take { scope, value });
        released.into_iter().chain(taken).collect()
    }

    /// What the person shows, studies and allows; `None` without an account.
    #[must_use]
    pub fn profile(&self) -> Option<&Profile> {
        match self {
            Self::Absent => None,
            Self::Active { profile, .. } => Some(profile),
        }
    }

    /// The rules: state and command in, facts or a refusal out.
    fn decide(&self, command: UserCommand) -> Result<Vec<UserEvent>, UserError> {
        use {UserCommand as C, UserEvent as E};
        match (self, command) {
            (Self::Absent, C::Register { user_id, registration, verification, at }) => {
                let r = *registration;
                let LinkRequest { request_id, expires_at, .. } = verification;
                let proof = E::EmailVerificationRequested {
                    user_id,
                    request_id,
                    email: r.email.clone().into(),
                    expires_at,
                    at,
                };
                let registered = E::UserRegistered {
                    user_id,
                    email: r.email.into(),
                    password_hash: r.password_hash.into(),
                    full_name: r.full_name.into(),
                    username: r.username.into(),
                    phone: r.phone.into(),
                    education_level: r.education_level.into(),
                    institution: r.institution.into(),
                    at,
                };
                Ok(vec![registered, proof])
            }
            (Self::Absent, C::RegisterWithPhone { user_id, phone, full_name, at }) => {
                let (phone, full_name) = (phone.into(), full_name.into());
                Ok(vec![E::UserRegisteredWithPhone { user_id, phone, full_name, at }])
            }
            (Self::Active { .. }, C::Register { .. } | C::RegisterWithPhone { .. }) => {
                Err(UserError::AlreadyRegistered)
            }
            (Self::Absent, C::RehashPassword { .. } | C::Credentials(_) | C::Profile(_)) => {
                Err(UserError::NotFound)
            }
            (Self::Active { user_id, full_name, profile, .. }, C::Profile(command)) => {
                profile.decide(*user_id, full_name, command)
            }
            (&Self::Active { user_id, .. }, C::RehashPassword { password_hash, at }) => {
                Ok(vec![E::PasswordRehashed { user_id, password_hash: password_hash.into(), at }])
            }
            (Self::Active { user_id, credentials, .. }, C::Credentials(command)) => {
                credentials.decide(*user_id, command)
            }
        }
    }

    /// Folds one recorded fact into the state. Facts cannot be refused.
    fn evolve(&mut self, event: &UserEvent) {
        match event {
            UserEvent::UserRegisteredWithPhone { user_id, phone, full_name, .. } => {
                let number = phone.known().cloned();
                let mut credentials = Credentials::new(Personal::Erased, number.into());
                credentials.phone_verified = true;
                *self = Self::Active {
                    user_id: *user_id,
                    password_hash: Personal::Erased,
                    full_name: full_name.clone(),
                    credentials: Box::new(credentials),
                    profile: Box::new(Profile::new(None.into(), None.into(), None.into())),
                };
            }
            UserEvent::UserRegistered {
                user_id,
                email,
                password_hash,
                full_name,
                username,
                education_level,
                institution,
                phone,
                ..
            } => {
                let profile =
                    Profile::new(username.clone(), education_level.clone(), institution.clone());
                *self = Self::Active {
                    user_id: *user_id,
                    password_hash: password_hash.clone(),
                    full_name: full_name.clone(),
                    credentials: Box::new(Credentials::new(email.clone(), phone.clone())),
                    profile: Box::new(profile),
                };
            }
            UserEvent::PasswordRehashed { password_hash: newer, .. } => {
                if let Self::Active { password_hash, .. } = self {
                    *password_hash = newer.clone();
                }
            }
            UserEvent::UsernameChanged { .. }
            | UserEvent::ProfileChanged { .. }
            | UserEvent::PreferencesChanged { .. }
            | UserEvent::StudySubjectSet { .. }
            | UserEvent::StudySubjectRemoved { .. } => {
                if let Self::Active { full_name, profile, .. } = self {
                    if let UserEvent::ProfileChanged { full_name: name, .. } = event {
                        name.apply_to(full_name);
                    }
                    profile.evolve(event);
                }
            }
            UserEvent::PasswordChanged { password_hash: newer, .. }
            | UserEvent::PasswordReset { password_hash: newer, .. } => {
                if let Self::Active { password_hash, credentials, .. } = self {
                    *password_hash = newer.clone();
                    credentials.evolve(event);
                }
            }
            UserEvent::RoleChanged { .. }
            | UserEvent::AccountSuspended { .. }
            | UserEvent::AccountDeactivated { .. }
            | UserEvent::AccountReinstated { .. }
            | UserEvent::PhoneVerified { .. }
            | UserEvent::PhoneChanged { .. }
            | UserEvent::PhoneGivenUp { .. }
            | UserEvent::EmailVerificationRequested { .. }
            | UserEvent::EmailVerified { .. }
            | UserEvent::RegistrationRepeated { .. }
            | UserEvent::PasswordResetRequested { .. }
            | UserEvent::EmailChangeRequested { .. }
            | UserEvent::EmailChangeConfirmed { .. }
            | UserEvent::EmailChanged { .. } => {
                if let Self::Active { credentials, .. } = self {
                    credentials.evolve(event);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;

    fn user() -> TestFramework<User> {
        TestFramework::with(())
    }

    fn at() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn registration() -> Registration {
        Registration {
            email: Email::parse("Ana@Example.org").unwrap(),
            password_hash: "$argon2id$x".into(),
            full_name: FullName::parse("Ana López").unwrap(),
            username: Some(Username::parse("ana").unwrap()),
            phone: Some(Phone::parse("+4930123456").unwrap()),
            education_level: Some(EducationLevel::Graduate),
            institution: None,
        }
    }

    fn register() -> UserCommand {
        let registration = Box::new(registration());
        let verification = LinkRequest { request_id: Uuid::nil(), expires_at: at(), at: at() };
        UserCommand::Register { user_id: UserId(Uuid::nil()), registration, verification, at: at() }
    }

    fn registered() -> UserEvent {
        User::Absent.decide(register()).unwrap().remove(0)
    }

    #[test]
    fn an_account_gives_up_its_address_for_another() {
        let email = |text: &str| Personal::from(Email::parse(text).unwrap());
        let changed = UserEvent::EmailChanged {
            user_id: UserId(Uuid::nil()),
            email: email("ana@new.example"),
            previous: email("Ana@Example.org"),
            at: at(),
        };
        let (scope, release, take) = ("email", "ana@example.org", "ana@new.example");
        assert_eq!(
            User::claims(&changed),
            vec![
                ClaimChange::Release { scope, value: release.into() },
                ClaimChange::Take { scope, value: take.into() },
            ]
        );
    }

    #[test]
    fn registering_opens_an_account_whose_address_is_to_be_proven() {
        let proof = UserEvent::EmailVerificationRequested {
            user_id: UserId(Uuid::nil()),
            request_id: Uuid::nil(),
            email: registration().email.into(),
            expires_at: at(),
            at: at(),
        };
        let events = vec![registered(), proof];
        user().given_no_previous_events().when(register()).then_expect_events(events);
    }

    #[test]
    fn an_account_opens_once() {
        user()
            .given(vec![registered()])
            .when(register())
            .then_expect_error(UserError::AlreadyRegistered);
    }

    #[test]
    fn rehashing_needs_an_account() {
        let rehash = UserCommand::RehashPassword { password_hash: "new".into(), at: at() };
        user()
            .given_no_previous_events()
            .when(rehash.clone())
            .then_expect_error(UserError::NotFound);
        user().given(vec![registered()]).when(rehash).then_expect_events(vec![
            UserEvent::PasswordRehashed {
                user_id: UserId(Uuid::nil()),
                password_hash: "new".to_owned().into(),
                at: at(),
            },
        ]);
    }

    #[test]
    fn registering_claims_the_canonical_address_the_handle_and_the_number() {
        let take = |scope, value: &str| ClaimChange::Take { scope, value: value.into() };
        assert_eq!(
            User::claims(&registered()),
            vec![
                take("email", "ana@example.org"),
                take("username", "ana"),
                take("phone", "+4930123456")
            ]
        );
    }
}
