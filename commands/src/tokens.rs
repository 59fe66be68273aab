//! Tokens: the signed access token that every request carries, and the refresh token that gets
//! the next one.
//!
//! They are different things on purpose: an access token is a JWT that anyone with the public key
//! can check, a refresh token is only meaningful together with the session's counter.
mod access;
mod links;
mod refresh;
#[cfg(test)]
pub(crate) mod tests;

pub use access::{AccessClaims, TokenError};

pub(crate) use access::AccessTokens;
pub(crate) use links::{LinkPurpose, Links};
pub(crate) use refresh::RefreshTokens;

use crate::Commands;

impl Commands {
    /// The public keys that access tokens are signed with, by their ids: Ed25519, 32 bytes each. The
    /// first one signs.
    #[must_use]
    pub fn public_keys(&self) -> &[(String, [u8; 32])] {
        self.inner.access_tokens.public_keys()
    }

    /// Checks an access token and says whose it is. Whether it still counts is for
    /// [`Commands::token_counts`] or its read model to say.
    ///
    /// # Errors
    /// [`TokenError`] says whether the token was right once.
    pub fn verify_access_token(&self, token: &str) -> Result<AccessClaims, TokenError> {
        self.inner.access_tokens.verify(token, self.now())
    }

    /// As [`Commands::verify_access_token`], but takes an expired token too: only for logging out.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] for anything that we did not sign.
    pub fn verify_access_token_ignoring_expiry(
        &self,
        token: &str,
    ) -> Result<AccessClaims, TokenError> {
        self.inner.access_tokens.verify_ignoring_expiry(token, self.now())
    }
}
