//! What people are called, from the truth and remembered for a moment.
use std::num::NonZeroUsize;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{Personal, User, UserId, text::FullName};
use lru::LruCache;
use parking_lot::Mutex;

use crate::{CommandError, Commands};

/// Names remembered at once.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// How long a name may be out of date, and how long an erased person's name may stay in memory.
const REMEMBERED: TimeDelta = TimeDelta::seconds(30);

/// Names of people who wrote something lately.
pub(crate) struct Names {
    known: Mutex<LruCache<UserId, Name>>,
}

struct Name {
    name: Personal<FullName>,
    since: DateTime<Utc>,
}

impl Default for Names {
    fn default() -> Self {
        Self { known: Mutex::new(LruCache::new(CAPACITY)) }
    }
}

impl Names {
    fn get(&self, user_id: UserId, now: DateTime<Utc>) -> Option<Personal<FullName>> {
        let mut known = self.known.lock();
        let entry = known.get(&user_id)?;
        // A clock that was set back does not keep a name for longer.
        if (TimeDelta::zero()..REMEMBERED).contains(&(now - entry.since)) {
            return Some(entry.name.clone());
        }
        known.pop(&user_id);
        None
    }

    fn put(&self, user_id: UserId, name: Personal<FullName>, since: DateTime<Utc>) {
        self.known.lock().put(user_id, Name { name, since });
    }
}

impl Commands {
    /// What the person is called, at most half a minute old; erased when nobody can tell.
    pub(crate) async fn name_of(
        &self,
        user_id: UserId,
    ) -> Result<Personal<FullName>, CommandError> {
        let now = self.now();
        if let Some(name) = self.inner.names.get(user_id, now) {
            return Ok(name);
        }
        let name = match self.inner.bus.state::<User>(&user_id.to_string()).await? {
            User::Active { full_name, .. } => full_name,
            User::Absent => Personal::Erased,
        };
        self.inner.names.put(user_id, name.clone(), now);
        Ok(name)
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

    fn ana() -> Personal<FullName> {
        FullName::parse("Ana López").unwrap().into()
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
