//! `leave_room`: out of the live room; the membership stays.
use domain::RoomId;
use serde_json::{Value, json};

use super::fields::{Fields, id};
use crate::{
    connection::Connection,
    node::{Absence, Node},
    reply::Refusal,
};

impl Node {
    pub(super) async fn leave_room(
        &self,
        connection: &Connection,
        data: Value,
    ) -> Result<Value, Refusal> {
        let mut fields = Fields::new(data)?;
        let room_id = fields.required("roomId", id::<RoomId>);
        let room_id = fields.finish(room_id)?;
        // Not being there succeeds. Who is on the way to another node is in their rooms, though not here.
        let subscription = connection.subscription(room_id);
        if let Some(subscription) = &subscription {
            self.unsubscribe(subscription);
        }
        if subscription.is_some() || connection.is_moving() {
            let request_id = connection.caller().request_id;
            let exited = self.commands.exit_room(room_id, connection.id, &request_id).await;
            if exited.is_err() {
                // The socket is out; that others hear of it is tried again.
                self.departures.add(room_id, connection.id, Absence::Meant);
            }
        }
        Ok(json!({}))
    }
}
