//! How someone gets into their account: what they know, what they proved, what still counts.
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Role, Standing, UserError, UserEvent};
use crate::{
    Personal, SessionId, UserId,
    text::{Email, Phone},
};

/// What someone asks of the way into their account.
#[derive(Clone, Debug)]
pub enum CredentialsCommand {
    /// Let another password open the account, and end the sessions from before.
    ChangePassword {
        /// A PHC string made by the hasher.
        password_hash: String,
        /// The session in which it is changed.
        keep: SessionId,
        /// When.
        at: DateTime<Utc>,
    },
    /// Prove that the address is the person's, unless it is proven.
    RequestEmailVerification(LinkRequest),
    /// The proof.
    VerifyEmail {
        /// The request that was answered.
        request_id: Uuid,
        /// When.
        at: DateTime<Utc>,
    },
    /// Somebody registers with the address of this account.
    NoteRegistration {
        /// Shortest time between two notes.
        gap: TimeDelta,
        /// When.
        at: DateTime<Utc>,
    },
    /// Let the owner of the address choose another password.
    RequestPasswordReset {
        /// What the link will be good for.
        link: LinkRequest,
        /// Shortest time between two requests.
        gap: TimeDelta,
    },
    /// The other password.
    ResetPassword {
        /// The request that was answered.
        request_id: Uuid,
        /// A PHC string made by the hasher.
        password_hash: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// Move the account to another address, once both have agreed.
    RequestEmailChange {
        /// What the links will be good for.
        link: LinkRequest,
        /// Where to.
        email: Email,
    },
    /// The person has shown that they read the messages of the number, theirs or a new one.
    ProvePhone {
        /// Which number.
        phone: Phone,
        /// When.
        at: DateTime<Utc>,
    },
    /// Somebody else has shown that the number is theirs.
    GiveUpPhone {
        /// Which number.
        phone: Phone,
        /// When.
        at: DateTime<Utc>,
    },
    /// Let the person do other things.
    ChangeRole {
        /// What they may do.
        role: Role,
        /// When.
        at: DateTime<Utc>,
    },
    /// Close the account, or open it.
    ChangeStanding {
        /// What shall hold.
        standing: Standing,
        /// When.
        at: DateTime<Utc>,
    },
    /// One of the two agrees.
    ConfirmEmailChange {
        /// The request that was answered.
        request_id: Uuid,
        /// Which of the two.
        side: Side,
        /// When.
        at: DateTime<Utc>,
    },
}

/// A link that is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct LinkRequest {
    /// A fresh id.
    pub request_id: Uuid,
    /// The link works until then.
    pub expires_at: DateTime<Utc>,
    /// When.
    pub at: DateTime<Utc>,
}

/// One of the two addresses of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The one that the account has.
    Old,
    /// The one that it shall have.
    New,
}

/// A link that was sent and not used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pending {
    /// Which request.
    pub request_id: Uuid,
    /// It works until then.
    pub expires_at: DateTime<Utc>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
}

/// A change of address that is under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EmailChange {
    /// The links.
    pub pending: Pending,
    /// Where to.
    pub email: Personal<Email>,
    /// Who has agreed so far.
    pub confirmed: Option<Side>,
}

/// What decisions about the way into an account need to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Credentials {
    /// As typed.
    pub email: Personal<Email>,
    /// Whether the person has shown that they read its mail.
    pub email_verified: bool,
    /// E.164.
    pub phone: Personal<Option<Phone>>,
    /// Whether the person has shown that they read its messages.
    pub phone_verified: bool,
    /// The newest link that proves the address; earlier ones are dead.
    pub verification: Option<Pending>,
    /// The newest link that resets the password.
    pub reset: Option<Pending>,
    /// The change of address under way.
    pub email_change: Option<EmailChange>,
    /// What the person may do.
    pub role: Role,
    /// Whether the account is open.
    pub standing: Standing,
    /// When somebody last tried to register with the address.
    pub registration_noted_at: Option<DateTime<Utc>>,
    /// Sessions with a lower one do not count, but for the kept one.
    pub token_version: u64,
    /// The session in which the password was changed last.
    pub kept_session: Option<SessionId>,
}

impl Pending {
    fn is(&self, request_id: Uuid, at: DateTime<Utc>) -> bool {
        self.request_id == request_id && at < self.expires_at
    }
}

