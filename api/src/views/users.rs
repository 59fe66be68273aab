//! People and their sessions.
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use commands::{LoggedIn, RegisterRequest, Verification};
use domain::UserId;
use projections::{SessionRow, UserRow, UserShort};
use serde_json::{Value, json};

use super::time;

/// `UserSelf`: all that someone may see of their own account.
pub(crate) fn user_self(user: &UserRow) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "emailVerified": user.is_verified,
        "phone": user.phone,
        "phoneVerified": user.phone_verified,
        "fullName": user.full_name,
        "username": user.username,
        "profilePictureUrl": user.profile_picture_url,
        "bio": user.bio,
        "educationLevel": user.education_level,
        "institution": user.institution,
        "isVerified": user.is_verified,
        "isPremium": user.is_premium,
        "createdAt": time(user.created_at),
        "updatedAt": time(user.updated_at),
    })
}

/// `UserSelf` of an account that the read model does not show yet.
pub(crate) fn user_just_registered(
    id: UserId,
    request: &RegisterRequest,
    recorded_at: Option<DateTime<Utc>>,
) -> Value {
    let at = recorded_at.map(time);
    json!({
        "id": id,
        "email": request.email,
        "emailVerified": false,
        "phone": request.phone,
        "phoneVerified": false,
        "fullName": request.full_name,
        "username": request.username,
        "profilePictureUrl": null,
        "bio": null,
        "educationLevel": request.education_level,
        "institution": request.institution,
        "isVerified": false,
        "isPremium": false,
        "createdAt": at,
        "updatedAt": at,
    })
}

/// What others see of a person beside something else. Of one who was erased, or whom the read model
/// does not show yet, there is the id only.
pub(crate) fn short(id: UserId, people: &HashMap<UserId, UserShort>) -> Value {
    let user = people.get(&id);
    json!({
        "id": id,
        "fullName": user.and_then(|user| user.full_name.as_deref()),
        "username": user.and_then(|user| user.username.as_deref()),
        "profilePictureUrl": user.and_then(|user| user.profile_picture_url.as_deref()),
    })
}

/// The answer to everything that logs someone in.
pub(crate) fn session(session: &LoggedIn, user: &Value) -> Value {
    json!({
        "status": "authenticated",
        "user": user,
        "session": {
            "id": session.session_id,
            "accessToken": session.access_token,
            "tokenType": "Bearer",
            "expiresIn": session.expires_in,
            "refreshToken": session.refresh_token,
            "refreshExpiresAt": time(session.refresh_expires_at),
        },
    })
}

/// What was sent to somebody who is to answer it.
pub(crate) fn verification(sent: &Verification) -> Value {
    json!({
        "status": "verification_required",
        "verification": {
            "id": sent.id,
            "channel": sent.channel,
            "maskedDestination": sent.masked_destination,
            "expiresAt": time(sent.expires_at),
            "resendAvailableAt": time(sent.resend_available_at),
        },
    })
}

/// A session in the list of a person's own.
pub(crate) fn login(session: &SessionRow, current: bool) -> Value {
    json!({
        "id": session.id,
        "createdAt": time(session.created_at),
        "lastSeenAt": time(session.last_refreshed_at.unwrap_or(session.created_at)),
        "expiresAt": time(session.expires_at),
        "userAgent": session.user_agent,
        "current": current,
    })
}

#[cfg(test)]
mod tests {
    use domain::{
        password::NewPassword,
        text::{Email, FullName},
    };

    use super::*;

    #[test]
    fn a_fresh_account_looks_the_same_with_and_without_the_read_model() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let id = UserId(uuid::Uuid::nil());
        let request = RegisterRequest {
            email: Email::parse("Ana@Example.org").unwrap(),
            password: NewPassword::parse("blue kettle on monday", None, None).unwrap(),
            full_name: FullName::parse("Ana").unwrap(),
            username: None,
            phone: None,
            education_level: Some(domain::EducationLevel::Graduate),
            institution: None,
            user_agent: None,
        };
        let row = UserRow {
            id,
            email: Some("Ana@Example.org".to_owned()),
            phone: None,
            full_name: Some("Ana".to_owned()),
            username: None,
            profile_picture_url: None,
            bio: None,
            education_level: Some("graduate".to_owned()),
            institution: None,
            is_verified: false,
            phone_verified: false,
            is_premium: false,
            created_at: at,
            updated_at: at,
            version: 1,
        };
        assert_eq!(user_just_registered(id, &request, Some(at)), user_self(&row));
    }

    #[test]
    fn an_erased_person_has_an_id_and_no_name() {
        let id = UserId(uuid::Uuid::nil());
        let erased = UserShort { id, full_name: None, username: None, profile_picture_url: None };
        let people = HashMap::from([(id, erased)]);
        assert_eq!(short(id, &people), short(id, &HashMap::new()));
        assert_eq!(short(id, &people)["id"], json!(id));
        assert_eq!(short(id, &people)["fullName"], Value::Null);
    }
}
