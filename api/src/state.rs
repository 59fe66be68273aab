//! What handlers work with.
use std::{fmt, sync::Arc};

use axum::extract::FromRef;
use commands::{Commands, Limits};
use platform::{Config, Secrets};
use projections::ReadModels;
use serde_json::Value;

use crate::{
    etag, openapi, page::Cursors, readiness::Readiness, room_events::RoomEvents, routes::ROUTES,
    sockets::Sockets,
};

/// Everything a handler may use. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    inner: Arc<Inner>,
    sockets: Option<Arc<dyn Sockets>>,
}

struct Inner {
    commands: Commands,
    limits: Limits,
    read_models: ReadModels,
    config: Config,
    cursors: Cursors,
    readiness: Readiness,
    openapi: Document,
    asyncapi: Document,
    room_events: Arc<dyn RoomEvents>,
}

/// A JSON document that stays the same while the process lives.
pub(crate) struct Document {
    pub(crate) tag: String,
    pub(crate) body: Value,
}

impl ApiState {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        commands: Commands,
        limits: Limits,
        read_models: ReadModels,
        config: &Config,
        secrets: &Secrets,
        readiness: Readiness,
        room_events: Arc<dyn RoomEvents>,
    ) -> Self {
        let cursors = Cursors::new(&secrets.derive("cursor"));
        let document = |body| Document { tag: etag::of_body(&body), body };
        let longest = openapi::Longest {
            invite: config.rooms.max_invite_seconds,
            mute: config.rooms.max_mute_seconds,
        };
        let origin = &config.server.public_origin;
        let openapi = document(openapi::document(ROUTES, origin, &longest));
        let asyncapi = document(Value::Null);
        let config = config.clone();
        let inner = Inner {
            commands,
            limits,
            read_models,
            config,
            cursors,
            readiness,
            openapi,
            asyncapi,
            room_events,
        };
        Self { inner: Arc::new(inner), sockets: None }
    }

    /// The sockets of all processes. Who is removed from a room, or whose session ends, is out before
    /// the answer says so.
    #[must_use]
    pub fn with_sockets(mut self, sockets: Arc<dyn Sockets>) -> Self {
        self.sockets = Some(sockets);
        self
    }

    /// Who knows how far sockets have been told, if anybody does.
    pub(crate) fn sockets(&self) -> Option<&dyn Sockets> {
        self.sockets.as_deref()
    }

    /// Adds the description of the socket events, which another crate makes.
    #[must_use]
    pub fn with_asyncapi(mut self, body: Value) -> Self {
        // Nobody else has it yet.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.asyncapi = Document { tag: etag::of_body(&body), body };
        }
        self
    }

    pub(crate) fn commands(&self) -> &Commands {
        &self.inner.commands
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    pub(crate) fn read_models(&self) -> &ReadModels {
        &self.inner.read_models
    }

    pub(crate) fn room_events(&self) -> &dyn RoomEvents {
        &*self.inner.room_events
    }

    pub(crate) fn config(&self) -> &Config {
        &self.inner.config
    }

    pub(crate) fn asyncapi(&self) -> &Document {
        &self.inner.asyncapi
    }

    pub(crate) fn openapi(&self) -> &Document {
        &self.inner.openapi
    }

    pub(crate) fn cursors(&self) -> &Cursors {
        &self.inner.cursors
    }
}

impl FromRef<ApiState> for Commands {
    fn from_ref(state: &ApiState) -> Self {
        state.commands().clone()
    }
}

impl FromRef<ApiState> for Readiness {
    fn from_ref(state: &ApiState) -> Self {
        state.inner.readiness.clone()
    }
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState").finish_non_exhaustive()
    }
}
