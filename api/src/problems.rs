//! Every code an error answer can carry, with its title and status: the registry that clients
//! program against. Codes are never reworded and never reused.
mod fields;

use axum::http::StatusCode;

pub use fields::FIELDS;

/// One kind of error answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The stable name.
    pub code: &'static str,
    /// The status it is answered with.
    pub status: StatusCode,
    /// A short sentence for people, the same for every occurrence.
    pub title: &'static str,
}

macro_rules! registry {
    ($($name:ident = $code:literal, $status:ident, $title:literal;)+) => {
        $(
            #[doc = concat!("`", $code, "`: ", $title, ".")]
            pub static $name: Kind =
                Kind { code: $code, status: StatusCode::$status, title: $title };
        )+

        /// All of them.
        pub static ALL: &[&Kind] = &[$(&$name),+];
    };
}

registry! {
    // The request as such.
    MALFORMED_JSON = "malformed_json", BAD_REQUEST, "The body is not valid JSON";
    MALFORMED_BODY = "malformed_body", BAD_REQUEST, "The body could not be read";
    INVALID_CURSOR = "invalid_cursor", BAD_REQUEST, "The cursor does not belong to this list";
    INVALID_HEADER = "invalid_header", BAD_REQUEST, "A header has a value it cannot have";
    NOT_FOUND = "not_found", NOT_FOUND, "Not found";
    METHOD_NOT_ALLOWED = "method_not_allowed", METHOD_NOT_ALLOWED, "The method is not available here";
    PAYLOAD_TOO_LARGE = "payload_too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The content type is not supported";
    VALIDATION_FAILED = "validation_failed", UNPROCESSABLE_ENTITY, "Some values are not acceptable";
    UNKNOWN_FIELD = "unknown_field", UNPROCESSABLE_ENTITY, "There is a field that does not belong here";
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused", UNPROCESSABLE_ENTITY, "The idempotency key was used for another request";

    // What was sent to somebody and comes back.
    TOKEN_INVALID = "token_invalid", BAD_REQUEST, "The link does not work";
    OTP_INVALID = "otp_invalid", BAD_REQUEST, "The code does not work";
    OTP_ATTEMPTS_EXCEEDED = "otp_attempts_exceeded", TOO_MANY_REQUESTS, "Too many wrong codes";
    NOT_YOUR_NUMBER = "not_your_number", CONFLICT, "The account has another number";
    UNCHANGED = "unchanged", UNPROCESSABLE_ENTITY, "Nothing would change";

    // Who is asking, and whether they may.
    UNAUTHENTICATED = "unauthenticated", UNAUTHORIZED, "Log in first";
    TOKEN_EXPIRED = "token_expired", UNAUTHORIZED, "The access token has expired";
    INVALID_CREDENTIALS = "invalid_credentials", UNAUTHORIZED, "The credentials are wrong";
    REFRESH_TOKEN_INVALID = "refresh_token_invalid", UNAUTHORIZED, "The refresh token is not valid";
    ACCOUNT_SUSPENDED = "account_suspended", FORBIDDEN, "The account is suspended";
    EMAIL_NOT_VERIFIED = "email_not_verified", FORBIDDEN, "The e-mail address is not confirmed";
    SESSION_REVOKED = "session_revoked", UNAUTHORIZED, "The session has ended";
    FORBIDDEN = "forbidden", FORBIDDEN, "Not allowed";
    EDIT_WINDOW_CLOSED = "edit_window_closed", FORBIDDEN, "It is too late to change this";
    NOT_A_MEMBER = "not_a_member", FORBIDDEN, "Only members of the room may do this";
    FRESH_LOGIN_REQUIRED = "fresh_login_required", FORBIDDEN, "This takes a login with a code, just now";
    INVITE_REQUIRED = "invite_required", FORBIDDEN, "Joining takes an invite";
    INVITE_INVALID = "invite_invalid", FORBIDDEN, "The invite is not valid, or not any more";
    BANNED = "banned", FORBIDDEN, "Banned from the room";

    // What the state of things does not allow.
    RECIPIENT_UNAVAILABLE = "recipient_unavailable", NOT_FOUND, "This person cannot be written to";
    YOURSELF = "yourself", UNPROCESSABLE_ENTITY, "This takes two people";
    SUBJECT_NOT_FOUND = "subject_not_found", NOT_FOUND, "There is no such subject";
    CONFLICT = "conflict", CONFLICT, "Someone else changed the same thing";
    EMAIL_TAKEN = "email_taken", CONFLICT, "The e-mail address already has an account";
    USERNAME_TAKEN = "username_taken", CONFLICT, "The username is taken";
    PHONE_TAKEN = "phone_taken", CONFLICT, "The phone number already has an account";
    ALREADY_REGISTERED = "already_registered", CONFLICT, "The account exists already";
    ALREADY_STARTED = "already_started", CONFLICT, "The session exists already";
    ALREADY_CREATED = "already_created", CONFLICT, "The room exists already";
    ROOM_FULL = "room_full", CONFLICT, "The room is full";
    MEMBER_NOT_FOUND = "member_not_found", NOT_FOUND, "There is no such member";
    BELOW_MEMBER_COUNT = "below_member_count", CONFLICT, "There are more members than that";
    ROOM_INACTIVE = "room_inactive", CONFLICT, "The room is archived";
    OWNER_MUST_TRANSFER = "owner_must_transfer", CONFLICT, "The owner must name a successor";
    VERSION_CONFLICT = "version_conflict", CONFLICT, "It has another version by now";
    LIMIT_REACHED = "limit_reached", CONFLICT, "A limit is reached";
    TOO_MANY_CONNECTIONS = "too_many_connections", CONFLICT, "Too many connections";
    SUBJECT_NAME_TAKEN = "subject_name_taken", CONFLICT, "There is a subject of this name";
    SUCCESSOR_NOT_A_MEMBER = "successor_not_a_member", UNPROCESSABLE_ENTITY, "The new owner is not a member";
    OUT_OF_RANGE = "out_of_range", UNPROCESSABLE_ENTITY, "A number is out of range";

    GONE = "gone", GONE, "It was deleted";

    // What only sockets answer, with the status it would have here.
    UNSUPPORTED_PROTOCOL = "unsupported_protocol", BAD_REQUEST, "The protocol version is not supported";
    ORIGIN_NOT_ALLOWED = "origin_not_allowed", FORBIDDEN, "This page may not connect";
    UNKNOWN_EVENT = "unknown_event", NOT_FOUND, "There is no such event";
    NOT_IN_ROOM = "not_in_room", CONFLICT, "Enter the room first";
    TOO_MANY_ROOMS = "too_many_rooms", CONFLICT, "Too many rooms on one socket";
    TOO_MANY_SOCKETS = "too_many_sockets", CONFLICT, "Too many sockets";
    RESYNC_REQUIRED = "resync_required", GONE, "Too much was missed; load it anew";
    SERVER_DRAINING = "server_draining", SERVICE_UNAVAILABLE, "This node is about to stop; reconnect";

    // What the client knows of it is old.
    VERSION_MISMATCH = "version_mismatch", PRECONDITION_FAILED, "It was changed meanwhile";

    // What we cannot do now.
    RATE_LIMITED = "rate_limited", TOO_MANY_REQUESTS, "Too many requests";
    INTERNAL = "internal", INTERNAL_SERVER_ERROR, "Something went wrong on our side";
    OVERLOADED = "overloaded", SERVICE_UNAVAILABLE, "Too much to do";
    DEPENDENCY_UNAVAILABLE = "dependency_unavailable", SERVICE_UNAVAILABLE, "A part of the service is away";
    PROJECTION_LAGGING = "projection_lagging", SERVICE_UNAVAILABLE, "The read side has not caught up";
    REQUEST_TIMEOUT = "request_timeout", SERVICE_UNAVAILABLE, "The answer took too long";
}

