//! `refresh_auth`: a newer access token of the same session keeps the socket open.
use serde_json::{Value, json};

use super::fields::{Fields, text};
use crate::{codes, connection::Connection, node::Node, payload::timestamp, reply::Refusal};

impl Node {
    pub(super) fn refresh_auth(
        &self,
        connection: &Connection,
        data: Value,
    ) -> Result<Value, Refusal> {
        let mut fields = Fields::new(data)?;
        let token = fields.required("token", |value| text(value).map(str::to_owned));
        let token = fields.finish(token)?;
        let refusal = || Refusal::new(codes::UNAUTHENTICATED, "the token does not fit this socket");
        let claims = self.commands.verify_access_token(&token).map_err(|_| refusal())?;
        if (claims.user_id, claims.session_id) != (connection.user_id, connection.session_id) {
            return Err(refusal());
        }
        connection.renew(&claims);
        Ok(json!({ "expiresAt": timestamp(claims.expires_at) }))
    }
}
