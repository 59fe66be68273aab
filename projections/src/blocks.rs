//! `blocks`: who wants nothing to do with whom, one row per block. PostgreSQL. For queries that must
//! leave people out; whether a message may be sent is decided elsewhere.
use std::collections::HashSet;

use domain::{AnyEvent, ConversationEvent, Recorded, UserId};
use serde_json::json;

use crate::changes::{Erasure, RowChange, Table, fields};
use crate::projector::Projector;
use crate::{ReadError, ReadModels, names};

pub(crate) const TABLE: Table = Table {
    name: names::BLOCKS,
    key: &["blocked_by", "blocked"],
    columns: "blocked_by uuid not null, blocked uuid not null, created_at timestamptz not null",
    indexes: &[("blocked", "(blocked, blocked_by)")],
    erasure: Erasure::Nothing,
};

/// Feeds `blocks`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlocksProjector;

impl Projector for BlocksProjector {
    type Change = RowChange;
    const NAME: &'static str = names::BLOCKS;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["conversation"];

    fn project(&self, recorded: &Recorded) -> Vec<RowChange> {
        let AnyEvent::Conversation(event) = &recorded.event else { return vec![] };
        let key = |by: &UserId, blocked: &UserId| json!({"blocked_by": by, "blocked": blocked});
        match event {
            ConversationEvent::BlockPlaced { by, blocked, at, .. } => {
                let mut row = fields(key(by, blocked));
                row.extend(fields(json!({"created_at": at})));
                vec![RowChange::Put { row }]
            }
            ConversationEvent::BlockLifted { by, blocked, .. } => {
                vec![RowChange::Delete { key: fields(key(by, blocked)) }]
            }
            _ => vec![],
        }
    }
}

/// Queries of `blocks`.
#[derive(Clone, Copy)]
pub struct Blocks<'a>(pub(crate) &'a ReadModels);

impl Blocks<'_> {
    /// With whom the person wants nothing to do.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn by(&self, person: UserId) -> Result<Vec<UserId>, ReadError> {
        let table = self.0.stored(names::BLOCKS);
        let blocked =
            sqlx::query_scalar(&format!("select blocked from {table} where blocked_by = $1"))
                .bind(person.0)
                .fetch_all(self.0.pool())
                .await?;
        Ok(blocked.into_iter().map(UserId).collect())
    }

    /// Who of these people wants nothing to do with the reader.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn against(
        &self,
        reader: UserId,
        people: &[UserId],
    ) -> Result<HashSet<UserId>, ReadError> {
        let table = self.0.stored(names::BLOCKS);
        let people: Vec<_> = people.iter().map(|id| id.0).collect();
        let blocked_by = sqlx::query_scalar(&format!(
            "select blocked_by from {table} where blocked = $1 and blocked_by = any($2)"
        ))
        .bind(reader.0)
        .bind(people)
        .fetch_all(self.0.pool())
        .await?;
        Ok(blocked_by.into_iter().map(UserId).collect())
    }
}

#[cfg(test)]
mod tests {
    use domain::ConversationId;

    use super::*;
    use crate::samples::{ANA, BEN, assert_whole, at, recorded};

    #[test]
    fn a_block_is_a_row_until_it_is_lifted() {
        let conversation_id = ConversationId::between(ANA, BEN);
        let project = |event| {
            BlocksProjector.project(&recorded(&conversation_id, 1, AnyEvent::Conversation(event)))
        };
        let (by, blocked) = (ANA, BEN);
        let placed = ConversationEvent::BlockPlaced { conversation_id, by, blocked, at: at(0) };
        let [RowChange::Put { row }] = &project(placed)[..] else { panic!("not a whole row") };
        assert_whole(&TABLE, row);
        let lifted = ConversationEvent::BlockLifted { conversation_id, by, blocked, at: at(1) };
        let key = fields(json!({"blocked_by": ANA, "blocked": BEN}));
        assert_eq!(project(lifted), [RowChange::Delete { key }]);
    }
}
