//! `/api/users`, `/api/reports`.
use utoipa::{
    ToSchema,
    openapi::schema::{Object, Type},
};
use uuid::Uuid;

use super::{Time, auth::EducationLevel};
use crate::{
    openapi::Doc,
    problems,
    routes::{reports, users::bodies},
};

/// All that someone may see of their own account.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct UserSelf {
    id: Uuid,
    email: Option<String>,
    email_verified: bool,
    phone: Option<String>,
    phone_verified: bool,
    full_name: Option<String>,
    username: Option<String>,
    profile_picture_url: Option<String>,
    bio: Option<String>,
    education_level: Option<String>,
    institution: Option<String>,
    /// BCP 47.
    languages: Vec<String>,
    /// A zone of the IANA database.
    time_zone: Option<String>,
    /// On the person's own clock.
    availability: Vec<TimeSlot>,
    goals: Option<String>,
    subjects: Vec<StudySubject>,
    preferences: Preferences,
    role: String,
    /// Whether an e-mail address or a phone number is proven.
    is_verified: bool,
    is_premium: bool,
    created_at: Option<Time>,
    updated_at: Option<Time>,
}

/// What others may see of a person.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct UserPublic {
    id: Uuid,
    full_name: Option<String>,
    username: Option<String>,
    profile_picture_url: Option<String>,
    bio: Option<String>,
    education_level: Option<String>,
    institution: Option<String>,
    languages: Vec<String>,
    time_zone: Option<String>,
    availability: Vec<TimeSlot>,
    goals: Option<String>,
    subjects: Vec<StudySubject>,
    role: String,
    /// Whether an e-mail address or a phone number is proven.
    is_verified: bool,
    created_at: Time,
    /// When something of this changed last.
    updated_at: Time,
    /// Whether they are there; null for who shares neither a room nor a conversation with them, and
    /// when nobody can tell now.
    presence: Option<String>,
    /// Rooms to which both belong.
    shared_rooms_count: u32,
}

/// A person in a list of people found.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct UserFound {
    id: Uuid,
    full_name: Option<String>,
    username: Option<String>,
    profile_picture_url: Option<String>,
    bio: Option<String>,
    education_level: Option<String>,
    institution: Option<String>,
    languages: Vec<String>,
    time_zone: Option<String>,
    availability: Vec<TimeSlot>,
    goals: Option<String>,
    subjects: Vec<StudySubject>,
    role: String,
    /// Whether an e-mail address or a phone number is proven.
    is_verified: bool,
    created_at: Time,
    /// When something of this changed last.
    updated_at: Time,
}

/// A language as BCP 47 names it: perhaps with a script, a region and variants.
#[derive(ToSchema)]
#[schema(value_type = String, max_length = 35, example = "pt-BR",
    pattern = "^[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?(-([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*$")]
struct Language(String);

/// Part of a day of the week.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct TimeSlot {
    day: Day,
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    from: String,
    /// After `from`; `24:00` is the end of the day.
    #[schema(pattern = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
    to: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// A subject on a profile.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct StudySubject {
    subject_id: Uuid,
    /// Null when it cannot be shown yet.
    name: Option<String>,
    level: Option<StudyLevel>,
    role: StudyRole,
    added_at: Time,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum StudyLevel {
    Beginner,
    Intermediate,
    Advanced,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum StudyRole {
    Learn,
    Teach,
}

/// What someone allows others.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Preferences {
    /// Who may write them direct messages.
    dm_policy: DmPolicy,
    /// Whether others see that they are typing.
    typing_visible: bool,
    /// Whether others see what they have read.
    read_receipts: bool,
    /// Whether a search finds them.
    discoverable: bool,
}

/// What to allow others from now on.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct PreferencesEdit {
    dm_policy: Option<DmPolicy>,
    typing_visible: Option<bool>,
    read_receipts: Option<bool>,
    discoverable: Option<bool>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum DmPolicy {
    Everyone,
    SharedRoom,
    Nobody,
}

/// What to change: absent fields stay, null clears.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct ProfileEdit {
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$",
        nullable = false
    )]
    full_name: Option<String>,
    /// Public and unique.
    #[schema(pattern = "^[A-Za-z0-9_]{3,30}$")]
    username: Option<String>,
    /// Null or empty: none.
    #[schema(max_length = 500, pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
    bio: Option<String>,
    education_level: Option<EducationLevel>,
    /// Null or empty: none.
    #[schema(max_length = 120, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    institution: Option<String>,
    /// The id of one of the person's own uploads. There are none yet: only null is accepted.
    #[schema(schema_with = only_null)]
    profile_picture_url: Option<String>,
    #[schema(max_items = 10)]
    languages: Option<Vec<Language>>,
    /// A zone of the IANA database.
    time_zone: Option<String>,
    /// Not overlapping.
    #[schema(max_items = 50)]
    availability: Option<Vec<TimeSlot>>,
    #[schema(min_length = 1, max_length = 500, pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
    goals: Option<String>,
    preferences: Option<PreferencesEdit>,
}