impl Credentials {
    pub(super) fn new(email: Personal<Email>, phone: Personal<Option<Phone>>) -> Self {
        Self {
            email,
            email_verified: false,
            phone,
            phone_verified: false,
            verification: None,
            reset: None,
            email_change: None,
            role: Role::default(),
            standing: Standing::default(),
            registration_noted_at: None,
            token_version: 0,
            kept_session: None,
        }
    }

    /// Whether a session that began under this token version still counts.
    #[must_use]
    pub fn accepts(&self, session_id: SessionId, token_version: u64) -> bool {
        let open = self.standing == Standing::Open;
        open && (token_version >= self.token_version || self.kept_session == Some(session_id))
    }

    /// Checks that a link that resets the password still works.
    ///
    /// # Errors
    /// [`UserError::LinkInvalid`] once it was used, replaced or too old.
    pub fn require_reset(&self, request_id: Uuid, at: DateTime<Utc>) -> Result<(), UserError> {
        let works = self.reset.as_ref().is_some_and(|pending| pending.is(request_id, at));
        if works { Ok(()) } else { Err(UserError::LinkInvalid) }
    }

    pub(super) fn decide(
        &self,
        user_id: UserId,
        command: CredentialsCommand,
    ) -> Result<Vec<UserEvent>, UserError> {
        use {CredentialsCommand as C, UserEvent as E};
        match command {
            C::ChangePassword { password_hash, keep, at } => Ok(vec![E::PasswordChanged {
                user_id,
                password_hash: password_hash.into(),
                token_version: self.token_version + 1,
                kept_session: Some(keep),
                at,
            }]),
            C::RequestEmailVerification(_) if self.email_verified => Ok(vec![]),
            C::RequestEmailVerification(LinkRequest { request_id, expires_at, at }) => {
                let email = self.email.clone();
                Ok(vec![E::EmailVerificationRequested {
                    user_id,
                    request_id,
                    email,
                    expires_at,
                    at,
                }])
            }
            C::VerifyEmail { request_id, at } => {
                let pending = self.verification.as_ref();
                if !pending.is_some_and(|pending| pending.is(request_id, at)) {
                    return Err(UserError::LinkInvalid);
                }
                Ok(vec![E::EmailVerified { user_id, email: self.email.clone(), at }])
            }
            C::NoteRegistration { gap, at } => {
                let lately = self.registration_noted_at.is_some_and(|noted| at < noted + gap);
                Ok(if lately { vec![] } else { vec![E::RegistrationRepeated { user_id, at }] })
            }
            C::RequestPasswordReset { link, gap } => {
                let LinkRequest { request_id, expires_at, at } = link;
                let last = self.reset.as_ref().map(|pending| pending.requested_at);
                if last.is_some_and(|last| at < last + gap) {
                    return Ok(vec![]);
                }
                Ok(vec![E::PasswordResetRequested { user_id, request_id, expires_at, at }])
            }
            C::ResetPassword { request_id, password_hash, at } => {
                self.require_reset(request_id, at)?;
                let mut events = vec![E::PasswordReset {
                    user_id,
                    request_id,
                    password_hash: password_hash.into(),
                    token_version: self.token_version + 1,
                    at,
                }];
                // Whoever used the link reads the mail of the address.
                if !self.email_verified {
                    events.push(E::EmailVerified { user_id, email: self.email.clone(), at });
                }
                Ok(events)
            }
            C::RequestEmailChange { link, email } => {
                let own = |own: &Email| own.canonical() == email.canonical();
                if self.email.known().is_some_and(own) {
                    return Err(UserError::EmailUnchanged);
                }
                let LinkRequest { request_id, expires_at, at } = link;
                let email = email.into();
                Ok(vec![E::EmailChangeRequested { user_id, request_id, email, expires_at, at }])
            }
            C::ConfirmEmailChange { request_id, side, at } => {
                self.confirm(user_id, request_id, side, at)
            }
            C::ProvePhone { phone, at } => {
                let own = self.phone.known().and_then(Option::as_ref) == Some(&phone);
                Ok(match (own, self.phone_verified) {
                    (true, true) => vec![],
                    (true, false) => vec![E::PhoneVerified { user_id, phone: phone.into(), at }],
                    (false, _) => {
                        let previous = self.phone.clone();
                        vec![E::PhoneChanged { user_id, phone: phone.into(), previous, at }]
                    }
                })
            }
            C::ChangeRole { role, .. } if role == self.role => Ok(vec![]),
            C::ChangeRole { role, at } => Ok(vec![E::RoleChanged { user_id, role, at }]),
            C::ChangeStanding { standing, .. } if standing == self.standing => Ok(vec![]),
            C::ChangeStanding { standing, at } => {
                let token_version = self.token_version + 1;
                Ok(vec![match standing {
                    Standing::Open => E::AccountReinstated { user_id, at },
                    Standing::Suspended => E::AccountSuspended { user_id, token_version, at },
                    Standing::Deactivated => E::AccountDeactivated { user_id, token_version, at },
                }])
            }
            C::GiveUpPhone { phone, at } => {
                let own = self.phone.known().and_then(Option::as_ref) == Some(&phone);
                if !own || self.phone_verified {
                    return Err(UserError::PhoneTaken);
                }
                Ok(vec![E::PhoneGivenUp { user_id, phone: phone.into(), at }])
            }
        }
    }

