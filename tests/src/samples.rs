//! One sample of every event, for golden files and for sealing.
//!
//! Every personal value that can be words contains [`MARKER`]: where a marker shows, personal data
//! shows.
use chrono::{DateTime, Utc};
use domain::{
    AnyEvent, AttendanceEvent, Change, ConnectionId, ConversationEvent, ConversationId,
    EducationLevel, Emoji, InviteId, MemberRole, MessageId, MessageType, NotificationLevel,
    Personal, Preferences, ReadMarkerEvent, ReportId, ReportsEvent, RoomEvent, RoomId, RoomType,
    SessionEvent, SessionId, Subject, SubjectEvent, UserEvent, UserId,
    conversation::Beginning,
    message::ReactionKind,
    report::{ReportReason, ReportTarget},
    room::RemovalReason,
    session::RevocationReason,
    study::{Day, LanguageTag, StudyLevel, StudyRole, StudySubject, TimeOfDay, TimeSlot, TimeZone},
    text::{
        Bio, DeletionReason, Email, FullName, Goals, Institution, MessageBody, Phone, ReportText,
        RoomDescription, RoomName, Username,
    },
    user::{DmPolicy, Role, Side},
};
use uuid::Uuid;

/// In every personal value that can be words.
pub const MARKER: &str = "marker";
/// The one personal value that must be digits.
pub const PHONE: &str = "+4930123456";

/// A person.
pub const ANA: UserId = UserId(Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0001));
/// Another one.
pub const BEN: UserId = UserId(Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0002));
/// A room.
pub const ROOM: RoomId = RoomId(Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0003));
const SESSION: SessionId = SessionId(Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0004));
const MESSAGE: MessageId = MessageId(Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0005));
const REQUEST: Uuid = Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0008);
const INVITE: InviteId = InviteId(Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0008));
const CONNECTION: ConnectionId =
    ConnectionId(Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0006));

/// A fixed time: 2027-01-15 08:00 UTC.
#[must_use]
pub fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// One of each, in the order of [`AnyEvent::types`].
#[must_use]
pub fn all() -> Vec<AnyEvent> {
    let mut all = Vec::new();
    all.extend(users().map(AnyEvent::User));
    all.extend(sessions().map(AnyEvent::Session));
    all.extend(rooms().map(AnyEvent::Room));
    all.extend(attendance().map(AnyEvent::Attendance));
    all.push(AnyEvent::ReadMarker(channel_read()));
    all.extend(conversations().map(AnyEvent::Conversation));
    all.push(AnyEvent::Subject(subject("Linear algebra")));
    all.push(AnyEvent::Reports(reported()));
    all
}

/// The account of Ana.
#[must_use]
pub fn registered(user_id: UserId) -> UserEvent {
    UserEvent::UserRegistered {
        user_id,
        email: Email::parse("Marker.Ana@marker.example").unwrap().into(),
        password_hash: "$argon2id$marker".to_owned().into(),
        full_name: FullName::parse("Ana marker").unwrap().into(),
        username: Some(Username::parse("ana_marker").unwrap()).into(),
        phone: Some(Phone::parse(PHONE).unwrap()).into(),
        education_level: Some(EducationLevel::Undergraduate).into(),
        institution: Some(Institution::parse("University of marker").unwrap()).into(),
        at: at(),
    }
}

/// A message of someone's.
#[must_use]
pub fn posted(room_id: RoomId, author_id: UserId, content: &str, number: u64) -> RoomEvent {
    RoomEvent::MessagePosted {
        room_id,
        message_id: if number == 1 { MESSAGE } else { MessageId(platform::ids::new_id()) },
        author_id,
        author_name: FullName::parse("Ana marker").unwrap().into(),
        message_type: MessageType::Text,
        content: MessageBody::parse(content).unwrap().into(),
        client_message_id: Some("0198c0de-0000-7000-8000-000000000007".to_owned()),
        reply_to_id: None,
        message_count: number,
        at: at(),
    }
}

/// A room of Ana's.
#[must_use]
pub fn created(room_id: RoomId) -> RoomEvent {
    RoomEvent::RoomCreated {
        room_id,
        created_by: ANA,
        name: RoomName::parse("Algebra at night").unwrap(),
        description: RoomDescription::parse("We meet after dinner.\nBring tea.").unwrap(),
        subject_id: Subject::id_of("Linear algebra"),
        room_type: RoomType::InviteOnly,
        max_participants: 50,
        owner_slot: None,
        at: at(),
    }
}

