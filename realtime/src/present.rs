//! Whom others see in live rooms: those who are there, without those who want to look as if they were
//! not. Who is there is asked of the events and not of a read model: one that is behind by the person who
//! came last would count them as seen, and so tell of somebody who is invisible.
use std::collections::{HashMap, HashSet};

use domain::{RoomId, UserId};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{channel::LogError, node::Node};

/// Rooms that are looked at side by side.
const AT_ONCE: usize = 8;

/// A live room as others see it.
#[derive(Debug, Default)]
pub(crate) struct Present {
    /// Who is seen there.
    pub(crate) seen: Vec<UserId>,
    /// Who is there without being seen.
    pub(crate) hidden: HashSet<UserId>,
}

impl Present {
    /// How many are seen.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.seen.len()).unwrap_or(u32::MAX)
    }

    /// Whether others see the person there; `None` if they are not there.
    pub(crate) fn shows(&self, user_id: UserId) -> Option<bool> {
        if self.hidden.contains(&user_id) {
            return Some(false);
        }
        self.seen.contains(&user_id).then_some(true)
    }
}

impl Node {
    /// These live rooms as others see them now.
    pub(crate) async fn present_in(
        &self,
        rooms: &[RoomId],
    ) -> Result<HashMap<RoomId, Present>, LogError> {
        stream::iter(rooms.to_vec())
            .map(async |room_id| {
                let present = self.commands.present_in(room_id).await?;
                Ok((room_id, self.present_of(present).await?))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// These people, by whether others see them.
    pub(crate) async fn present_of(&self, mut people: Vec<UserId>) -> Result<Present, LogError> {
        let hidden = self.read_models.presence().invisible(&people).await?;
        people.retain(|id| !hidden.contains(id));
        Ok(Present { seen: people, hidden })
    }
}
