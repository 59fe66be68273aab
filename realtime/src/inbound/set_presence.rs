//! `set_presence`: what others see of the person, on all of their devices.
use domain::Violation;
use projections::PresenceChoice;
use serde_json::{Value, json};

use super::fields::{Fields, text};
use crate::{connection::Connection, node::Node, reply::Refusal};

impl Node {
    pub(super) async fn set_presence(
        &self,
        connection: &Connection,
        data: Value,
    ) -> Result<Value, Refusal> {
        let mut fields = Fields::new(data)?;
        let status = fields.required("status", choice);
        let status = fields.finish(status)?;
        self.choose_presence(&connection.caller(), status).await?;
        Ok(json!({}))
    }
}

fn choice(value: &Value) -> Result<PresenceChoice, Violation> {
    let names = "must be one of online, away, dnd, invisible";
    PresenceChoice::parse(text(value)?).ok_or_else(|| Violation::new("invalid_value", names))
}