/// A person becomes a member.
#[must_use]
pub fn joined(room_id: RoomId, user_id: UserId, member_count: u32) -> RoomEvent {
    let role = if member_count == 1 { MemberRole::Owner } else { MemberRole::Member };
    RoomEvent::MemberJoined {
        room_id,
        user_id,
        role,
        member_count,
        invite: None,
        muted_until: None,
        at: at(),
    }
}

/// A subject of the catalogue.
#[must_use]
pub fn subject(name: &str) -> SubjectEvent {
    SubjectEvent::SubjectAdded {
        subject_id: Subject::id_of(name),
        name: name.to_owned(),
        category: "Mathematics".to_owned(),
        description: "Vectors, matrices and what they do to each other.".to_owned(),
        at: at(),
    }
}

fn users() -> impl Iterator<Item = UserEvent> {
    let password_hash = "$argon2id$marker-newer".to_owned().into();
    let rehashed = UserEvent::PasswordRehashed { user_id: ANA, password_hash, at: at() };
    let changed = UserEvent::PasswordChanged {
        user_id: ANA,
        password_hash: "$argon2id$marker-other".to_owned().into(),
        token_version: 1,
        kept_session: Some(SESSION),
        at: at(),
    };
    let email = |text: &str| Personal::from(Email::parse(text).unwrap());
    let (user_id, request_id) = (ANA, REQUEST);
    let (expires_at, at) = (at() + chrono::TimeDelta::days(1), at());
    let others = [
        changed,
        UserEvent::RoleChanged { user_id, role: Role::Instructor, at },
        UserEvent::AccountSuspended { user_id, token_version: 3, at },
        UserEvent::AccountDeactivated { user_id, token_version: 4, at },
        UserEvent::AccountReinstated { user_id, at },
        UserEvent::AccountDeletionRequested { user_id, token_version: 5, due_at: expires_at, at },
        UserEvent::AccountErased {
            user_id,
            email: Some(Email::parse("Ana.Marker@example.org").unwrap()).into(),
            username: Some(Username::parse("ana_marker").unwrap()).into(),
            phone: Some(Phone::parse(PHONE).unwrap()).into(),
            at,
        },
        UserEvent::DataExportRequested { user_id, request_id, expires_at, at },
        UserEvent::UserRegisteredWithPhone {
            user_id,
            phone: Phone::parse(PHONE).unwrap().into(),
            full_name: FullName::parse("Ana marker").unwrap().into(),
            at,
        },
        UserEvent::PhoneVerified { user_id, phone: Phone::parse(PHONE).unwrap().into(), at },
        UserEvent::PhoneChanged {
            user_id,
            phone: Phone::parse(PHONE).unwrap().into(),
            previous: Some(Phone::parse(PHONE).unwrap()).into(),
            at,
        },
        UserEvent::PhoneGivenUp { user_id, phone: Phone::parse(PHONE).unwrap().into(), at },
        UserEvent::EmailVerificationRequested {
            user_id,
            request_id,
            email: email("Marker.Ana@marker.example"),
            expires_at,
            at,
        },
        UserEvent::EmailVerified { user_id, email: email("Marker.Ana@marker.example"), at },
        UserEvent::RegistrationRepeated { user_id, at },
        UserEvent::PasswordResetRequested { user_id, request_id, expires_at, at },
        UserEvent::PasswordReset {
            user_id,
            request_id,
            password_hash: "$argon2id$marker-reset".to_owned().into(),
            token_version: 2,
            at,
        },
        UserEvent::EmailChangeRequested {
            user_id,
            request_id,
            email: email("ana@new.marker.example"),
            expires_at,
            at,
        },
        UserEvent::EmailChangeConfirmed { user_id, request_id, side: Side::Old, at },
        UserEvent::EmailChanged {
            user_id,
            email: email("ana@new.marker.example"),
            previous: email("Marker.Ana@marker.example"),
            at,
        },
    ];
    [registered(ANA), rehashed].into_iter().chain(profiles()).chain(others)
}

