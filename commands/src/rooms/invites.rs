//! Invites: 128-bit codes that let people into rooms.
//!
//! A code is a MAC of its invite's id. So nothing that lets anybody in is stored, and a repeated
//! request gets the same code. The room keeps its hash.
use std::{fmt, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    InviteId, Room, RoomCommand, RoomEvent, RoomId,
    room::{Invite, NewInvite},
};
use hmac::{Hmac, KeyInit, Mac};
use platform::{Secrets, ids::new_id};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Caller, CommandError, Commands, IdempotencyKey, Written,
    bus::Context,
    metadata,
    requests::{Timer, replay},
};

/// 128 bits: nobody guesses it.
const CODE_BYTES: usize = 16;

/// Makes the codes.
#[derive(Clone)]
pub(crate) struct InviteCodes {
    mac: Hmac<Sha256>,
}

impl InviteCodes {
    pub(crate) fn new(secrets: &Secrets) -> Self {
        let Ok(mac) = Hmac::new_from_slice(secrets.derive("room-invite").as_slice()) else {
            unreachable!("HMAC takes keys of any length")
        };
        Self { mac }
    }

    fn code(&self, invite_id: InviteId) -> String {
        let mac = self.mac.clone().chain_update(invite_id.0.as_bytes()).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode(mac.split_at(CODE_BYTES).0)
    }
}

impl fmt::Debug for InviteCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteCodes(…)")
    }
}

/// What the room keeps of a code.
pub(super) fn hash(code: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(code))
}

/// An invite with its code, which is shown this once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedInvite {
    /// Which invite.
    pub id: InviteId,
    /// Lets people in.
    pub code: String,
    /// How many; `None` for any number.
    pub max_uses: Option<u32>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The kept answer to making an invite: all but the code.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    invite_id: InviteId,
    max_uses: Option<u32>,
    expires_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

impl Commands {
    /// Makes a code that lets people into a room, for so long and for so many.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `not_a_member`, `forbidden`, `room_inactive` or
    /// `limit_reached`; [`CommandError::IdempotencyKeyReused`].
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, room.id = %room_id,
    ))]
    pub async fn create_invite(
        &self,
        caller: &Caller,
        room_id: RoomId,
        lifetime: Duration,
        max_uses: Option<u32>,
        key: Option<IdempotencyKey>,
    ) -> Result<Written<CreatedInvite>, CommandError> {
        let _timer = Timer::start("create_invite");
        let (invite_id, at) = (InviteId(new_id()), self.now());
        let code_hash = hash(&self.inner.invite_codes.code(invite_id));
        let expires_at = at + TimeDelta::from_std(lifetime).unwrap_or_default();
        let most = self.inner.rooms.max_invites;
        let by = caller.user_id;
        let command = RoomCommand::CreateInvite(NewInvite {
            invite_id,
            by,
            code_hash,
            max_uses,
            expires_at,
            most,
            at,
        });
        let context = Context::new(metadata(Some(by), &caller.request_id))
            .with_idempotency(self.keep_answer(key, caller, |events, _| created(events)));
        let executed =
            self.inner.bus.execute::<Room>(&room_id.to_string(), command, context).await?;
        let created = if executed.replayed {
            replay::<Kept>(executed.answer)?
        } else {
            created(&executed.events)
                .ok_or_else(|| CommandError::unavailable("an invite left no trace"))?
        };
        let value = CreatedInvite {
            id: created.invite_id,
            code: self.inner.invite_codes.code(created.invite_id),
            max_uses: created.max_uses,
            expires_at: created.expires_at,
            created_at: created.created_at,
        };
        Ok(Written { value, receipt: executed.receipt, replayed: executed.replayed })
    }

    /// Makes a code useless. Its being useless already succeeds.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `not_a_member` or `forbidden`.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, room.id = %room_id,
    ))]
    pub async fn revoke_invite(
        &self,
        caller: &Caller,
        room_id: RoomId,
        invite_id: InviteId,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("revoke_invite");
        let command = RoomCommand::RevokeInvite { by: caller.user_id, invite_id, at: self.now() };
        self.moderate(caller, room_id, command).await
    }

    /// The invites that let people into a room now, oldest first, for those who may make them.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `not_a_member` or `forbidden`.
    pub async fn invites(
        &self,
        caller: &Caller,
        room_id: RoomId,
    ) -> Result<Vec<(InviteId, Invite)>, CommandError> {
        let room = self.inner.bus.state::<Room>(&room_id.to_string()).await?;
        let invites = room.invites(caller.user_id, self.now());
        invites.map_err(|refusal| CommandError::rejected(&refusal))
    }
}

fn created(events: &[RoomEvent]) -> Option<Kept> {
    events.iter().find_map(|event| match *event {
        RoomEvent::InviteCreated { invite_id, max_uses, expires_at, at, .. } => {
            Some(Kept { invite_id, max_uses, expires_at, created_at: at })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::tokens::tests::secrets;

    #[test]
    fn a_code_has_128_bits_and_is_the_same_whenever_it_is_made() {
        let (one, other) = (InviteId(Uuid::from_u128(1)), InviteId(Uuid::from_u128(2)));
        let codes = InviteCodes::new(&secrets(1));
        let code = codes.code(one);
        assert_eq!(URL_SAFE_NO_PAD.decode(&code).unwrap().len(), 16);
        assert_eq!(InviteCodes::new(&secrets(1)).code(one), code);
        assert_ne!(codes.code(other), code);
        assert_ne!(InviteCodes::new(&secrets(2)).code(one), code);
        assert_ne!(hash(&code), code);
    }
}
