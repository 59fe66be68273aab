//! Sessions: beginning, going on, and ending.
use chrono::{DateTime, Utc};
use domain::{
    RejectionKind, Session, SessionCommand, SessionEvent, SessionId, User, UserId,
    session::{LoginProof, RevocationReason},
    user::{CredentialsCommand, Standing},
};
use platform::{config::MAX_SESSIONS, ids::new_id};
use tokio::sync::Mutex;
use tracing::field;

use super::LoggedIn;
use crate::{
    AccessClaims, Caller, CommandError, Commands, Written, bus::Context, metadata, requests::Timer,
};

/// Most characters of a client's own description that are kept.
const USER_AGENT_CHARACTERS: usize = 256;
/// Logins of one person that may get in each other's way before the last one is told to wait.
const PLACE_RACES: u32 = 100;

/// One person's logins take turns in this process. They would be right without, but get in each
/// other's way: each takes the place that another one has just freed.
static TURNS: [Mutex<()>; 64] = [const { Mutex::const_new(()) }; 64];

/// Which of a person's sessions to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogoutScope {
    /// The one that asks.
    #[default]
    Local,
    /// All but the one that asks.
    Others,
    /// All.
    Global,
}

/// Who proved who they are, at which state of the account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proven {
    /// Who.
    pub(crate) user_id: UserId,
    /// The account's token version when it was looked at.
    pub(crate) token_version: u64,
    /// What they showed.
    pub(crate) proof: LoginProof,
    /// Whether they were about to go, and stay with this.
    pub(crate) returns: bool,
}

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
        let Session::Live { session_id, user_id, counter, token_version, expires_at, .. } =
            executed.state
        else {
            return Err(invalid_refresh_token());
        };
        // The account may have cut it off, and whoever did so died before ending it.
        let Some(token_version) = self.accepted(user_id, session_id, token_version).await? else {
            let caller = Caller { user_id, session_id, request_id: request_id.to_owned() };
            self.end(&caller, session_id, RevocationReason::PasswordChanged).await?;
            return Err(invalid_refresh_token());
        };
        Ok(Written {
            value: self.logged_in(user_id, session_id, counter, token_version, expires_at)?,
            receipt: executed.receipt,
            replayed: executed.replayed,
        })
    }

    /// Ends the caller's session, or their others, or all. Ending one twice records one end, and a
    /// session that has ended ends no others.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] and its like; never a refusal.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, session.id = %caller.session_id,
    ))]
    pub async fn logout(
        &self,
        caller: &Caller,
        scope: LogoutScope,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("logout");
        let mut written = Written { value: (), receipt: None, replayed: false };
        if scope != LogoutScope::Local {
            if !self.session_is_live(caller).await? {
                return Ok(written);
            }
            let reason = RevocationReason::EndedElsewhere;
            written = self.end_others(caller, Some(caller.session_id), reason).await?;
        }
        if scope != LogoutScope::Others {
            let reason = RevocationReason::LoggedOut;
            let last = match self.end(caller, caller.session_id, reason).await {
                // A token outlived its log: nothing to end.
                Err(CommandError::Rejected { kind: RejectionKind::NotFound, .. }) => None,
                ended => ended?.receipt,
            };
            written.receipt = last.or(written.receipt);
        }
        Ok(written)
    }

    /// Ends one session of the caller's. Ending it twice records one end.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found` for a session of somebody else.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, session.id = %session_id,
    ))]
    pub async fn end_session(
        &self,
        caller: &Caller,
        session_id: SessionId,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("end_session");
        let own = session_id == caller.session_id;
        let reason =
            if own { RevocationReason::LoggedOut } else { RevocationReason::EndedElsewhere };
        self.end(caller, session_id, reason).await
    }

    pub(crate) async fn end(
        &self,
        caller: &Caller,
        session_id: SessionId,
        reason: RevocationReason,
    ) -> Result<Written<()>, CommandError> {
        let command = SessionCommand::Revoke { owner: caller.user_id, reason, at: self.now() };
        let context = Context::new(metadata(Some(caller.user_id), &caller.request_id));
        let id = session_id.to_string();
        let executed = self.inner.bus.execute::<Session>(&id, command, context).await?;
        Ok(Written { value: (), receipt: executed.receipt, replayed: executed.replayed })
    }

    /// Ends the person's sessions, as the log has them now, but for `keep`. One after the other, so
    /// that the last receipt is the last place in the log.
    pub(super) async fn end_others(
        &self,
        caller: &Caller,
        keep: Option<SessionId>,
        reason: RevocationReason,
    ) -> Result<Written<()>, CommandError> {
        let mut written = Written { value: (), receipt: None, replayed: false };
        for session_id in self.every_place(caller.user_id).await?.into_iter().flatten() {
            if Some(session_id) != keep {
                let ended = self.end(caller, session_id, reason).await?;
                written.receipt = ended.receipt.or(written.receipt);
            }
        }
        Ok(written)
    }

    /// Who has which of the person's places, those that there were before there were fewer included.
    pub(crate) async fn every_place(
        &self,
        user_id: UserId,
    ) -> Result<Vec<Option<SessionId>>, CommandError> {
        self.places(user_id, MAX_SESSIONS).await
    }

    async fn places(
        &self,
        user_id: UserId,
        most: u16,
    ) -> Result<Vec<Option<SessionId>>, CommandError> {
        let names: Vec<_> = (0..most).map(|slot| Session::slot(user_id, slot)).collect();
        let owners = self.store().claim_owners(Session::SLOT, &names).await?;
        let session = |id: String| id.parse().map_err(CommandError::unavailable);
        owners.into_iter().map(|owner| owner.map(session).transpose()).collect()
    }

    /// Whether an access token counts, from the truth: its session lives, and the account has cut
    /// neither off.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] when the truth cannot be asked: then it does not.
    pub async fn token_counts(&self, claims: &AccessClaims) -> Result<bool, CommandError> {
        let AccessClaims { user_id, session_id, token_version, .. } = *claims;
        let session = self.inner.bus.state::<Session>(&session_id.to_string()).await?;
        let lives = matches!(session, Session::Live { user_id: owner, .. } if owner == user_id)
            && session.is_live(self.now());
        Ok(lives && self.accepted(user_id, session_id, token_version).await?.is_some())
    }

    async fn session_is_live(&self, caller: &Caller) -> Result<bool, CommandError> {
        let Caller { user_id, session_id, .. } = *caller;
        let session = self.inner.bus.state::<Session>(&session_id.to_string()).await?;
        let Session::Live { token_version, .. } = session else { return Ok(false) };
        let accepted = self.accepted(user_id, session_id, token_version).await?;
        Ok(accepted.is_some() && session.is_live(self.now()))
    }

    /// The account's token version, if what this session had under an earlier one still counts.
    async fn accepted(
        &self,
        user_id: UserId,
        session_id: SessionId,
        token_version: u64,
    ) -> Result<Option<u64>, CommandError> {
        let account = self.inner.bus.state::<User>(&user_id.to_string()).await?;
        let User::Active { credentials, .. } = account else { return Ok(None) };
        let accepts = credentials.accepts(session_id, token_version);
        Ok(accepts.then_some(credentials.token_version))
    }

    /// Starts a session in one of the person's places. If there is none, the oldest session ends.
    pub(super) async fn start_session(
        &self,
        proven: Proven,
        user_agent: Option<&str>,
        request_id: &str,
    ) -> Result<Written<LoggedIn>, CommandError> {
        let Proven { user_id, token_version, proof, returns } = proven;
        if returns {
            // Who was forgotten meanwhile is not there any more: nothing may be recorded of them.
            let command = CredentialsCommand::Return { at: self.now() };
            let account = self.on_account(user_id, command, request_id).await?.state;
            if account.standing() != Some(Standing::Open) {
                return Err(super::invalid_credentials());
            }
        }
        let _turn = TURNS[usize::from(user_id.0.as_bytes()[15]) % TURNS.len()].lock().await;
        let session_id = SessionId(new_id());
        let user_agent = user_agent.and_then(shorten);
        let caller = Caller { user_id, session_id, request_id: request_id.to_owned() };
        for _ in 0..PLACE_RACES {
            let places = self.places(user_id, self.inner.accounts.max_sessions).await?;
            let Some(slot) = free_place(&places, session_id) else {
                // Ids sort by the time they were made.
                let Some(oldest) = places.into_iter().flatten().min() else { break };
                self.end(&caller, oldest, RevocationReason::TooManySessions).await?;
                continue;
            };
            let at = self.now();
            let expires_at = at + self.inner.session_lifetime;
            let user_agent = user_agent.clone();
            let command = SessionCommand::Start {
                session_id,
                user_id,
                user_agent,
                slot,
                token_version,
                proof,
                expires_at,
                at,
            };
            let context = Context::creating(metadata(Some(user_id), request_id));
            let id = session_id.to_string();
            let executed = match self.inner.bus.execute::<Session>(&id, command, context).await {
                // Somebody else took the place meanwhile.
                Err(CommandError::Rejected { code: "limit_reached", .. }) => continue,
                executed => executed?,
            };
            self.require_still_proven(&caller, token_version).await?;
            return Ok(Written {
                value: self.logged_in(user_id, session_id, 0, token_version, expires_at)?,
                receipt: executed.receipt,
                replayed: executed.replayed,
            });
        }
        Err(CommandError::Conflict)
    }

    /// A change of the password ends the sessions that it finds. One that began at the same moment
    /// is found here: the change was recorded before its places were looked at, or the session
    /// before the account is looked at.
    async fn require_still_proven(
        &self,
        caller: &Caller,
        token_version: u64,
    ) -> Result<(), CommandError> {
        let Caller { user_id, session_id, .. } = *caller;
        if self.accepted(user_id, session_id, token_version).await?.is_some() {
            return Ok(());
        }
        self.end(caller, caller.session_id, RevocationReason::PasswordChanged).await?;
        Err(super::invalid_credentials())
    }

    /// The pair of this session and counter.
    fn logged_in(
        &self,
        user_id: UserId,
        session_id: SessionId,
        counter: u64,
        token_version: u64,
        expires_at: DateTime<Utc>,
    ) -> Result<LoggedIn, CommandError> {
        let tokens = &self.inner.access_tokens;
        let (access_token, expires_in) =
            tokens.issue(user_id, session_id, token_version, self.now(), expires_at)?;
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

/// A place that nobody has, another one for each session: logins at the same time seldom meet.
fn free_place(places: &[Option<SessionId>], session_id: SessionId) -> Option<u16> {
    let free: Vec<_> = (0..).zip(places).filter(|(_, owner)| owner.is_none()).collect();
    let pick = usize::from(session_id.0.as_bytes()[15]) % free.len().max(1);
    free.get(pick).map(|(slot, _)| *slot)
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
    fn a_session_takes_a_place_that_is_free() {
        let id = |n: u128| SessionId(uuid::Uuid::from_u128(n));
        assert_eq!(free_place(&[Some(id(1)), None, None], id(0)), Some(1));
        assert_eq!(free_place(&[Some(id(1)), None, None], id(7)), Some(2));
        assert_eq!(free_place(&[Some(id(1)), Some(id(2))], id(7)), None);
        assert_eq!(free_place(&[], id(7)), None);
    }

    #[test]
    fn a_client_describes_itself_within_bounds() {
        assert_eq!(shorten(" Firefox\r\n/140 ").as_deref(), Some("Firefox/140"));
        assert_eq!(shorten("\0 "), None);
        assert_eq!(shorten(&"é".repeat(1000)).unwrap().chars().count(), USER_AGENT_CHARACTERS);
    }
}