    fn confirm(
        &self,
        user_id: UserId,
        request_id: Uuid,
        side: Side,
        at: DateTime<Utc>,
    ) -> Result<Vec<UserEvent>, UserError> {
        let Some(change) = &self.email_change else { return Err(UserError::LinkInvalid) };
        // One address agreeing twice is not two addresses agreeing.
        if !change.pending.is(request_id, at) || change.confirmed == Some(side) {
            return Err(UserError::LinkInvalid);
        }
        let mut events = vec![UserEvent::EmailChangeConfirmed { user_id, request_id, side, at }];
        // An address that was never proven may belong to nobody: it has no say.
        if change.confirmed.is_some() || (side == Side::New && !self.email_verified) {
            events.push(UserEvent::EmailChanged {
                user_id,
                email: change.email.clone(),
                previous: self.email.clone(),
                at,
            });
        }
        Ok(events)
    }

    pub(super) fn evolve(&mut self, event: &UserEvent) {
        use UserEvent as E;
        match event {
            E::PasswordChanged { token_version, kept_session, .. } => {
                self.token_version = *token_version;
                self.kept_session = *kept_session;
                self.drop_links();
            }
            E::PasswordReset { token_version, .. } => {
                self.token_version = *token_version;
                self.kept_session = None;
                self.drop_links();
            }
            E::EmailVerificationRequested { request_id, expires_at, at, .. } => {
                self.verification = Some(pending(*request_id, *expires_at, *at));
            }
            E::EmailVerified { .. } => {
                self.email_verified = true;
                self.verification = None;
            }
            E::RegistrationRepeated { at, .. } => self.registration_noted_at = Some(*at),
            E::PasswordResetRequested { request_id, expires_at, at, .. } => {
                self.reset = Some(pending(*request_id, *expires_at, *at));
            }
            E::EmailChangeRequested { request_id, email, expires_at, at, .. } => {
                let pending = pending(*request_id, *expires_at, *at);
                self.email_change =
                    Some(EmailChange { pending, email: email.clone(), confirmed: None });
            }
            E::EmailChangeConfirmed { side, .. } => {
                if let Some(change) = &mut self.email_change {
                    change.confirmed = Some(*side);
                }
            }
            E::RoleChanged { role, .. } => self.role = *role,
            E::AccountSuspended { token_version, .. } => {
                self.close(Standing::Suspended, *token_version);
            }
            E::AccountDeactivated { token_version, .. } => {
                self.close(Standing::Deactivated, *token_version);
            }
            E::AccountReinstated { .. } => self.standing = Standing::Open,
            E::PhoneVerified { .. } => self.phone_verified = true,
            E::PhoneChanged { phone, .. } => {
                self.phone = match phone {
                    Personal::Known(phone) => Some(phone.clone()).into(),
                    Personal::Erased => Personal::Erased,
                };
                self.phone_verified = true;
            }
            E::PhoneGivenUp { .. } => self.phone = None.into(),
            E::EmailChanged { email, .. } => {
                self.email = email.clone();
                self.email_verified = true;
                self.drop_links();
            }
            _ => {}
        }
    }

    fn close(&mut self, standing: Standing, token_version: u64) {
        self.standing = standing;
        self.token_version = token_version;
        self.kept_session = None;
        self.drop_links();
    }

    /// Links that were sent before do nothing any more.
    fn drop_links(&mut self) {
        self.verification = None;
        self.reset = None;
        self.email_change = None;
    }
}

