//! The codes that only sockets can answer, beside those of commands.

/// Every public code of this crate: acknowledgements, refused connections and replaced ones,
/// refused origins.
pub const CODES: &[&str] = &[
    CONFLICT,
    DEPENDENCY_UNAVAILABLE,
    IDEMPOTENCY_KEY_REUSED,
    INTERNAL,
    NOT_IN_ROOM,
    ORIGIN_NOT_ALLOWED,
    OVERLOADED,
    RATE_LIMITED,
    REQUEST_TIMEOUT,
    RESYNC_REQUIRED,
    SERVER_DRAINING,
    SESSION_REVOKED,
    TOKEN_EXPIRED,
    TOO_MANY_ROOMS,
    TOO_MANY_SOCKETS,
    UNAUTHENTICATED,
    UNKNOWN_EVENT,
    UNKNOWN_FIELD,
    UNSUPPORTED_PROTOCOL,
    VALIDATION_FAILED,
    VERSION_MISMATCH,
];

pub(crate) const CONFLICT: &str = "conflict";
pub(crate) const DEPENDENCY_UNAVAILABLE: &str = "dependency_unavailable";
pub(crate) const IDEMPOTENCY_KEY_REUSED: &str = "idempotency_key_reused";
pub(crate) const INTERNAL: &str = "internal";
pub(crate) const NOT_IN_ROOM: &str = "not_in_room";
pub(crate) const ORIGIN_NOT_ALLOWED: &str = "origin_not_allowed";
pub(crate) const OVERLOADED: &str = "overloaded";
pub(crate) const RATE_LIMITED: &str = "rate_limited";
pub(crate) const REQUEST_TIMEOUT: &str = "request_timeout";
pub(crate) const RESYNC_REQUIRED: &str = "resync_required";
pub(crate) const SERVER_DRAINING: &str = "server_draining";
pub(crate) const SESSION_REVOKED: &str = "session_revoked";
pub(crate) const TOKEN_EXPIRED: &str = "token_expired";
pub(crate) const TOO_MANY_ROOMS: &str = "too_many_rooms";
pub(crate) const TOO_MANY_SOCKETS: &str = "too_many_sockets";
pub(crate) const UNAUTHENTICATED: &str = "unauthenticated";
pub(crate) const UNKNOWN_EVENT: &str = "unknown_event";
pub(crate) const UNKNOWN_FIELD: &str = "unknown_field";
pub(crate) const UNSUPPORTED_PROTOCOL: &str = "unsupported_protocol";
pub(crate) const VALIDATION_FAILED: &str = "validation_failed";
pub(crate) const VERSION_MISMATCH: &str = "version_mismatch";

#[cfg(test)]
mod tests {
    use super::CODES;

    #[test]
    fn the_list_of_codes_is_complete() {
        let source = include_str!("codes.rs");
        let named = source.lines().filter_map(|line| {
            let (_, value) = line.strip_prefix("pub(crate) const ")?.split_once(": &str = \"")?;
            value.strip_suffix("\";")
        });
        let named: Vec<_> = named.collect();
        assert!(named.len() > 10, "{named:?}");
        for code in &named {
            assert!(CODES.contains(code), "{code}");
        }
        assert_eq!(named.len(), CODES.len());
    }
}
