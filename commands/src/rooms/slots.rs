//! The places that people have for rooms of their own: each room claims one of its owner's.
//!
//! A count that is read before the room is opened would let two requests at once both pass; a place
//! can be taken once only.
use domain::{Room, RoomCommand, RoomId, UserId};

use crate::{
    CommandError, Commands,
    bus::{Context, Executed},
};

impl Commands {
    /// Carries out a command that makes `owner` the owner of a room, with one of their free places.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `limit_reached` when there is none; those of the command.
    pub(super) async fn execute_owning(
        &self,
        room_id: RoomId,
        owner: UserId,
        command: impl Fn(u32) -> RoomCommand + Send + Sync,
        context: impl Fn() -> Context<Room> + Send + Sync,
    ) -> Result<Executed<Room>, CommandError> {
        let id = room_id.to_string();
        let mut free = self.free_slots(owner).await?.into_iter();
        // With none free, the first is asked for all the same: a repeated request gets its first
        // answer, and what is refused for other reasons is refused for those.
        let mut slot = free.next().unwrap_or(0);
        loop {
            let outcome = self.inner.bus.execute::<Room>(&id, command(slot), context()).await;
            let taken =
                matches!(outcome, Err(CommandError::Rejected { code: "limit_reached", .. }));
            match free.next().filter(|_| taken) {
                Some(next) => slot = next,
                None => return outcome,
            }
        }
    }

    async fn free_slots(&self, owner: UserId) -> Result<Vec<u32>, CommandError> {
        let all: Vec<u32> = (0..self.inner.rooms.max_owned).collect();
        let values: Vec<_> = all.iter().map(|slot| Room::slot_claim(owner, *slot)).collect();
        let held = self.store().claims_held(Room::OWNER_SLOT, &values).await?;
        Ok(all.into_iter().zip(held).filter(|(_, held)| !held).map(|(slot, _)| slot).collect())
    }
}