fn pending(request_id: Uuid, expires_at: DateTime<Utc>, at: DateTime<Utc>) -> Pending {
    Pending { request_id, expires_at, requested_at: at }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: UserId = UserId(Uuid::nil());
    const HERE: SessionId = SessionId(Uuid::from_u128(1));
    const THERE: SessionId = SessionId(Uuid::from_u128(2));
    const GAP: TimeDelta = TimeDelta::seconds(60);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn link(number: u128, seconds: i64) -> LinkRequest {
        let request_id = Uuid::from_u128(number);
        LinkRequest { request_id, expires_at: at(seconds + 1000), at: at(seconds) }
    }

    fn email(text: &str) -> Email {
        Email::parse(text).unwrap()
    }

    fn ana() -> Credentials {
        let phone = Some(Phone::parse("+4930123456").unwrap());
        Credentials::new(email("ana@old.example").into(), phone.into())
    }

    /// Carries a command out and names what it recorded.
    fn does(
        credentials: &mut Credentials,
        command: CredentialsCommand,
    ) -> Result<Vec<String>, UserError> {
        use cqrs_es::DomainEvent as _;
        let events = credentials.decide(ANA, command)?;
        for event in &events {
            credentials.evolve(event);
        }
        Ok(events.iter().map(UserEvent::event_type).collect())
    }

    fn verify(number: u128, seconds: i64) -> CredentialsCommand {
        CredentialsCommand::VerifyEmail { request_id: Uuid::from_u128(number), at: at(seconds) }
    }

    fn confirm(side: Side) -> CredentialsCommand {
        let request_id = Uuid::from_u128(7);
        CredentialsCommand::ConfirmEmailChange { request_id, side, at: at(10) }
    }

    fn reset(number: u128, seconds: i64) -> CredentialsCommand {
        let request_id = Uuid::from_u128(number);
        CredentialsCommand::ResetPassword { request_id, password_hash: "x".into(), at: at(seconds) }
    }

    use CredentialsCommand as C;

    #[test]
    fn after_a_change_of_the_password_only_the_session_of_the_change_goes_on() {
        let mut credentials = ana();
        assert!(credentials.accepts(HERE, 0) && credentials.accepts(THERE, 0));
        let change = C::ChangePassword { password_hash: "new".into(), keep: HERE, at: at(0) };
        assert_eq!(does(&mut credentials, change).unwrap(), ["PasswordChanged"]);
        assert!(credentials.accepts(HERE, 0));
        assert!(!credentials.accepts(THERE, 0));
        assert!(credentials.accepts(THERE, 1), "a login with the new password");
    }

    #[test]
    fn an_address_is_proven_once_by_the_newest_link_in_time() {
        let mut ana = ana();
        does(&mut ana, C::RequestEmailVerification(link(1, 0))).unwrap();
        does(&mut ana, C::RequestEmailVerification(link(2, 5))).unwrap();
        assert_eq!(does(&mut ana, verify(1, 10)), Err(UserError::LinkInvalid), "replaced");
        assert_eq!(does(&mut ana, verify(2, 1005)), Err(UserError::LinkInvalid), "too late");
        assert_eq!(does(&mut ana, verify(2, 10)).unwrap(), ["EmailVerified"]);
        assert_eq!(does(&mut ana, verify(2, 10)), Err(UserError::LinkInvalid), "used");
        assert!(does(&mut ana, C::RequestEmailVerification(link(3, 20))).unwrap().is_empty());
    }

    #[test]
    fn a_reset_ends_all_sessions_and_every_other_link() {
        let mut ana = ana();
        does(&mut ana, C::RequestEmailVerification(link(1, 0))).unwrap();
        let request =
            |number, seconds| C::RequestPasswordReset { link: link(number, seconds), gap: GAP };
        assert_eq!(does(&mut ana, request(2, 0)).unwrap(), ["PasswordResetRequested"]);
        assert!(does(&mut ana, request(3, 59)).unwrap().is_empty(), "not so often");
        assert_eq!(does(&mut ana, reset(3, 10)), Err(UserError::LinkInvalid));
        let events = does(&mut ana, reset(2, 10)).unwrap();
        assert_eq!(events, ["PasswordReset", "EmailVerified"]);
        assert!(!ana.accepts(HERE, 0));
        assert_eq!(does(&mut ana, reset(2, 11)), Err(UserError::LinkInvalid), "used");
        assert_eq!(does(&mut ana, verify(1, 10)), Err(UserError::LinkInvalid));
    }

    #[test]
    fn a_proven_address_changes_when_both_agree() {
        for (first, second) in [(Side::Old, Side::New), (Side::New, Side::Old)] {
            let mut ana = Credentials { email_verified: true, ..ana() };
            let to = email("ana@new.example");
            let request = C::RequestEmailChange { link: link(7, 0), email: to.clone() };
            does(&mut ana, request).unwrap();
            assert_eq!(does(&mut ana, confirm(first)).unwrap(), ["EmailChangeConfirmed"]);
            assert_eq!(does(&mut ana, confirm(first)), Err(UserError::LinkInvalid), "twice");
            assert_eq!(ana.email.known(), Some(&email("ana@old.example")));
            let events = does(&mut ana, confirm(second)).unwrap();
            assert_eq!(events, ["EmailChangeConfirmed", "EmailChanged"]);
            assert_eq!(ana.email.known(), Some(&to));
        }
    }

    #[test]
    fn an_address_that_was_never_proven_has_no_say_in_its_change() {
        let mut ana = ana();
        let same = C::RequestEmailChange { link: link(7, 0), email: email("Ana@old.example") };
        assert_eq!(does(&mut ana, same), Err(UserError::EmailUnchanged));
        let request = C::RequestEmailChange { link: link(7, 0), email: email("ana@new.example") };
        does(&mut ana, request).unwrap();
        let events = does(&mut ana, confirm(Side::New)).unwrap();
        assert_eq!(events, ["EmailChangeConfirmed", "EmailChanged"]);
    }

    #[test]
    fn a_closed_account_accepts_no_session_and_an_opened_one_no_earlier_one() {
        let mut ana = ana();
        let change = |standing| C::ChangeStanding { standing, at: at(0) };
        let suspend = || change(Standing::Suspended);
        assert_eq!(does(&mut ana, suspend()).unwrap(), ["AccountSuspended"]);
        assert!(does(&mut ana, suspend()).unwrap().is_empty());
        assert!(!ana.accepts(HERE, 0) && !ana.accepts(HERE, 1));
        assert_eq!(does(&mut ana, change(Standing::Open)).unwrap(), ["AccountReinstated"]);
        assert!(!ana.accepts(HERE, 0) && ana.accepts(HERE, 1));
        let gone = change(Standing::Deactivated);
        assert_eq!(does(&mut ana, gone).unwrap(), ["AccountDeactivated"]);
    }

    #[test]
    fn a_role_changes_when_it_is_another_one() {
        let mut ana = ana();
        let role = |role| C::ChangeRole { role, at: at(0) };
        assert!(does(&mut ana, role(Role::Student)).unwrap().is_empty());
        assert_eq!(does(&mut ana, role(Role::Admin)).unwrap(), ["RoleChanged"]);
    }

    #[test]
    fn a_number_is_proven_once_and_may_change() {
        let mut ana = ana();
        let prove = |number| C::ProvePhone { phone: Phone::parse(number).unwrap(), at: at(0) };
        assert_eq!(does(&mut ana, prove("+4930123456")).unwrap(), ["PhoneVerified"]);
        assert!(does(&mut ana, prove("+4930123456")).unwrap().is_empty());
        assert_eq!(does(&mut ana, prove("+4930999999")).unwrap(), ["PhoneChanged"]);
        assert!(ana.phone_verified);
    }

    #[test]
    fn a_number_that_was_never_proven_goes_to_who_proves_it() {
        let mut ana = ana();
        let give_up = || C::GiveUpPhone { phone: Phone::parse("+4930123456").unwrap(), at: at(0) };
        assert_eq!(does(&mut ana, give_up()).unwrap(), ["PhoneGivenUp"]);
        assert_eq!(does(&mut ana, give_up()), Err(UserError::PhoneTaken), "it is not hers");
        let mut proven = Credentials { phone_verified: true, ..self::ana() };
        assert_eq!(does(&mut proven, give_up()), Err(UserError::PhoneTaken));
    }

    #[test]
    fn a_registration_with_a_known_address_is_noted_now_and_then() {
        let mut ana = ana();
        let note = |seconds| C::NoteRegistration { gap: GAP, at: at(seconds) };
        assert_eq!(does(&mut ana, note(0)).unwrap(), ["RegistrationRepeated"]);
        assert!(does(&mut ana, note(59)).unwrap().is_empty());
        assert_eq!(does(&mut ana, note(60)).unwrap(), ["RegistrationRepeated"]);
    }
}
