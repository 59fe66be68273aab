//! The sockets of this node, by connection, person and session.
use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
    sync::Arc,
    time::Instant,
};

use domain::{ConnectionId, SessionId, UserId, user::Cutoff};
use parking_lot::Mutex;

use crate::connection::Connection;

/// Revoked sessions, and cutoffs of accounts, that are remembered. Only those count that the read
/// model does not show yet, which is a matter of milliseconds.
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
    cutoffs: VecDeque<(UserId, Cutoff)>,
}

impl Connections {
    /// Adds a socket unless its person has `most` of them on this node. More than one person may
    /// keep: whoever is let in takes the place of an older one, see [`Connections::surplus`].
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

    /// The oldest sockets of this person on this node, older than this one: those that are more
    /// than `most`, and at least one if the person is `crowded`, having too many on all nodes.
    pub(crate) fn surplus(
        &self,
        of: &Connection,
        most: usize,
        crowded: bool,
    ) -> Vec<Arc<Connection>> {
        let tables = self.0.lock();
        let Some(ids) = tables.by_user.get(&of.user_id) else { return Vec::new() };
        let ages = ids.iter().filter_map(|id| Some((tables.all.get(id)?.since, *id))).collect();
        let oldest = oldest(ages, (of.since, of.id), most, crowded);
        oldest.iter().filter_map(|id| tables.all.get(id).cloned()).collect()
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

    /// Everyone who has a socket on this node.
    pub(crate) fn people(&self) -> Vec<UserId> {
        self.0.lock().by_user.keys().copied().collect()
    }

    /// This person's sockets on this node.
    pub(crate) fn of_user(&self, user_id: UserId) -> Vec<Arc<Connection>> {
        let tables = self.0.lock();
        let Some(ids) = tables.by_user.get(&user_id) else { return Vec::new() };
        ids.iter().filter_map(|id| tables.all.get(id).cloned()).collect()
    }

    /// The sockets of a session that has ended. Sockets that are being let in at this moment ask
    /// [`Connections::is_over`].
    pub(crate) fn revoke(&self, session_id: SessionId) -> Vec<Arc<Connection>> {
        let mut tables = self.0.lock();
        remember(&mut tables.revoked, session_id);
        let Some(ids) = tables.by_session.get(&session_id) else { return Vec::new() };
        ids.iter().filter_map(|id| tables.all.get(id).cloned()).collect()
    }

    /// The sockets that an account does not accept any more. Those that are being let in at this
    /// moment ask [`Connections::is_over`].
    pub(crate) fn cut_off(&self, user_id: UserId, cutoff: Cutoff) -> Vec<Arc<Connection>> {
        remember(&mut self.0.lock().cutoffs, (user_id, cutoff));
        let mut connections = self.of_user(user_id);
        connections.retain(|connection| !connection.is_accepted(&cutoff));
        connections
    }

    /// Whether this node has heard of the end of the socket's session, or of its account's logins.
    pub(crate) fn is_over(&self, connection: &Connection) -> bool {
        let tables = self.0.lock();
        let cut_off = |(user_id, cutoff): &(UserId, Cutoff)| {
            *user_id == connection.user_id && !connection.is_accepted(cutoff)
        };
        tables.revoked.contains(&connection.session_id) || tables.cutoffs.iter().any(cut_off)
    }
}

fn remember<T>(last: &mut VecDeque<T>, one: T) {
    if last.len() >= REVOKED {
        last.pop_front();
    }
    last.push_back(one);
}

/// Which of these sockets make room for `new`, one of them.
fn oldest(
    mut all: Vec<(Instant, ConnectionId)>,
    new: (Instant, ConnectionId),
    most: usize,
    crowded: bool,
) -> Vec<ConnectionId> {
    let surplus = all.len().saturating_sub(most).max(usize::from(crowded));
    all.retain(|one| *one < new);
    all.sort_unstable();
    all.into_iter().take(surplus).map(|(_, id)| id).collect()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    /// Which of the sockets 1 to `count` make room for `new`.
    fn replaced(count: u8, new: u8, most: usize, crowded: bool) -> Vec<u128> {
        let start = Instant::now();
        let socket = |n: u8| {
            let since = start + Duration::from_secs(u64::from(n));
            (since, ConnectionId(Uuid::from_u128(u128::from(n))))
        };
        let all = (1..=count).rev().map(socket).collect();
        oldest(all, socket(new), most, crowded).iter().map(|id| id.0.as_u128()).collect()
    }

    #[test]
    fn the_oldest_socket_makes_room() {
        assert_eq!(replaced(3, 3, 3, false), [0; 0]);
        assert_eq!(replaced(4, 4, 3, false), [1]);
        assert_eq!(replaced(5, 5, 3, false), [1, 2]);
    }

    #[test]
    fn one_goes_for_sockets_of_other_nodes_if_there_is_one() {
        assert_eq!(replaced(2, 2, 3, true), [1]);
        assert_eq!(replaced(4, 4, 3, true), [1]);
        assert_eq!(replaced(1, 1, 3, true), [0; 0]);
    }

    #[test]
    fn nobody_makes_room_for_an_older_one() {
        assert_eq!(replaced(5, 2, 3, false), [1]);
    }
}
