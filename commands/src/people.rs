//! What people are called and what they let others see, from the truth and remembered for a moment.
//!
//! A changed name is in what its owner says from then on: at once on the node that took the change and
//! on nodes that hear of it (`realtime` hears all events), half a minute later everywhere. What was said
//! before keeps the name it was said under; lists of members and profiles are read at the moment.
use std::num::NonZeroUsize;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{Personal, Preferences, User, UserId, text::FullName, user::DmPolicy};
use lru::LruCache;
use parking_lot::Mutex;

use crate::{CommandError, Commands};

/// People remembered at once.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// How long a name may be out of date, and how long an erased person's name may stay in memory.
const REMEMBERED: TimeDelta = TimeDelta::seconds(30);

/// Names of people who wrote something lately.
pub(crate) struct Names {
    known: Mutex<LruCache<UserId, Remembered>>,
}

struct Remembered {
    person: Known,
    since: DateTime<Utc>,
}

/// What is known of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    name: Personal<FullName>,
    allows: Preferences,
}

impl Known {
    /// Somebody without an account lets nobody see anything.
    const NOBODY: Self = Self {
        name: Personal::Erased,
        allows: Preferences {
            dm_policy: DmPolicy::Nobody,
            typing_visible: false,
            read_receipts: false,
            discoverable: false,
        },
    };
}

impl Default for Names {
    fn default() -> Self {
        Self { known: Mutex::new(LruCache::new(CAPACITY)) }
    }
}

impl Names {
    fn get(&self, user_id: UserId, now: DateTime<Utc>) -> Option<Known> {
        let mut known = self.known.lock();
        let entry = known.get(&user_id)?;
        // A clock that was set back does not keep a name for longer.
        if (TimeDelta::zero()..REMEMBERED).contains(&(now - entry.since)) {
            return Some(entry.person.clone());
        }
        known.pop(&user_id);
        None
    }

    fn put(&self, user_id: UserId, person: Known, since: DateTime<Utc>) {
        self.known.lock().put(user_id, Remembered { person, since });
    }
}

impl Commands {
    /// What the person is called, at most half a minute old; erased when nobody can tell.
    pub(crate) async fn name_of(
        &self,
        user_id: UserId,
    ) -> Result<Personal<FullName>, CommandError> {
        Ok(self.person(user_id).await?.name)
    }

    /// Whether others may see that the person is typing, as of half a minute ago at most.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] when the store is away.
    pub async fn shows_typing(&self, user_id: UserId) -> Result<bool, CommandError> {
        Ok(self.person(user_id).await?.allows.typing_visible)
    }

    /// Whether others may see how far the person has read, as of half a minute ago at most.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] when the store is away.
    pub async fn shows_reading(&self, user_id: UserId) -> Result<bool, CommandError> {
        Ok(self.person(user_id).await?.allows.read_receipts)
    }

    /// The person changed: what is remembered of them is not true any more.
    pub fn forget_person(&self, user_id: UserId) {
        self.inner.names.known.lock().pop(&user_id);
    }

    async fn person(&self, user_id: UserId) -> Result<Known, CommandError> {
        let now = self.now();
        if let Some(person) = self.inner.names.get(user_id, now) {
            return Ok(person);
        }
        let person = match self.inner.bus.state::<User>(&user_id.to_string()).await? {
            User::Active { full_name, profile, .. } => {
                Known { name: full_name, allows: profile.preferences }
            }
            User::Absent => Known::NOBODY,
        };
        self.inner.names.put(user_id, person.clone(), now);
        Ok(person)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ANA: UserId = UserId(Uuid::nil());

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn ana() -> Known {
        Known {
            name: FullName::parse("Ana López").unwrap().into(), allows: Preferences::default()
        }
    }

    #[test]
    fn a_name_is_remembered_for_half_a_minute() {
        let names = Names::default();
        assert_eq!(names.get(ANA, at(0)), None);
        names.put(ANA, ana(), at(0));
        assert_eq!(names.get(ANA, at(29)), Some(ana()));
        assert_eq!(names.get(ANA, at(30)), None);
        assert_eq!(names.known.lock().len(), 0, "an old name does not stay in memory");
    }

    #[test]
    fn a_clock_set_back_makes_names_old() {
        let names = Names::default();
        names.put(ANA, ana(), at(0));
        assert_eq!(names.get(ANA, at(-1)), None);
    }

    #[test]
    fn only_so_many_names_are_remembered() {
        let names = Names::default();
        for n in 0..=CAPACITY.get() {
            names.put(UserId(Uuid::from_u128(n as u128)), ana(), at(0));
        }
        assert_eq!(names.known.lock().len(), CAPACITY.get());
        assert_eq!(names.get(ANA, at(1)), None, "the one not asked for longest went");
    }
}