/// What Ana shows of herself, studies and allows.
fn profiles() -> [UserEvent; 6] {
    let slot = TimeSlot {
        day: Day::Monday,
        from: TimeOfDay::parse("18:00").unwrap(),
        to: TimeOfDay::parse("20:30").unwrap(),
    };
    let subject_id = Subject::id_of("Linear algebra");
    let entry = StudySubject {
        subject_id,
        level: Some(StudyLevel::Beginner),
        role: StudyRole::Learn,
        added_at: at(),
    };
    [
        UserEvent::UsernameChanged {
            user_id: ANA,
            previous: Some(Username::parse("ana_marker").unwrap()).into(),
            username: Some(Username::parse("marker_ana").unwrap()).into(),
            at: at(),
        },
        UserEvent::ProfileChanged {
            user_id: ANA,
            full_name: Change::Set(FullName::parse("Ana marker the second").unwrap().into()),
            bio: Change::Set(Some(Bio::parse("marker: likes rings\nand fields").unwrap()).into()),
            education_level: Change::Set(Some(EducationLevel::Graduate).into()),
            institution: Change::Set(None.into()),
            languages: Change::Set(vec![LanguageTag::parse("pt-BR").unwrap()].into()),
            time_zone: Change::Set(Some(TimeZone::parse("Europe/Berlin").unwrap()).into()),
            availability: Change::Set(vec![slot].into()),
            goals: Change::Set(Some(Goals::parse("pass the marker exam").unwrap()).into()),
            at: at(),
        },
        UserEvent::PreferencesChanged {
            user_id: ANA,
            preferences: Preferences {
                dm_policy: DmPolicy::SharedRoom,
                typing_visible: false,
                read_receipts: false,
                discoverable: false,
            },
            at: at(),
        },
        UserEvent::StudySubjectSet {
            user_id: ANA,
            subject_id: subject_id.into(),
            subjects: vec![entry].into(),
            at: at(),
        },
        UserEvent::PresenceVisibilityChanged { user_id: ANA, visible: false, at: at() },
        UserEvent::StudySubjectRemoved {
            user_id: ANA,
            subject_id: subject_id.into(),
            subjects: Vec::new().into(),
            at: at(),
        },
    ]
}

fn reported() -> ReportsEvent {
    ReportsEvent::ReportFiled {
        report_id: ReportId(Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0008)),
        reporter_id: ANA,
        target_type: ReportTarget::User,
        target_id: BEN.0,
        reason: ReportReason::Spam,
        text: Some(ReportText::parse("marker: again and again").unwrap()).into(),
        at: at(),
    }
}

fn sessions() -> impl Iterator<Item = SessionEvent> {
    [
        SessionEvent::SessionStarted {
            session_id: SESSION,
            user_id: ANA,
            user_agent: Some("Browser marker/1.0".to_owned()).into(),
            slot: None,
            token_version: None,
            proof: None,
            expires_at: at() + chrono::TimeDelta::days(30),
            at: at(),
        },
        SessionEvent::SessionRefreshed { session_id: SESSION, user_id: ANA, counter: 1, at: at() },
        SessionEvent::RefreshTokenReuseDetected {
            session_id: SESSION,
            user_id: ANA,
            presented: 1,
            current: 3,
            at: at(),
        },
        SessionEvent::SessionRevoked {
            session_id: SESSION,
            user_id: ANA,
            reason: RevocationReason::TokenReused,
            slot: None,
            at: at(),
        },
    ]
    .into_iter()
}

fn rooms() -> impl Iterator<Item = RoomEvent> {
    let (room_id, user_id, by, at) = (ROOM, BEN, ANA, at());
    [
        created(ROOM),
        RoomEvent::RoomEdited {
            room_id,
            name: Some(RoomName::parse("Algebra by day").unwrap()),
            description: Some(RoomDescription::parse("").unwrap()),
            subject_id: Some(Subject::id_of("Algebra")),
            room_type: Some(RoomType::Private),
            max_participants: Some(20),
            revision: 2,
            at,
        },
        joined(ROOM, BEN, 2),
        RoomEvent::MemberLeft { room_id, user_id, member_count: 1, at },
        RoomEvent::MemberRemoved {
            room_id,
            user_id,
            by,
            reason: RemovalReason::Banned,
            member_count: 1,
            at,
        },
        RoomEvent::MemberRoleChanged { room_id, user_id, by, role: MemberRole::Moderator, at },
        RoomEvent::NotificationLevelChanged {
            room_id,
            user_id,
            level: NotificationLevel::Mentions,
            at,
        },
        RoomEvent::MemberBanned { room_id, user_id, by, at },
        RoomEvent::BanLifted { room_id, user_id, by, at },
        RoomEvent::MemberMuted {
            room_id,
            user_id,
            by,
            until: at + chrono::TimeDelta::hours(1),
            at,
        },
        RoomEvent::MuteLifted { room_id, user_id, by, at },
        RoomEvent::InviteCreated {
            room_id,
            invite_id: INVITE,
            by,
            code_hash: "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU".to_owned(),
            max_uses: Some(5),
            expires_at: at + chrono::TimeDelta::days(7),
            at,
        },
        RoomEvent::InviteRevoked { room_id, invite_id: INVITE, by, at },
        RoomEvent::OwnershipTransferred {
            room_id,
            from: ANA,
            to: BEN,
            from_slot: None,
            to_slot: None,
            at,
        },
        RoomEvent::RoomArchived { room_id, released: None, at },
        posted(ROOM, ANA, "marker: the exam moved to Friday", 1),
        RoomEvent::MessageEdited {
            room_id: ROOM,
            message_id: MESSAGE,
            author_id: ANA,
            content: MessageBody::parse("marker: the exam moved to Monday").unwrap().into(),
            version: 2,
            at,
        },
        RoomEvent::MessageDeleted {
            room_id: ROOM,
            message_id: MESSAGE,
            author_id: ANA,
            deleted_by: BEN,
            reason: Some(DeletionReason::parse("marker was wrong").unwrap()).into(),
            version: 5,
            at,
        },
        RoomEvent::ReactionAdded {
            room_id: ROOM,
            message_id: MESSAGE,
            user_id: BEN,
            emoji: thumb(),
            reactions: vec![ReactionKind { emoji: thumb(), count: 1, user_ids: vec![BEN] }],
            version: 3,
            at,
        },
        RoomEvent::ReactionRemoved {
            room_id: ROOM,
            message_id: MESSAGE,
            user_id: BEN,
            emoji: thumb(),
            reactions: vec![],
            version: 4,
            at,
        },
    ]
    .into_iter()
}

