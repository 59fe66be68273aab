//! `users`: accounts, one row each. PostgreSQL.
//!
//! The password hash is not here: it is needed to log in only, which asks the account itself, and a
//! table that answers queries is the last place to keep it. That addresses, handles and numbers are
//! unique is decided by the event store's claims; a second rule here could only break the projector
//! while an old and a new holder pass through different partitions.
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::{AnyEvent, Personal, Recorded, UserEvent, UserId};
use serde_json::json;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::changes::{RowChange, Table, fields};
use crate::projector::Projector;
use crate::{ReadError, ReadModels, names};

pub(crate) const TABLE: Table = Table {
    name: names::USERS,
    key: &["id"],
    columns: "id uuid not null, email text, phone text, full_name text, username text, \
              profile_picture_url text, bio text, education_level text, institution text, \
              is_verified boolean not null, phone_verified boolean not null default false, is_premium boolean not null, \
              created_at timestamptz not null, updated_at timestamptz not null, \
              version bigint not null",
    indexes: &[("username", "(username text_pattern_ops)")],
};

/// Feeds `users`.
#[derive(Clone, Copy, Debug, Default)]
pub struct UsersProjector;

impl Projector for UsersProjector {
    type Change = RowChange;
    const NAME: &'static str = names::USERS;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["user"];

    fn project(&self, recorded: &Recorded) -> Vec<RowChange> {
        let AnyEvent::User(event) = &recorded.event else { return vec![] };
        let version = recorded.sequence;
        vec![match event {
            UserEvent::UserRegistered {
                user_id,
                email,
                full_name,
                username,
                phone,
                education_level,
                institution,
                at,
                password_hash: _,
            } => RowChange::Put {
                row: fields(json!({
                    "id": user_id, "email": email.known(), "phone": optional(phone),
                    "full_name": full_name.known(), "username": optional(username),
                    "profile_picture_url": null, "bio": null,
                    "education_level": optional(education_level),
                    "institution": optional(institution),
                    "is_verified": false, "phone_verified": false, "is_premium": false,
                    "created_at": at, "updated_at": at, "version": version,
                })),
            },
            // Nothing that is shown changes, but a version is the last sequence of the account.
            UserEvent::UserRegisteredWithPhone { user_id, phone, full_name, at } => {
                RowChange::Put {
                    row: fields(json!({
                        "id": user_id, "email": null, "phone": phone.known(),
                        "full_name": full_name.known(), "username": null,
                        "profile_picture_url": null, "bio": null, "education_level": null,
                        "institution": null, "is_verified": false, "phone_verified": true,
                        "is_premium": false, "created_at": at, "updated_at": at,
                        "version": version,
                    })),
                }
            }
            UserEvent::PhoneVerified { user_id, at, .. } => RowChange::Set {
                key: fields(json!({"id": user_id})),
                fields: fields(
                    json!({"phone_verified": true, "updated_at": at, "version": version}),
                ),
            },
            UserEvent::PhoneChanged { user_id, phone, at, .. } => RowChange::Set {
                key: fields(json!({"id": user_id})),
                fields: fields(json!({
                    "phone": phone.known(), "phone_verified": true, "updated_at": at,
                    "version": version,
                })),
            },
            UserEvent::PhoneGivenUp { user_id, at, .. } => RowChange::Set {
                key: fields(json!({"id": user_id})),
                fields: fields(json!({"phone": null, "updated_at": at, "version": version})),
            },
            UserEvent::EmailVerified { user_id, at, .. } => RowChange::Set {
                key: fields(json!({"id": user_id})),
                fields: fields(json!({"is_verified": true, "updated_at": at, "version": version})),
            },
            UserEvent::EmailChanged { user_id, email, at, .. } => RowChange::Set {
                key: fields(json!({"id": user_id})),
                fields: fields(json!({
                    "email": email.known(), "is_verified": true, "updated_at": at,
                    "version": version,
                })),
            },
            UserEvent::PasswordRehashed { user_id, .. }
            | UserEvent::PasswordChanged { user_id, .. }
            | UserEvent::PasswordReset { user_id, .. }
            | UserEvent::EmailVerificationRequested { user_id, .. }
            | UserEvent::RegistrationRepeated { user_id, .. }
            | UserEvent::PasswordResetRequested { user_id, .. }
            | UserEvent::EmailChangeRequested { user_id, .. }
            | UserEvent::EmailChangeConfirmed { user_id, .. } => RowChange::Set {
                key: fields(json!({"id": user_id})),
                fields: fields(json!({"version": version})),
            },
        }]
    }
}

fn optional<T>(value: &Personal<Option<T>>) -> Option<&T> {
    value.known().and_then(Option::as_ref)
}

