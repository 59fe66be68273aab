//! `users`: accounts, one row each. PostgreSQL.
//!
//! The password hash is not here: it is needed to log in only, which asks the account itself, and a
//! table that answers queries is the last place to keep it. That addresses, handles and numbers are
//! unique is decided by the event store's claims; a second rule here could only break the projector
//! while an old and a new holder pass through different partitions.
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::study::{StudySubject, TimeSlot};
use domain::user::{DmPolicy, Preferences};
use domain::{AnyEvent, Change, Personal, Recorded, UserEvent, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

mod account;
mod search;
#[cfg(test)]
mod tests;

pub use search::PeopleFilter;

use crate::cache::Cached;
use crate::changes::{Erasure, RowChange, Table, fields};
use crate::last_changes::Topic;
use crate::projector::Projector;
use crate::room_members::stored_name;
use crate::{ReadError, ReadModels, names};

pub(crate) const TABLE: Table = Table {
    name: names::USERS,
    key: &["id"],
    columns: "id uuid not null, email text, phone text, full_name text, username text, \
              profile_picture_url text, bio text, education_level text, institution text, \
              is_verified boolean not null, phone_verified boolean not null default false, \
              role text not null default 'student', \
              is_premium boolean not null, \
              created_at timestamptz not null, updated_at timestamptz not null, \
              version bigint not null, languages jsonb not null default '[]', time_zone text, \
              availability jsonb not null default '[]', goals text, \
              subjects jsonb not null default '[]', \
              dm_policy text not null default 'everyone', \
              typing_visible boolean not null default true, \
              read_receipts boolean not null default true, \
              discoverable boolean not null default true, \
              deactivated boolean not null default false, shown_at timestamptz",
    indexes: &[
        ("username", "(username text_pattern_ops)"),
        ("words", search::WORDS_INDEX),
        ("subjects", "using gin (subjects jsonb_path_ops)"),
    ],
    erasure: Erasure::Fields { of: "id", set: ERASED, given: "true" },
};

/// Puts out the columns whose values are sealed in events, also where the account's own events wait for somebody to mend them.
const ERASED: &str = "email = null, phone = null, full_name = null, username = null, bio = null, \
                      education_level = null, institution = null, languages = '[]', \
                      time_zone = null, availability = '[]', goals = null, subjects = '[]'";

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
        vec![change_of(event, recorded.sequence)]
    }
}

/// What an event changes, which is the account's version from then on.
#[expect(clippy::too_many_lines, reason = "one arm for each event")]
fn change_of(event: &UserEvent, version: i64) -> RowChange {
    let mut change = match event {
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
        } => {
            let mut row = new_row(*user_id, *at, version);
            row.extend(fields(json!({
                "email": email.known(), "phone": optional(phone),
                "full_name": full_name.known(), "username": optional(username),
                "education_level": optional(education_level),
                "institution": optional(institution),
            })));
            RowChange::Put { row }
        }
        UserEvent::UserRegisteredWithPhone { user_id, phone, full_name, at } => {
            let mut row = new_row(*user_id, *at, version);
            row.extend(fields(json!({
                "phone": phone.known(), "phone_verified": true,
                "full_name": full_name.known(),
            })));
            RowChange::Put { row }
        }
        UserEvent::PhoneVerified { user_id, at, .. } => {
            changed(*user_id, *at, json!({"phone_verified": true}))
        }
        UserEvent::PhoneChanged { user_id, phone, at, .. } => {
            own(*user_id, *at, json!({"phone": phone.known(), "phone_verified": true}))
        }
        UserEvent::PhoneGivenUp { user_id, at, .. } => {
            own(*user_id, *at, json!({"phone": null, "phone_verified": false}))
        }
        UserEvent::RoleChanged { user_id, role, at } => {
            changed(*user_id, *at, json!({"role": role}))
        }
        UserEvent::UsernameChanged { user_id, username, at, previous: _ } => {
            changed(*user_id, *at, json!({"username": optional(username)}))
        }
        UserEvent::ProfileChanged {
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
        } => {
            let mut row = Map::new();
            put(&mut row, "full_name", full_name, Value::Null);
            put(&mut row, "bio", bio, Value::Null);
            put(&mut row, "education_level", education_level, Value::Null);
            put(&mut row, "institution", institution, Value::Null);
            put(&mut row, "languages", languages, json!([]));
            put(&mut row, "time_zone", time_zone, Value::Null);
            put(&mut row, "availability", availability, json!([]));
            put(&mut row, "goals", goals, Value::Null);
            changed(*user_id, *at, Value::Object(row))
        }
        UserEvent::PreferencesChanged { user_id, preferences, at } => {
            own(*user_id, *at, Value::Object(allowed(*preferences)))
        }
        UserEvent::StudySubjectSet { user_id, subjects, at, .. }
        | UserEvent::StudySubjectRemoved { user_id, subjects, at, .. } => {
            let subjects = subjects.known().map_or(&[][..], Vec::as_slice);
            changed(*user_id, *at, json!({"subjects": subjects}))
        }
        UserEvent::EmailVerified { user_id, at, .. } => {
            changed(*user_id, *at, json!({"is_verified": true}))
        }
        UserEvent::EmailChanged { user_id, email, at, .. } => {
            own(*user_id, *at, json!({"email": email.known(), "is_verified": true}))
        }
        // As if there were none.
        UserEvent::AccountDeactivated { user_id, .. }
        | UserEvent::AccountDeletionRequested { user_id, .. } => {
            private(*user_id, json!({"deactivated": true}))
        }
        // What is about the person goes with it: `ERASED`.
        UserEvent::AccountErased { user_id, at, .. } => {
            changed(*user_id, *at, json!({"deactivated": true}))
        }
        UserEvent::AccountSuspended { user_id, .. }
        | UserEvent::AccountReinstated { user_id, .. } => {
            private(*user_id, json!({"deactivated": false}))
        }
        // Nothing that is shown changes, but a version is the last sequence of the account.
        UserEvent::PasswordRehashed { user_id, .. }
        | UserEvent::PasswordChanged { user_id, .. }
        | UserEvent::PasswordReset { user_id, .. }
        | UserEvent::EmailVerificationRequested { user_id, .. }
        | UserEvent::RegistrationRepeated { user_id, .. }
        | UserEvent::PasswordResetRequested { user_id, .. }
        | UserEvent::EmailChangeRequested { user_id, .. }
        | UserEvent::DataExportRequested { user_id, .. }
        | UserEvent::PresenceVisibilityChanged { user_id, .. }
        | UserEvent::EmailChangeConfirmed { user_id, .. } => private(*user_id, json!({})),
    };
    if let RowChange::Set { fields, .. } = &mut change {
        fields.insert("version".to_owned(), json!(version));
    }
    change
}

