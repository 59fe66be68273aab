//! The sockets of this node, by connection, person and session.
use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
    sync::Arc,
};

use domain::{ConnectionId, SessionId, UserId};
use parking_lot::Mutex;

use crate::connection::Connection;

/// Revoked sessions that are remembered. Only those count whose end the session read model does
/// not show yet, which is a matter of milliseconds.
const REVOKED: usize = 4096;

/// Every socket of this node.
#[derive(Default)]
pub(crate) struct Connections(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    all: HashMap<ConnectionId, Arc<Connection>>,
    by_user: HashMap<UserId, HashSet<ConnectionId>>,
    by_session: HashMap<SessionId, HashSet<ConnectionId>>,
    revoked: VecDeque<SessionId>,
}

impl Connections {
    /// Adds a socket unless its person has `most` of them on this node.
    pub(crate) fn add(&self, connection: &Arc<Connection>, most: usize) -> bool {
        let mut tables = self.0.lock();
        if tables.by_user.get(&connection.user_id).is_some_and(|own| own.len() >= most) {
            return false;
        }
        tables.by_user.entry(connection.user_id).or_default().insert(connection.id);
        tables.by_session.entry(connection.session_id).or_default().insert(connection.id);
        tables.all.insert(connection.id, Arc::clone(connection));
        true
    }

    /// Removes a socket; `None` if it is not there (any more).
    pub(crate) fn remove(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        let mut tables = self.0.lock();
        let connection = tables.all.remove(&id)?;
        remove_from(&mut tables.by_user, &connection.user_id, id);
        remove_from(&mut tables.by_session, &connection.session_id, id);
        Some(connection)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().all.len()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Connection>> {
        self.0.lock().all.values().cloned().collect()
    }

    /// The sockets of a session that has ended. Sockets that are being let in at this moment ask
    /// [`Connections::is_revoked`].
    pub(crate) fn revoke(&self, session_id: SessionId) -> Vec<Arc<Connection>> {
        let mut tables = self.0.lock();
        if tables.revoked.len() >= REVOKED {
            tables.revoked.pop_front();
        }
        tables.revoked.push_back(session_id);
        let Some(ids) = tables.by_session.get(&session_id) else { return Vec::new() };
        ids.iter().filter_map(|id| tables.all.get(id).cloned()).collect()
    }

    /// Whether this node has heard of the session's end.
    pub(crate) fn is_revoked(&self, session_id: SessionId) -> bool {
        self.0.lock().revoked.contains(&session_id)
    }
}

fn remove_from<K: Eq + Hash>(
    table: &mut HashMap<K, HashSet<ConnectionId>>,
    key: &K,
    id: ConnectionId,
) {
    if let Some(ids) = table.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            table.remove(key);
        }
    }
}
