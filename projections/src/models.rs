//! The list of read models: which projector feeds which store.
use crate::active_members::{self, ActiveMembersProjector};
use crate::blocks::{self, BlocksProjector};
use crate::changes::Table;
use crate::checkpoints::Checkpoints;
use crate::conversations::{self, ConversationsProjector};
use crate::engine::Engine;
use crate::last_changes::{self, LastChangesProjector};
use crate::live_sessions::{self, LiveSessionsProjector};
use crate::message_numbers::{self, MessageNumbersProjector};
use crate::message_search::{self, MessageSearchProjector};
use crate::messages::{self, DirectMessagesProjector, MessagesProjector};
use crate::projector::Projector;
use crate::read_markers::{self, ReadMarkersProjector};
use crate::reports::{self, ReportsProjector};
use crate::room_members::{self, RoomMembersProjector};
use crate::sessions::{self, SessionsProjector};
use crate::sinks::{MongodbSink, PostgresSink, RedisSink, Sink};
use crate::study_rooms::{self, StudyRoomsProjector};
use crate::subjects::{self, SubjectsProjector};
use crate::users::{self, UsersProjector};
use crate::{ReadError, ReadModels, names};

/// Something to do with a read model, whichever it is.
pub(crate) trait Visitor {
    type Output;

    fn visit<P, S>(self, engine: Engine<P, S>) -> impl Future<Output = Self::Output> + Send
    where
        P: Projector,
        S: Sink<P::Change>;
}

impl ReadModels {
    /// Does something with one version of a read model.
    pub(crate) async fn visit<V: Visitor + Send>(
        &self,
        name: &str,
        version: u32,
        visitor: V,
    ) -> Result<V::Output, ReadError> {
        Ok(match name {
            names::USERS => {
                visitor.visit(self.in_postgres(UsersProjector, &users::TABLE, version)).await
            }
            names::SESSIONS => {
                visitor.visit(self.in_postgres(SessionsProjector, &sessions::TABLE, version)).await
            }
            names::LIVE_SESSIONS => {
                let patterns = live_sessions::PATTERNS;
                visitor.visit(self.in_redis(LiveSessionsProjector, patterns, version)).await
            }
            names::STUDY_ROOMS => {
                let table = &study_rooms::TABLE;
                visitor.visit(self.in_postgres(StudyRoomsProjector, table, version)).await
            }
            names::ROOM_MEMBERS => {
                let table = &room_members::TABLE;
                visitor.visit(self.in_postgres(RoomMembersProjector, table, version)).await
            }
            names::READ_MARKERS => {
                let table = &read_markers::TABLE;
                visitor.visit(self.in_postgres(ReadMarkersProjector, table, version)).await
            }
            names::MESSAGE_NUMBERS => {
                let table = &message_numbers::TABLE;
                visitor.visit(self.in_postgres(MessageNumbersProjector, table, version)).await
            }
            names::MESSAGES => {
                let layout = messages::IN_ROOMS;
                visitor.visit(self.in_mongodb(MessagesProjector, layout, version)).await
            }
            names::DIRECT_MESSAGES => {
                let layout = messages::DIRECT;
                visitor.visit(self.in_mongodb(DirectMessagesProjector, layout, version)).await
            }
            names::CONVERSATIONS => {
                let table = &conversations::TABLE;
                visitor.visit(self.in_postgres(ConversationsProjector, table, version)).await
            }
            names::BLOCKS => {
                visitor.visit(self.in_postgres(BlocksProjector, &blocks::TABLE, version)).await
            }
            names::MESSAGE_SEARCH => {
                let table = &message_search::TABLE;
                visitor.visit(self.in_postgres(MessageSearchProjector, table, version)).await
            }
            names::ACTIVE_MEMBERS => {
                let patterns = active_members::PATTERNS;
                visitor.visit(self.in_redis(ActiveMembersProjector, patterns, version)).await
            }
            names::LAST_CHANGES => {
                let patterns = last_changes::PATTERNS;
                visitor.visit(self.in_redis(LastChangesProjector, patterns, version)).await
            }
            names::SUBJECTS => {
                visitor.visit(self.in_postgres(SubjectsProjector, &subjects::TABLE, version)).await
            }
            names::REPORTS => {
                visitor.visit(self.in_postgres(ReportsProjector, &reports::TABLE, version)).await
            }
            other => return Err(ReadError::UnknownModel(other.to_owned())),
        })
    }

    fn checkpoints<P: Projector>(&self, version: u32) -> Checkpoints {
        Checkpoints { pool: self.pool().clone(), name: P::NAME, version }
    }

    fn engine<P: Projector, S>(&self, projector: P, sink: S, version: u32) -> Engine<P, S> {
        let checkpoints = self.checkpoints::<P>(version);
        Engine { projector, sink, checkpoints, store: self.0.store.clone() }
    }

    fn in_postgres<P: Projector>(
        &self,
        projector: P,
        table: &'static Table,
        version: u32,
    ) -> Engine<P, PostgresSink> {
        let sink = PostgresSink::new(table, self.checkpoints::<P>(version));
        self.engine(projector, sink, version)
    }

    fn in_redis<P: Projector>(
        &self,
        projector: P,
        patterns: &'static [&'static str],
        version: u32,
    ) -> Engine<P, RedisSink> {
        let checkpoints = self.checkpoints::<P>(version);
        let sink = RedisSink::new(self.redis(), &self.0.key_prefix, patterns, checkpoints);
        self.engine(projector, sink, version)
    }

    fn in_mongodb<P: Projector>(
        &self,
        projector: P,
        layout: messages::Layout,
        version: u32,
    ) -> Engine<P, MongodbSink> {
        let checkpoints = self.checkpoints::<P>(version);
        let sink = MongodbSink::new(self.0.mongodb.clone(), layout, checkpoints);
        self.engine(projector, sink, version)
    }
}

/// The version of a read model that this build writes.
pub(crate) struct DeclaredVersion;

impl Visitor for DeclaredVersion {
    type Output = u32;

    async fn visit<P, S>(self, _: Engine<P, S>) -> u32
    where
        P: Projector,
        S: Sink<P::Change>,
    {
        P::VERSION
    }
}
