//! Names for events that say who came or went.
use std::{
    collections::HashMap,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use domain::{
    Change, Personal, UserEvent, UserId,
    text::{FullName, Username},
};
use lru::LruCache;
use parking_lot::Mutex;
use projections::{ReadModels, UserShort};

use crate::payload::Person;

/// People that are remembered, and for how long.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
const FRESH: Duration = Duration::from_mins(1);
/// Longest wait for names: an event without a name is better than a late one.
const PATIENCE: Duration = Duration::from_millis(500);

/// Names by id, remembered for a while.
pub(crate) struct People {
    read_models: ReadModels,
    known: Mutex<LruCache<UserId, (Instant, Person)>>,
}

impl People {
    pub(crate) fn new(read_models: ReadModels) -> Self {
        Self { read_models, known: Mutex::new(LruCache::new(CAPACITY)) }
    }

    /// Where the names come from.
    pub(crate) fn read_models(&self) -> &ReadModels {
        &self.read_models
    }

    /// Whom of `ids` there is something to tell about.
    pub(crate) async fn find(
        &self,
        ids: impl IntoIterator<Item = UserId>,
    ) -> HashMap<UserId, Person> {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        {
            let mut known = self.known.lock();
            for id in ids {
                match known.get(&id) {
                    Some((since, person)) if since.elapsed() < FRESH => {
                        found.insert(id, person.clone());
                    }
                    _ => missing.push(id),
                }
            }
        }
        if missing.is_empty() {
            return found;
        }
        match tokio::time::timeout(PATIENCE, self.read_models.users().short(&missing)).await {
            Ok(Ok(people)) => {
                let mut known = self.known.lock();
                for (id, short) in people {
                    let person = Person::from(short);
                    known.put(id, (Instant::now(), person.clone()));
                    found.insert(id, person);
                }
            }
            Ok(Err(error)) => tracing::warn!(error = %error, "names are not available"),
            Err(_) => tracing::warn!("names are not available: no answer in time"),
        }
        found
    }

    /// Learns from the account's own events: someone new may act before the read model knows them.
    pub(crate) fn learn(&self, event: &UserEvent) {
        let mut known = self.known.lock();
        match event {
            UserEvent::UserRegistered { user_id, full_name, username, .. } => {
                let person = Person {
                    id: *user_id,
                    full_name: name(full_name),
                    username: handle(username),
                    profile_picture_url: None,
                };
                known.put(*user_id, (Instant::now(), person));
            }
            UserEvent::ProfileChanged { user_id, full_name: Change::Set(full_name), .. } => {
                if let Some((_, person)) = known.get_mut(user_id) {
                    person.full_name = name(full_name);
                }
            }
            UserEvent::UsernameChanged { user_id, username, .. } => {
                if let Some((_, person)) = known.get_mut(user_id) {
                    person.username = handle(username);
                }
            }
            _ => {}
        }
    }
}

fn name(full_name: &Personal<FullName>) -> Option<String> {
    full_name.known().map(|name| name.as_str().to_owned())
}

fn handle(username: &Personal<Option<Username>>) -> Option<String> {
    username.known().cloned().flatten().map(|handle| handle.as_str().to_owned())
}

impl From<UserShort> for Person {
    fn from(short: UserShort) -> Self {
        Self {
            id: short.id,
            full_name: short.full_name,
            username: short.username,
            profile_picture_url: short.profile_picture_url,
        }
    }
}
