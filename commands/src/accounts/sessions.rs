//! Sessions: beginning, going on, and ending.
use chrono::{DateTime, Utc};
use domain::{
    RejectionKind, Session, SessionCommand, SessionEvent, SessionId, UserId,
    session::RevocationReason,
};
use platform::ids::new_id;
use tracing::field;

use super::LoggedIn;
use crate::{Caller, CommandError, Commands, Written, bus::Context, metadata, requests::Timer};

/// Most characters of a client's own description that are kept.
const USER_AGENT_CHARACTERS: usize = 256;

impl Commands {
    /// Exchanges a refresh token for the next pair. The token before the current one gets the
    /// current pair again: our last answer was lost, or two tabs asked at once. An older one ends
    /// the session.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `refresh_token_invalid`, whatever is wrong with it.
    #[tracing::instrument(skip_all, fields(request.id = request_id, session.id = field::Empty))]
    pub async fn refresh(
        &self,
        token: &str,
        request_id: &str,
    ) -> Result<Written<LoggedIn>, CommandError> {
        let _timer = Timer::start("refresh");
        let (session_id, presented) =
            self.inner.refresh_tokens.open(token).ok_or_else(invalid_refresh_token)?;
        tracing::Span::current().record("session.id", field::display(session_id));
        let command = SessionCommand::Refresh { presented, at: self.now() };
        let context = Context::new(metadata(None, request_id));
        let executed = self
            .inner
            .bus
            .execute::<Session>(&session_id.to_string(), command, context)
            .await
            .map_err(hide_reason)?;
        // By now the theft and the end of the session are recorded, whatever we answer.
        let reused =
            |event: &SessionEvent| matches!(event, SessionEvent::RefreshTokenReuseDetected { .. });
        if executed.events.iter().any(reused) {
            tracing::warn!("a replaced refresh token came back, the session was ended");
            return Err(invalid_refresh_token());
        }
        let Session::Live { session_id, user_id, counter, expires_at } = executed.state else {
            return Err(invalid_refresh_token());
        };
        Ok(Written {
            value: self.logged_in(user_id, session_id, counter, expires_at)?,
            receipt: executed.receipt,
            replayed: executed.replayed,
        })
    }

    /// Ends the caller's session. Ending it twice records one end.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] and its like; never a refusal.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, session.id = %caller.session_id,
    ))]
    pub async fn logout(&self, caller: &Caller) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("logout");
        let command =
            SessionCommand::Revoke { reason: RevocationReason::LoggedOut, at: self.now() };
        let context = Context::new(metadata(Some(caller.user_id), &caller.request_id));
        let id = caller.session_id.to_string();
        let executed = self.inner.bus.execute::<Session>(&id, command, context).await?;
        Ok(Written { value: (), receipt: executed.receipt, replayed: executed.replayed })
    }

    /// Whether access tokens of this session count, from the truth.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] when the truth cannot be asked: then they do not.
    pub async fn session_is_live(&self, session_id: SessionId) -> Result<bool, CommandError> {
        let session = self.inner.bus.state::<Session>(&session_id.to_string()).await?;
        Ok(session.is_live(self.now()))
    }

    pub(super) async fn start_session(
        &self,
        user_id: UserId,
        user_agent: Option<String>,
        request_id: &str,
    ) -> Result<Written<LoggedIn>, CommandError> {
        let session_id = SessionId(new_id());
        let at = self.now();
        let expires_at = at + self.inner.session_lifetime;
        let user_agent = user_agent.as_deref().and_then(shorten);
        let command = SessionCommand::Start { session_id, user_id, user_agent, expires_at, at };
        let context = Context::creating(metadata(Some(user_id), request_id));
        let id = session_id.to_string();
        let executed = self.inner.bus.execute::<Session>(&id, command, context).await?;
        Ok(Written {
            value: self.logged_in(user_id, session_id, 0, expires_at)?,
            receipt: executed.receipt,
            replayed: executed.replayed,
        })
    }

    /// The pair of this session and counter.
    fn logged_in(
        &self,
        user_id: UserId,
        session_id: SessionId,
        counter: u64,
        expires_at: DateTime<Utc>,
    ) -> Result<LoggedIn, CommandError> {
        let tokens = &self.inner.access_tokens;
        let (access_token, expires_in) =
            tokens.issue(user_id, session_id, self.now(), expires_at)?;
        Ok(LoggedIn {
            user_id,
            session_id,
            access_token,
            expires_in,
            refresh_token: self.inner.refresh_tokens.issue(session_id, counter),
            refresh_expires_at: expires_at,
        })
    }
}

fn invalid_refresh_token() -> CommandError {
    CommandError::refused(
        RejectionKind::Unauthenticated,
        "refresh_token_invalid",
        "the refresh token is not valid; log in again",
    )
}

/// One refusal for unknown, ended and expired sessions: whoever found a token learns nothing.
fn hide_reason(error: CommandError) -> CommandError {
    match error {
        CommandError::Rejected { kind: RejectionKind::Unauthenticated, .. } => {
            invalid_refresh_token()
        }
        other => other,
    }
}

/// What the client calls itself, printable and bounded; `None` when nothing is left.
fn shorten(user_agent: &str) -> Option<String> {
    let printable = user_agent.chars().filter(|c| !c.is_control());
    let text: String = printable.take(USER_AGENT_CHARACTERS).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_a_refresh_reads_the_same() {
        for refusal in [domain::SessionError::InvalidToken, domain::SessionError::Revoked] {
            let answer = hide_reason(CommandError::rejected(&refusal)).to_string();
            assert_eq!(answer, invalid_refresh_token().to_string());
        }
        assert!(matches!(hide_reason(CommandError::Conflict), CommandError::Conflict));
    }

    #[test]
    fn a_client_describes_itself_within_bounds() {
        assert_eq!(shorten(" Firefox\r\n/140 ").as_deref(), Some("Firefox/140"));
        assert_eq!(shorten("\0 "), None);
        assert_eq!(shorten(&"é".repeat(1000)).unwrap().chars().count(), USER_AGENT_CHARACTERS);
    }
}
