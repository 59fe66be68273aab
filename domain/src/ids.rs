//! Ids of everything that has one.
use crate::macros::id_type;

id_type! {
    /// A person with an account.
    UserId
}
id_type! {
    /// A login on one device, from login to logout.
    SessionId
}
id_type! {
    /// A study room.
    RoomId
}
id_type! {
    /// A message in a room.
    MessageId
}
id_type! {
    /// A subject of study.
    SubjectId
}
id_type! {
    /// A report to the moderators.
    ReportId
}
id_type! {
    /// One live connection of a client to one node.
    ConnectionId
}
id_type! {
    /// An invite to a room.
    InviteId
}
