//! Refusals: why a command was not carried out, as data.

/// What kind of refusal it is; decides the HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectionKind {
    /// The request proves nothing: a link or code that does not work (400).
    BadRequest,
    /// Who the caller is could not be established (401).
    Unauthenticated,
    /// The caller may not (403).
    Forbidden,
    /// Absent or invisible (404).
    NotFound,
    /// The state does not allow it (409).
    Conflict,
    /// It was there and is no more (410).
    Gone,
    /// The input breaks a rule (422).
    Invalid,
    /// Too often (429).
    RateLimited,
}

/// A refusal with a kind and a public code. The `Display` text is the sentence shown to people.
pub trait Rejection: std::error::Error {
    /// Decides the status.
    fn kind(&self) -> RejectionKind;
    /// The public code; never reworded.
    fn code(&self) -> &'static str;
}
