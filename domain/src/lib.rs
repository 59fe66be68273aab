//! The rules of Studyhall: aggregates, their commands, events and refusals, and the value objects
//! they are made of.
//!
//! Everything here is pure and synchronous. Time, ids, hashes and names arrive in the command;
//! `decide` turns state and command into events or a refusal, `evolve` folds one event into the
//! state.

pub mod aggregate;
pub mod attendance;
pub mod change;
pub mod conversation;
pub mod emoji;
pub mod ids;
mod macros;
pub mod message;
pub mod password;
pub mod personal;
pub mod read_marker;
pub mod recorded;
pub mod rejection;
pub mod report;
pub mod room;
pub mod session;
pub mod study;
pub mod subject;
pub mod text;
pub mod user;

pub use aggregate::{AggregateRoot, ClaimChange, PersonalFields, StoredEvent};
pub use attendance::{Attendance, AttendanceCommand, AttendanceError, AttendanceEvent};
pub use change::Change;
pub use conversation::{Conversation, ConversationCommand, ConversationError, ConversationEvent};
pub use emoji::Emoji;
pub use ids::{
    ConnectionId, ConversationId, InviteId, MessageId, ReportId, RoomId, SessionId, SubjectId,
    UserId,
};
pub use message::{MessageError, MessageFacts, MessagePlace};
pub use personal::Personal;
pub use read_marker::{ReadMarker, ReadMarkerCommand, ReadMarkerError, ReadMarkerEvent};
pub use recorded::{AnyEvent, DecodeError, LogPosition, Metadata, Recorded};
pub use rejection::{Rejection, RejectionKind};
pub use report::{Reports, ReportsCommand, ReportsError, ReportsEvent};
pub use room::{
    MemberRole, MessageType, NotificationLevel, Room, RoomCommand, RoomError, RoomEvent, RoomType,
};
pub use session::{Session, SessionCommand, SessionError, SessionEvent};
pub use subject::{Subject, SubjectCommand, SubjectError, SubjectEvent};
pub use text::Violation;
pub use user::{
    EducationLevel, Preferences, Profile, ProfileCommand, ProfileEdit, User, UserCommand,
    UserError, UserEvent,
};

/// The largest integer that every JSON reader keeps exact (RFC 8259, section 6).
pub const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;
