//! Forgets people who asked for it: notes when, records that it is time, and then lets go of everything
//! that was theirs. Their key goes last: until then all of it can be done again.
use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use domain::{AnyEvent, Recorded, UserEvent, UserId};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Process, Trouble};
use crate::{CommandError, Commands};

/// Time between two looks whose time has come.
const LOOK: Duration = Duration::from_secs(1);
/// People in one look.
const AT_ONCE: i64 = 50;
/// How often leaving a room is tried.
const TRIES: u32 = 3;
/// When somebody is tried again who could not be forgotten.
const LATER: TimeDelta = TimeDelta::minutes(10);

pub(super) struct Departures {
    commands: Commands,
}

impl Departures {
    pub(super) fn new(commands: Commands) -> Self {
        Self { commands }
    }

    /// Records, until `term`, who is forgotten from now on.
    pub(super) async fn watch(self: Arc<Self>, term: CancellationToken) {
        let mut healthy = true;
        while term.run_until_cancelled(sleep(LOOK)).await.is_some() {
            match self.look().await {
                Ok(()) => healthy = true,
                Err(error) if std::mem::replace(&mut healthy, false) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "people who are to be forgotten wait for it"
                ),
                Err(_) => {}
            }
        }
    }

    async fn look(&self) -> Result<(), Trouble> {
        let store = self.commands.store();
        let now = self.commands.now();
        for person in store.due_departures(now, AT_ONCE).await? {
            // What follows from it comes with the event. Nothing is recorded twice, nor of who came back.
            if let Err(error) = self.commands.erase_account(UserId(person)).await {
                tracing::error!(
                    user.id = %person,
                    error = &error as &dyn std::error::Error,
                    "somebody cannot be forgotten; tried again later"
                );
                // The others do not wait for them.
                store.put_departure(person, now + LATER).await?;
            }
        }
        Ok(())
    }

    /// Puts the person out of a room. One room that cannot be left keeps nobody from being forgotten.
    async fn vacate(&self, user_id: UserId, room: &str) {
        for number in 1..=TRIES {
            let left = match room.parse() {
                Ok(room_id) => self.commands.vacate(user_id, room_id).await,
                Err(error) => Err(CommandError::unavailable(error)),
            };
            match left {
                Ok(()) => return,
                Err(_) if number < TRIES => sleep(LOOK).await,
                Err(error) => tracing::error!(
                    user.id = %user_id,
                    room.id = room,
                    error = &error as &dyn std::error::Error,
                    "somebody who is forgotten stays a member of a room"
                ),
            }
        }
    }

    async fn forget(&self, user_id: UserId) -> Result<(), Trouble> {
        let store = self.commands.store();
        for room in store.rooms_joined_by(user_id.0).await? {
            self.vacate(user_id, &room).await;
        }
        platform::crash_point!("departures.before_key");
        store.keyring().erase(user_id.0).await?;
        self.commands.forget_person(user_id);
        store.drop_departure(user_id.0).await?;
        tracing::info!(user.id = %user_id, "somebody who asked for it was forgotten");
        Ok(())
    }
}

impl Process for Departures {
    const NAME: &'static str = "departures";
    const READS: &'static [&'static str] = &["user"];

    async fn handle(&self, recorded: &Recorded) -> Result<(), Trouble> {
        let AnyEvent::User(event) = &recorded.event else { return Ok(()) };
        let store = self.commands.store();
        match event {
            UserEvent::AccountDeletionRequested { user_id, due_at, .. } => {
                store.put_departure(user_id.0, *due_at).await?;
            }
            UserEvent::AccountReinstated { user_id, .. } => store.drop_departure(user_id.0).await?,
            UserEvent::AccountErased { user_id, .. } => self.forget(*user_id).await?,
            _ => {}
        }
        Ok(())
    }
}