/// An account as it is read. What was erased with its person is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Whose account.
    pub id: UserId,
    /// As typed; `None` when the person was erased.
    pub email: Option<String>,
    /// E.164.
    pub phone: Option<String>,
    /// Shown to others; `None` when the person was erased.
    pub full_name: Option<String>,
    /// Public handle.
    pub username: Option<String>,
    /// Where the picture is.
    pub profile_picture_url: Option<String>,
    /// What they say about themselves.
    pub bio: Option<String>,
    /// `school`, `undergraduate` …
    pub education_level: Option<String>,
    /// Where they study or work.
    pub institution: Option<String>,
    /// Whether the address is proven.
    pub is_verified: bool,
    /// Whether the number is proven.
    pub phone_verified: bool,
    /// Whether they pay.
    pub is_premium: bool,
    /// UTC.
    pub created_at: DateTime<Utc>,
    /// UTC.
    pub updated_at: DateTime<Utc>,
    /// The sequence of the account's last event.
    pub version: i64,
}

/// What others see of a person beside something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserShort {
    /// Who.
    pub id: UserId,
    /// `None` when the person was erased.
    pub full_name: Option<String>,
    /// Public handle.
    pub username: Option<String>,
    /// Where the picture is.
    pub profile_picture_url: Option<String>,
}

/// Queries of `users`.
#[derive(Clone, Copy)]
pub struct Users<'a>(pub(crate) &'a ReadModels);

impl Users<'_> {
    /// One account.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn get(&self, id: UserId) -> Result<Option<UserRow>, ReadError> {
        let table = self.0.stored(names::USERS);
        let row = sqlx::query(&format!("select * from {table} where id = $1"))
            .bind(id.0)
            .fetch_optional(self.0.pool())
            .await?;
        Ok(row.as_ref().map(user_row).transpose()?)
    }

    /// Names and pictures of several people. Unknown ones are missing from the answer.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn short(&self, ids: &[UserId]) -> Result<HashMap<UserId, UserShort>, ReadError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let table = self.0.stored(names::USERS);
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        let rows = sqlx::query(&format!(
            "select id, full_name, username, profile_picture_url from {table} where id = any($1)"
        ))
        .bind(ids)
        .fetch_all(self.0.pool())
        .await?;
        let short = |row: &PgRow| -> Result<_, sqlx::Error> {
            let id = UserId(row.try_get("id")?);
            Ok((
                id,
                UserShort {
                    id,
                    full_name: row.try_get("full_name")?,
                    username: row.try_get("username")?,
                    profile_picture_url: row.try_get("profile_picture_url")?,
                },
            ))
        };
        Ok(rows.iter().map(short).collect::<Result<_, _>>()?)
    }
}

fn user_row(row: &PgRow) -> Result<UserRow, sqlx::Error> {
    Ok(UserRow {
        id: UserId(row.try_get("id")?),
        email: row.try_get("email")?,
        phone: row.try_get("phone")?,
        full_name: row.try_get("full_name")?,
        username: row.try_get("username")?,
        profile_picture_url: row.try_get("profile_picture_url")?,
        bio: row.try_get("bio")?,
        education_level: row.try_get("education_level")?,
        institution: row.try_get("institution")?,
        is_verified: row.try_get("is_verified")?,
        phone_verified: row.try_get("phone_verified")?,
        is_premium: row.try_get("is_premium")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        version: row.try_get("version")?,
    })
}

#[cfg(test)]
mod tests {
    use domain::EducationLevel;
    use domain::text::{Email, FullName};
    use serde_json::Value;

    use super::*;
    use crate::samples::{ANA, assert_whole, at, recorded};

    fn project(sequence: i64, event: UserEvent) -> RowChange {
        UsersProjector.project(&recorded(&ANA, sequence, AnyEvent::User(event))).remove(0)
    }

    fn registered() -> UserEvent {
        UserEvent::UserRegistered {
            user_id: ANA,
            email: Email::parse("Ana@Example.org").unwrap().into(),
            password_hash: "$argon2id$x".to_owned().into(),
            full_name: FullName::parse("Ana López").unwrap().into(),
            username: None.into(),
            phone: None.into(),
            education_level: Some(EducationLevel::Graduate).into(),
            institution: None.into(),
            at: at(0),
        }
    }

    #[test]
    fn an_account_is_a_whole_row_without_its_password() {
        let RowChange::Put { row } = project(1, registered()) else { panic!("not a whole row") };
        assert_whole(&TABLE, &row);
        assert_eq!(row["email"], "Ana@Example.org");
        assert_eq!(row["education_level"], "graduate");
        assert!(!Value::Object(row).to_string().contains("argon2"));
    }

    #[test]
    fn an_erased_person_has_no_name_and_no_address() {
        let mut event = registered();
        if let UserEvent::UserRegistered { email, full_name, education_level, .. } = &mut event {
            (*email, *full_name) = (Personal::Erased, Personal::Erased);
            *education_level = Personal::Erased;
        }
        let RowChange::Put { row } = project(1, event) else { panic!("not a whole row") };
        for column in ["email", "full_name", "education_level"] {
            assert_eq!(row[column], Value::Null);
        }
    }

    #[test]
    fn a_new_hash_of_the_password_is_a_new_version_of_the_account() {
        let event = UserEvent::PasswordRehashed {
            user_id: ANA,
            password_hash: "$argon2id$y".to_owned().into(),
            at: at(5),
        };
        let change = RowChange::Set {
            key: fields(json!({"id": ANA})),
            fields: fields(json!({"version": 2})),
        };
        assert_eq!(project(2, event), change);
    }
}