/// A row of which only this is known. It has every column: one that is left out keeps what stood there.
fn new_row(user_id: UserId, at: DateTime<Utc>, version: i64) -> Map<String, Value> {
    let mut row = fields(json!({
        "id": user_id, "email": null, "phone": null, "full_name": null, "username": null,
        "profile_picture_url": null, "bio": null, "education_level": null, "institution": null,
        "is_verified": false, "phone_verified": false, "role": "student",
        "is_premium": false,
        "created_at": at, "updated_at": at, "version": version,
        "languages": [], "time_zone": null, "availability": [], "goals": null, "subjects": [],
        "deactivated": false, "shown_at": at,
    }));
    row.extend(allowed(Preferences::default()));
    row
}

/// The columns of what someone allows others.
fn allowed(preferences: Preferences) -> Map<String, Value> {
    let Preferences { dm_policy, typing_visible, read_receipts, discoverable } = preferences;
    fields(json!({
        "dm_policy": dm_policy, "typing_visible": typing_visible,
        "read_receipts": read_receipts, "discoverable": discoverable,
    }))
}

/// Columns of an account that change with what others see of it.
fn changed(user_id: UserId, at: DateTime<Utc>, columns: Value) -> RowChange {
    let mut columns = fields(columns);
    columns.insert("shown_at".to_owned(), json!(at));
    own(user_id, at, Value::Object(columns))
}

/// Columns that change with what only its owner sees.
fn own(user_id: UserId, at: DateTime<Utc>, columns: Value) -> RowChange {
    let mut columns = fields(columns);
    columns.insert("updated_at".to_owned(), json!(at));
    private(user_id, Value::Object(columns))
}

/// Columns that nobody sees.
fn private(user_id: UserId, columns: Value) -> RowChange {
    RowChange::Set { key: fields(json!({"id": user_id})), fields: fields(columns) }
}

/// The column, if the field changes; `erased` where nobody can tell its value any more.
fn put<T: Serialize>(
    row: &mut Map<String, Value>,
    column: &str,
    change: &Change<Personal<T>>,
    erased: Value,
) {
    if let Change::Set(value) = change {
        row.insert(column.to_owned(), value.known().map_or(erased, |value| json!(value)));
    }
}

fn optional<T>(value: &Personal<Option<T>>) -> Option<&T> {
    value.known().and_then(Option::as_ref)
}

/// What everybody may see of a person. What was erased with them is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Whose.
    pub id: UserId,
    /// `None` when the person was erased.
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
    /// Whether an address or a number is proven.
    pub is_verified: bool,
    /// `student`, `instructor` or `admin`.
    pub role: String,
    /// UTC.
    pub created_at: DateTime<Utc>,
    /// BCP 47.
    pub languages: Vec<String>,
    /// IANA.
    pub time_zone: Option<String>,
    /// When in the week they have time.
    pub availability: Vec<TimeSlot>,
    /// What they want to reach.
    pub goals: Option<String>,
    /// What they study and teach, in the order of adding.
    pub subjects: Vec<StudySubject>,
    /// When something of this changed last, UTC.
    pub shown_at: DateTime<Utc>,
    /// Whether the account was closed and looks like none.
    pub deactivated: bool,
}

