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
use socketioxide::extract::{AckSender, Event, SocketRef, TryData};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{
    codes,
    connection::Connection,
    handshake::Resume,
    inbound::Inbound,
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

/// Registers the handlers of a socket and starts its worker. Called before CONNECT goes out, so
/// that no event finds nobody listening.
pub(crate) fn start(
    node: &Arc<Node>,
    socket: &SocketRef,
    connection: &Arc<Connection>,
    resume: Vec<Resume>,
) {
    let (queue, commands) = mpsc::channel(node.settings.command_queue.max(1));
    for event in Inbound::ALL {
        let queue = queue.clone();
        socket.on(event.name(), move |TryData(data): TryData<Value>, ack: AckSender| {
            let command = Command { event, data: data.unwrap_or(Value::Null), ack };
            let refused = queue.try_send(command);
            async move {
                // A closed queue means that the socket is gone: nobody is left to tell.
                if let Err(TrySendError::Full(command)) = refused {
                    count(event.name(), codes::OVERLOADED);
                    let _ = command.ack.send(&Reply::from(Refusal::queue_full()));
                }
            }
        });
    }
    socket.on_fallback(async |Event(_): Event, ack: AckSender| {
        count("unknown", codes::UNKNOWN_EVENT);
        let refusal = Refusal::new(codes::UNKNOWN_EVENT, "there is no such event");
        let _ = ack.send(&Reply::from(refusal));
    });
    // Handlers live as long as their socket, which the connection holds: no strong circle.
    let (weak_node, weak_connection) = (Arc::downgrade(node), Arc::downgrade(connection));
    socket.on_disconnect(move || async move {
        if let (Some(node), Some(connection)) = (weak_node.upgrade(), weak_connection.upgrade()) {
            node.disconnected(&connection).await;
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
    resume: Vec<Resume>,
) {
    if !connection.connected().await {
        return;
    }
    node.greet(&connection, resume).await;
    loop {
        let command = tokio::select! {
            biased;
            () = connection.gone.cancelled() => break,
            command = commands.recv() => command,
        };
        let Some(command) = command else { break };
        carry_out(&node, &connection, command).await;
    }
    // What arrived before the end was said: a message sent right before closing counts.
    commands.close();
    while let Some(command) = commands.recv().await {
        if command.event == Inbound::SendMessage && !connection.discards() {
            carry_out(&node, &connection, command).await;
        }
    }
}

async fn carry_out(node: &Arc<Node>, connection: &Arc<Connection>, command: Command) {
    let Command { event, data, ack } = command;
    // A panic must not leave the socket without a worker.
    let outcome = AssertUnwindSafe(node.perform(connection, event, data))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(Refusal::internal()));
    count(event.name(), outcome.as_ref().map_or_else(|refusal| refusal.code, |_| "ok"));
    // Without an acknowledgement asked for, nothing is sent.
    if ack.send(&Reply::from(outcome)).is_err() && !connection.gone.is_cancelled() {
        node.drop_slow(connection);
    }
}

fn count(event: &'static str, outcome: &'static str) {
    metrics::counter!("socket_commands_total", "event" => event, "outcome" => outcome).increment(1);
}