/// The kind with this code.
#[must_use]
pub fn find(code: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|kind| kind.code == code)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use domain::{
        AttendanceError, ConversationError, MessageError, ReadMarkerError, ReportsError, RoomError,
        SessionError, SubjectError, UserError,
    };

    use super::*;

    #[test]
    fn every_refusal_of_the_domain_is_registered() {
        let refusals = [
            UserError::CODES,
            ReportsError::CODES,
            SessionError::CODES,
            RoomError::CODES,
            MessageError::CODES,
            ConversationError::CODES,
            AttendanceError::CODES,
            ReadMarkerError::CODES,
            SubjectError::CODES,
        ];
        for code in refusals.into_iter().flatten() {
            assert!(find(code).is_some(), "{code}");
        }
    }

    /// The literal that follows `RejectionKind::Something,`.
    fn refused_codes(source: &str) -> Vec<String> {
        let code = |after: &str| {
            let (kind, rest) = after.split_once(',')?;
            let literal = rest.trim_start().strip_prefix('"')?;
            let named = kind.chars().all(char::is_alphanumeric);
            named.then(|| literal.split_once('"').map(|(code, _)| code.to_owned()))?
        };
        source.split("RejectionKind::").skip(1).filter_map(code).collect()
    }

    fn sources(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                found.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn every_refusal_of_the_commands_is_registered() {
        let mut found = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../commands/src"), &mut found);
        let codes: BTreeSet<_> = found.iter().flat_map(|source| refused_codes(source)).collect();
        assert!(codes.contains("invalid_credentials"), "{codes:?}");
        for code in codes {
            assert!(find(&code).is_some(), "{code}");
        }
    }

    #[test]
    fn codes_are_unique_and_in_snake_case() {
        let codes: BTreeSet<_> = ALL.iter().map(|kind| kind.code).collect();
        assert_eq!(codes.len(), ALL.len());
        for code in codes {
            assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code}");
        }
    }

    #[test]
    fn every_kind_is_an_error() {
        for kind in ALL {
            assert!(kind.status.is_client_error() || kind.status.is_server_error(), "{kind:?}");
        }
    }
}
