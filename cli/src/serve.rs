//! `studyhall serve`: puts the roles of this process together and takes them down again.
mod health;
mod listeners;
mod processes;
mod room_events;
mod room_log;
mod told;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Error};
use api::{ApiState, Readiness};
use commands::{Commands, Limits};
use eventstore::EventStore;
use nats::{Feed, Nats, Relay};
use platform::{Clock, Shutdown, SystemClock};
use projections::{ReadModels, Runner};
use realtime::{History, Nodes, Realtime, Reaper};

use crate::{arguments::Role, parts::Settings};
use listeners::Listener;
use processes::Processes;
use room_events::Events;
use room_log::RoomLog;
use told::Everywhere;

/// How long the roles behind the listeners may take to end, after those in front have ended.
const BACK_GRACE: Duration = Duration::from_secs(5);

/// Serves until a signal comes. `false` when it ended for another reason.
pub(crate) async fn serve(roles: &[Role]) -> Result<bool, Error> {
    let settings = Settings::load()?;
    let metrics = platform::telemetry::metrics_handle();
    let server = &settings.config.server;
    // Taken first: a port in use is the most likely reason not to start.
    let internal = Listener::bind("server.internal_bind", server.internal_bind).await?;
    let in_front = roles.iter().any(|role| matches!(role, Role::Api | Role::Realtime));
    let public =
        if in_front { Some(Listener::bind("server.bind", server.bind).await?) } else { None };
    let node = Node::connect(settings).await?;
    let readiness = health::readiness(&node.store, &node.nats, &node.read_models);

    // What people talk to ends first, what it waits for ends after it.
    let (front, back) = (Shutdown::new(), Shutdown::new());
    let signals = Shutdown::new();
    signals.on_signals()?;
    let (nats, config) = (node.nats.clone(), &node.settings.config);
    // Until the last request is answered, and the last socket gone.
    let nodes = if in_front { Some(Nodes::start(nats, config, &back)?) } else { None };
    let realtime = node.start_roles(roles, nodes.as_ref(), &front, &back).await?;

    let render = move || metrics.render();
    let routes = api::internal_routes(render).merge(api::health_routes(readiness.clone()));
    let internal = internal.serve(routes, "internal-listener", &back);
    let public = public.map(|listener| {
        let routes = if roles.contains(&Role::Api) {
            let state = node.api_state(&readiness);
            api::router(match nodes {
                Some(nodes) => state.with_sockets(Arc::new(Everywhere(nodes))),
                None => state,
            })
        } else {
            api::public_health_routes(readiness.clone(), &config.server)
        };
        match &realtime {
            Some(realtime) => listener.serve_sockets(realtime, routes, &front),
            None => listener.serve(routes, "public-listener", &front),
        }
    });
    println!("internal listener on http://{internal}");
    if let Some(address) = public {
        println!("listening on http://{address}");
    }
    let roles: Vec<String> = roles.iter().map(|role| format!("{role:?}").to_lowercase()).collect();
    tracing::info!(node.id = node.settings.config.node.id, roles = roles.join(","), "serving");

    let told = tokio::select! {
        () = signals.token().cancelled_owned() => true,
        // A task panicked: half a process is worse than none.
        () = front.token().cancelled_owned() => false,
        () = back.token().cancelled_owned() => false,
    };
    let grace = Duration::from_millis(node.settings.config.server.shutdown_grace_ms);
    front.trigger();
    front.wait(grace).await;
    back.trigger();
    back.wait(BACK_GRACE.min(grace)).await;
    tracing::info!("stopped");
    Ok(told)
}

/// What the roles of one process share.
struct Node {
    settings: Settings,
    store: EventStore,
    nats: Nats,
    read_models: ReadModels,
    commands: Commands,
    limits: Limits,
}

impl Node {
    async fn connect(settings: Settings) -> Result<Self, Error> {
        let store = settings.event_store().await?;
        let read_models = settings.read_models(&store).await?;
        let nats = Nats::connect(&settings.config.nats).await.context("nats.url cannot be used")?;
        let commands = settings.commands(&store);
        let Settings { config, secrets } = &settings;
        let limits = Limits::new(config, secrets).context("redis.url cannot be used")?;
        Ok(Self { settings, store, nats, read_models, commands, limits })
    }

    fn api_state(&self, readiness: &Readiness) -> ApiState {
        let (commands, models) = (self.commands.clone(), self.read_models.clone());
        let Settings { config, secrets } = &self.settings;
        let events = Arc::new(Events(self.history()));
        let limits = self.limits.clone();
        let sockets = realtime::asyncapi::document(&config.server.public_origin);
        ApiState::new(commands, limits, models, config, secrets, readiness.clone(), events)
            .with_asyncapi(sockets)
    }

    fn history(&self) -> History {
        let (commands, models) = (self.commands.clone(), self.read_models.clone());
        let log = Arc::new(RoomLog::new(self.store.clone()));
        History::new(commands, models, log, self.settings.config.realtime.max_sync_behind)
    }

    /// Starts every role but REST, which is only routes.
    async fn start_roles(
        &self,
        roles: &[Role],
        nodes: Option<&Nodes>,
        front: &Shutdown,
        back: &Shutdown,
    ) -> Result<Option<Realtime>, Error> {
        let has = |role| roles.contains(&role);
        let config = &self.settings.config;
        let (store, nats) = (self.store.clone(), self.nats.clone());
        if has(Role::Relay) {
            let relay = Relay::new(store.clone(), nats.clone(), config);
            back.spawn("relay", relay.run(back.token()));
        }
        // The relay that leads may be on another node.
        back.spawn("hints", nats::run_hints(store.clone(), nats.clone(), back.token()));
        let feed = if has(Role::Projectors) || has(Role::Realtime) {
            Some(Feed::start(store.clone(), nats.clone(), config, back).await?)
        } else {
            None
        };
        if let Some(feed) = feed.clone().filter(|_| has(Role::Projectors)) {
            let runner = Runner::new(self.read_models.clone(), feed, config);
            back.spawn("projectors", runner.run(back.token()));
        }
        if has(Role::Processes) {
            let models = self.read_models.clone();
            let (commands, config, nats) = (self.commands.clone(), config.clone(), nats.clone());
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let reaper = move || {
                let (commands, models) = (commands.clone(), models.clone());
                Reaper::new(commands, models, nats.clone(), Arc::clone(&clock), &config)
            };
            let processes = Processes::new(&self.commands, &self.settings.config)
                .map_err(Error::from_boxed)
                .context("mail.url or mail.from cannot be used")?;
            back.spawn("processes", processes.run(reaper, back.token()));
        }
        let feed = feed.filter(|_| has(Role::Realtime));
        let (Some(feed), Some(nodes)) = (feed, nodes.cloned()) else { return Ok(None) };
        let history = self.history();
        let parts = realtime::Parts {
            commands: self.commands.clone(),
            limits: self.limits.clone(),
            read_models: self.read_models.clone(),
            feed,
            nats,
            history,
            nodes,
            clock: Arc::new(SystemClock),
        };
        Ok(Some(Realtime::start(parts, config, front)?))
    }
}