/// Which people are wanted: `q`, `subjectId` or both.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct PeopleFilter {
    /// What the username, or a word of the name, begins with.
    #[schema(min_length = 2, max_length = 100, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    q: Option<String>,
    /// On their profile.
    subject_id: Option<Uuid>,
    #[schema(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// `nextCursor` or `prevCursor` of a page with the same filters.
    cursor: Option<String>,
}

/// What puts a subject on a profile, or changes it there.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct StudySubjectEdit {
    subject_id: Uuid,
    level: Option<StudyLevel>,
    /// `learn`, if nothing is said.
    role: Option<StudyRole>,
}

/// What moderators shall look at.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct NewReport {
    target_type: ReportTarget,
    target_id: Uuid,
    reason: ReportReason,
    #[schema(min_length = 1, max_length = 2000, pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
    text: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum ReportTarget {
    User,
    Room,
    Message,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum ReportReason {
    Spam,
    Harassment,
    Hate,
    Sexual,
    Impersonation,
    Cheating,
    Other,
}

/// A report was taken down.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct ReportReceived {
    id: Uuid,
    status: ReportStatus,
    created_at: Time,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum ReportStatus {
    Received,
}

/// Of a field that can only be cleared.
fn only_null() -> Object {
    Object::with_type(Type::Null)
}

pub(in crate::routes) fn me() -> Doc {
    Doc::new("getMe", "Get the caller's own account")
        .answers::<UserSelf>(200, "The account.")
        .etag()
        .refuses(&[&problems::PROJECTION_LAGGING])
}

pub(in crate::routes) fn put() -> Doc {
    edit(Doc::new("putMe", "Change the caller's profile"))
}

pub(in crate::routes) fn patch() -> Doc {
    edit(Doc::new("patchMe", "Change the caller's profile (the same as PUT)"))
}

fn edit(doc: Doc) -> Doc {
    doc.text("Absent fields stay as they are, null clears. What holds already changes no version.")
        .body::<bodies::Edit, ProfileEdit>()
        .answers::<UserSelf>(200, "The account after the change.")
        .etag()
        .if_match()
        .refuses(&[&problems::USERNAME_TAKEN, &problems::PROJECTION_LAGGING])
}

pub(in crate::routes) fn show() -> Doc {
    Doc::new("getUser", "Get what the caller may see of someone")
        .answers::<UserPublic>(200, "The person.")
        .etag()
}

pub(in crate::routes) fn find() -> Doc {
    Doc::new("findUsers", "Find people who want to be found")
        .text("In the order of their names. Who blocks the caller is not among them.")
        .query::<bodies::Find, PeopleFilter>()
        .answers_page::<UserFound>("A page of people.")
}

pub(in crate::routes) fn add_subject() -> Doc {
    Doc::new("addStudySubject", "Put a subject on the caller's profile, or change it there")
        .body::<bodies::AddSubject, StudySubjectEdit>()
        .answers::<StudySubject>(201, "The subject is on the profile now.")
        .answers::<StudySubject>(200, "It was there; this is what it says now.")
        .refuses(&[&problems::SUBJECT_NOT_FOUND, &problems::LIMIT_REACHED])
}

pub(in crate::routes) fn remove_subject() -> Doc {
    Doc::new("removeStudySubject", "Take a subject off the caller's profile")
        .answers_nothing(204, "It is not on the profile, whether it was before or not.")
}

pub(in crate::routes) fn report() -> Doc {
    Doc::new("fileReport", "Ask moderators to look at something")
        .text("The answer is the same whether there is such a thing or not.")
        .body::<reports::Report, NewReport>()
        .answers::<ReportReceived>(202, "The report was taken down.")
}

pub(in crate::routes) fn block() -> Doc {
    Doc::new("blockUser", "Want no messages from someone, and not be found by them")
        .text("Neither of the two can write to the other any more. Nobody is told.")
        .answers_nothing(204, "No messages from them.")
        .refuses(&[&problems::VALIDATION_FAILED])
}

pub(in crate::routes) fn unblock() -> Doc {
    Doc::new("unblockUser", "Allow messages from someone again")
        .answers_nothing(204, "Messages are allowed.")
}