/// An account as it is read. What was erased with its person is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// What others see of it.
    pub profile: Profile,
    /// As typed; `None` when the person was erased.
    pub email: Option<String>,
    /// Whether the address is proven.
    pub email_verified: bool,
    /// E.164.
    pub phone: Option<String>,
    /// Whether the number is proven.
    pub phone_verified: bool,
    /// Whether they pay.
    pub is_premium: bool,
    /// UTC.
    pub updated_at: DateTime<Utc>,
    /// The sequence of the account's last event.
    pub version: i64,
    /// What they allow others.
    pub preferences: Preferences,
}

/// What others see of a person beside something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

impl From<&Profile> for UserShort {
    fn from(profile: &Profile) -> Self {
        Self {
            id: profile.id,
            full_name: profile.full_name.clone(),
            username: profile.username.clone(),
            profile_picture_url: profile.profile_picture_url.clone(),
        }
    }
}

const PROFILE: Cached<UserId> = Cached { query: "profile", topic: |id| Topic::User(*id) };
const SHORT: Cached<UserId> = Cached { query: "person", topic: |id| Topic::User(*id) };

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

    /// What everybody may see of one person.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn profile(&self, id: UserId) -> Result<Option<Profile>, ReadError> {
        let read = async || Ok(self.get(id).await?.map(|row| row.profile));
        PROFILE.one(self.0, id, read).await
    }

    /// What everybody may see of several people. Unknown ones are missing from the answer.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn profiles(&self, ids: &[UserId]) -> Result<HashMap<UserId, Profile>, ReadError> {
        PROFILE.through(self.0, ids, async |ids| self.read_profiles(ids).await).await
    }

    async fn read_profiles(self, ids: &[UserId]) -> Result<HashMap<UserId, Profile>, ReadError> {
        let table = self.0.stored(names::USERS);
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        let rows = sqlx::query(&format!("select * from {table} where id = any($1)"))
            .bind(ids)
            .fetch_all(self.0.pool())
            .await?;
        let found = |row: &PgRow| profile(row).map(|profile| (profile.id, profile));
        Ok(rows.iter().map(found).collect::<Result<_, _>>()?)
    }

    /// Names and pictures of several people. Unknown ones are missing from the answer.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn short(&self, ids: &[UserId]) -> Result<HashMap<UserId, UserShort>, ReadError> {
        SHORT.through(self.0, ids, async |ids| self.read_short(ids).await).await
    }

    async fn read_short(self, ids: &[UserId]) -> Result<HashMap<UserId, UserShort>, ReadError> {
        let table = self.0.stored(names::USERS);
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        let rows = sqlx::query(&format!(
            // Whose account looks like none has no name.
            "select u.id, shown.full_name, shown.username, shown.profile_picture_url from {table} u \
             left join {table} shown on shown.id = u.id and not shown.deactivated where u.id = any($1)"
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
        profile: profile(row)?,
        email: row.try_get("email")?,
        // The column is older than proven numbers.
        email_verified: row.try_get("is_verified")?,
        phone: row.try_get("phone")?,
        phone_verified: row.try_get("phone_verified")?,
        is_premium: row.try_get("is_premium")?,
        updated_at: row.try_get("updated_at")?,
        version: row.try_get("version")?,
        preferences: Preferences {
            dm_policy: stored_name::<DmPolicy>(row.try_get("dm_policy")?)?,
            typing_visible: row.try_get("typing_visible")?,
            read_receipts: row.try_get("read_receipts")?,
            discoverable: row.try_get("discoverable")?,
        },
    })
}

fn profile(row: &PgRow) -> Result<Profile, sqlx::Error> {
    Ok(Profile {
        id: UserId(row.try_get("id")?),
        full_name: row.try_get("full_name")?,
        username: row.try_get("username")?,
        profile_picture_url: row.try_get("profile_picture_url")?,
        bio: row.try_get("bio")?,
        education_level: row.try_get("education_level")?,
        institution: row.try_get("institution")?,
        is_verified: row.try_get("is_verified")? || row.try_get("phone_verified")?,
        role: row.try_get("role")?,
        created_at: row.try_get("created_at")?,
        languages: row.try_get::<Json<_>, _>("languages")?.0,
        time_zone: row.try_get("time_zone")?,
        availability: row.try_get::<Json<_>, _>("availability")?.0,
        goals: row.try_get("goals")?,
        subjects: row.try_get::<Json<_>, _>("subjects")?.0,
        shown_at: row
            .try_get::<Option<_>, _>("shown_at")?
            .map_or_else(|| row.try_get("created_at"), Ok)?,
        deactivated: row.try_get("deactivated")?,
    })
}
