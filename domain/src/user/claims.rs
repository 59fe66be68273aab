//! What belongs to one account at a time: addresses, handles and numbers.
use super::{User, UserEvent};
use crate::{
    ClaimChange, Personal,
    text::{Email, Phone, Username},
};

/// What an event takes, and what it frees for anybody. What was erased is nobody's.
pub(super) fn of(event: &UserEvent) -> Vec<ClaimChange> {
    use UserEvent as E;
    match event {
        E::UserRegistered { email, username, phone, .. } => take(&[
            (User::EMAIL, address(email)),
            (User::USERNAME, handle(username)),
            (User::PHONE, own(phone)),
        ]),
        E::UserRegisteredWithPhone { phone, .. } => take(&[(User::PHONE, number(phone))]),
        E::EmailChanged { email, previous, .. } => {
            change(User::EMAIL, address(previous), address(email))
        }
        E::UsernameChanged { previous, username, .. } => {
            change(User::USERNAME, handle(previous), handle(username))
        }
        E::PhoneChanged { phone, previous, .. } => {
            change(User::PHONE, own(previous), number(phone))
        }
        E::AccountErased { email, username, phone, .. } => [
            change(User::EMAIL, own_address(email), None),
            change(User::USERNAME, handle(username), None),
            change(User::PHONE, own(phone), None),
        ]
        .concat(),
        E::PhoneGivenUp { phone, .. } => change(User::PHONE, number(phone), None),
        _ => Vec::new(),
    }
}

fn take(wanted: &[(&'static str, Option<String>)]) -> Vec<ClaimChange> {
    let wanted = wanted.iter();
    wanted.flat_map(|(scope, value)| change(scope, None, value.clone())).collect()
}

fn change(scope: &'static str, before: Option<String>, after: Option<String>) -> Vec<ClaimChange> {
    let released = before.map(|value| ClaimChange::Release { scope, value });
    released.into_iter().chain(after.map(|value| ClaimChange::Take { scope, value })).collect()
}

fn address(email: &Personal<Email>) -> Option<String> {
    email.known().map(Email::canonical)
}

fn own_address(email: &Personal<Option<Email>>) -> Option<String> {
    email.known()?.as_ref().map(Email::canonical)
}

fn handle(username: &Personal<Option<Username>>) -> Option<String> {
    username.known()?.as_ref().map(|username| username.as_str().to_owned())
}

fn number(phone: &Personal<Phone>) -> Option<String> {
    phone.known().map(|phone| phone.as_str().to_owned())
}

fn own(phone: &Personal<Option<Phone>>) -> Option<String> {
    phone.known()?.as_ref().map(|phone| phone.as_str().to_owned())
}