fn conversations() -> impl Iterator<Item = ConversationEvent> {
    let (conversation_id, participants) = (ConversationId::between(ANA, BEN), [ANA, BEN]);
    let (message_id, at) = (MESSAGE, at());
    [
        ConversationEvent::ConversationStarted {
            conversation_id,
            started_by: ANA,
            with: BEN,
            beginning: Some(Beginning { day: at.date_naive(), number: 1 }),
            at,
        },
        ConversationEvent::DirectMessageSent {
            conversation_id,
            message_id,
            author_id: ANA,
            recipient_id: BEN,
            author_name: FullName::parse("Ana marker").unwrap().into(),
            message_type: MessageType::Text,
            content: MessageBody::parse("marker: between us").unwrap().into(),
            client_message_id: Some("0198c0de-0000-7000-8000-000000000007".to_owned()),
            reply_to_id: Some(MESSAGE),
            message_count: 1,
            at,
        },
        ConversationEvent::MessageEdited {
            conversation_id,
            participants,
            message_id,
            author_id: ANA,
            content: MessageBody::parse("marker: between the two of us").unwrap().into(),
            version: 2,
            at,
        },
        ConversationEvent::MessageDeleted {
            conversation_id,
            participants,
            message_id,
            author_id: ANA,
            deleted_by: ANA,
            reason: Some(DeletionReason::parse("marker was wrong").unwrap()).into(),
            version: 5,
            at,
        },
        ConversationEvent::ReactionAdded {
            conversation_id,
            participants,
            message_id,
            user_id: BEN,
            emoji: thumb(),
            reactions: vec![ReactionKind { emoji: thumb(), count: 1, user_ids: vec![BEN] }],
            version: 3,
            at,
        },
        ConversationEvent::ReactionRemoved {
            conversation_id,
            participants,
            message_id,
            user_id: BEN,
            emoji: thumb(),
            reactions: vec![],
            version: 4,
            at,
        },
        ConversationEvent::BlockPlaced { conversation_id, by: BEN, blocked: ANA, at },
        ConversationEvent::BlockLifted { conversation_id, by: BEN, blocked: ANA, at },
        ConversationEvent::ConversationMuted {
            conversation_id,
            participants,
            by: BEN,
            muted_by: vec![ANA, BEN],
            at,
        },
        ConversationEvent::ConversationUnmuted {
            conversation_id,
            participants,
            by: BEN,
            muted_by: vec![ANA],
            at,
        },
    ]
    .into_iter()
}

fn thumb() -> Emoji {
    Emoji::parse("👍").unwrap()
}

fn channel_read() -> ReadMarkerEvent {
    let channel = format!("room:{ROOM}");
    ReadMarkerEvent::ChannelRead { user_id: ANA, channel, last_read_seq: 7, at: at() }
}

fn attendance() -> impl Iterator<Item = AttendanceEvent> {
    [
        AttendanceEvent::ParticipantEntered {
            room_id: ROOM,
            user_id: ANA,
            connection_id: CONNECTION,
            first: true,
            online_count: 1,
            at: at(),
        },
        AttendanceEvent::ParticipantExited {
            room_id: ROOM,
            user_id: ANA,
            connection_id: CONNECTION,
            last: true,
            online_count: 0,
            at: at(),
        },
    ]
    .into_iter()
}
