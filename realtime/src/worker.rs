//! One queue and one worker per socket: commands are carried out in the order they were sent.
//!
//! The library runs every handler in a task of its own, and tasks overtake each other. So the
//! synchronous part of each handler, which does run in order, puts the command into the queue.
use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Weak},
};

use futures::FutureExt;
use serde_json::Value;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{
    codes,
    connection::{Connection, EmitFailure},
    handshake::Resumes,
    inbound::{Answer, Inbound},
    node::Node,
    reply::{Refusal, Reply},
};

/// What a socket asked for.
struct Command {
    event: Inbound,
    /// `Null` if there was nothing, or nothing that is JSON.
    data: Value,
    ack: AckSender,
}

/// Whose handlers they are.
#[derive(Clone)]
struct Owner {
    node: Weak<Node>,
    connection: Weak<Connection>,
}

impl Owner {
    fn upgrade(&self) -> Option<(Arc<Node>, Arc<Connection>)> {
        Some((self.node.upgrade()?, self.connection.upgrade()?))
    }

    /// Refuses what never comes to the worker. It counts like everything else that a socket asks.
    fn refuse(&self, event: &'static str, ack: AckSender, refusal: Refusal) {
        if let Some((node, connection)) = self.upgrade() {
            let refusal = connection.count().map_or_else(Refusal::too_often, |()| refusal);
            count(event, refusal.code);
            acknowledge(&node, &connection, ack, Err(refusal));
        }
    }
}

/// Registers the handlers of a socket and starts its worker. Called before CONNECT goes out, so
/// that no event finds nobody listening.
pub(crate) fn start(
    node: &Arc<Node>,
    socket: &SocketRef,
    connection: &Arc<Connection>,
    resume: Resumes,
) {
    let (queue, commands) = mpsc::channel(node.settings.command_queue.max(1));
    // Handlers live as long as their socket, which the connection holds: no strong circle.
    let owner = Owner { node: Arc::downgrade(node), connection: Arc::downgrade(connection) };
    for event in Inbound::ALL {
        let (queue, owner) = (queue.clone(), owner.clone());
        socket.on(event.name(), move |TryData(data): TryData<Value>, ack: AckSender| {
            let command = Command { event, data: data.unwrap_or(Value::Null), ack };
            let refused = queue.try_send(command);
            async move {
                // A closed queue means that the socket is gone: nobody is left to tell.
                if let Err(TrySendError::Full(command)) = refused {
                    owner.refuse(event.name(), command.ack, Refusal::queue_full());
                }
            }
        });
    }
    let fallback = owner.clone();
    socket.on_fallback(move |ack: AckSender| async move {
        let refusal = Refusal::new(codes::UNKNOWN_EVENT, "there is no such event");
        fallback.refuse("unknown", ack, refusal);
    });
    socket.on_disconnect(move || async move {
        if let Some((node, connection)) = owner.upgrade() {
            node.disconnected(&connection);
        }
    });
    // Weak for the same reason.
    socket.extensions.insert(Arc::downgrade(connection));
    node.workers.spawn(run(Arc::clone(node), Arc::clone(connection), commands, resume));
}

/// CONNECT went out: the socket's worker may begin.
pub(crate) fn begin(socket: &SocketRef) {
    let connection = socket.extensions.get::<Weak<Connection>>();
    if let Some(connection) = connection.and_then(|weak| weak.upgrade()) {
        connection.set_connected();
    }
}

async fn run(
    node: Arc<Node>,
    connection: Arc<Connection>,
    mut commands: mpsc::Receiver<Command>,
    resume: Resumes,
) {
    if !connection.connected().await {
        return;
    }
    // Boxed: an idle socket must not carry the room that its largest command would need.
    Box::pin(node.greet(&connection, resume)).await;
    loop {
        let command = tokio::select! {
            biased;
            () = connection.gone.cancelled() => break,
            command = commands.recv() => command,
        };
        let Some(command) = command else { break };
        Box::pin(carry_out(&node, &connection, command)).await;
    }
    // What arrived before the end was said: a message sent right before closing counts.
    commands.close();
    while let Some(command) = commands.recv().await {
        if command.event.says() && !connection.discards() {
            Box::pin(carry_out(&node, &connection, command)).await;
        }
    }
}

async fn carry_out(node: &Arc<Node>, connection: &Arc<Connection>, command: Command) {
    let Command { event, data, ack } = command;
    // A panic must not leave the socket without a worker.
    let outcome = match node.count(connection, event).await {
        Ok(()) => AssertUnwindSafe(node.perform(connection, event, data))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(Refusal::internal())),
        Err(refusal) => Err(refusal),
    };
    count(event.name(), outcome.as_ref().map_or_else(|refusal| refusal.code, |_| "ok"));
    match outcome {
        Ok(Answer::Ready(data)) => acknowledge(node, connection, ack, Ok(data)),
        Err(refusal) => acknowledge(node, connection, ack, Err(refusal)),
        Ok(Answer::Sent(written)) => {
            // Never closed.
            let Ok(permit) = Arc::clone(&connection.placing).acquire_owned().await else { return };
            let (node, connection) = (Arc::clone(node), Arc::clone(connection));
            let tracker = node.workers.clone();
            tracker.spawn(async move {
                let data = node.sent(&written).await;
                acknowledge(&node, &connection, ack, Ok(data));
                drop(permit);
            });
        }
    }
}

/// Answers if an acknowledgement was asked for. One that is lost because the socket does not keep
/// up ends the socket: its client would wait for ever.
fn acknowledge(
    node: &Node,
    connection: &Connection,
    ack: AckSender,
    outcome: Result<Value, Refusal>,
) {
    let failure = ack.send(&Reply::from(outcome)).err().map(|error| EmitFailure::from(&error));
    if failure == Some(EmitFailure::Full) {
        node.drop_slow(connection);
    }
}

fn count(event: &'static str, outcome: &'static str) {
    metrics::counter!("socket_commands_total", "event" => event, "outcome" => outcome).increment(1);
}
