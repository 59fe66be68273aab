//! Access tokens end while their socket is open.
use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    connection::EXPIRY_WARNING,
    node::{Absence, Node},
    payload::timestamp,
};

/// How often tokens are looked at.
const TICK: Duration = Duration::from_secs(1);

/// What the time asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    Warning,
    End,
}

fn due(left: chrono::TimeDelta) -> Due {
    match left.to_std() {
        Err(_) | Ok(Duration::ZERO) => Due::End,
        Ok(left) if left <= EXPIRY_WARNING => Due::Warning,
        Ok(_) => Due::Nothing,
    }
}

/// Warns clients a minute before their token ends, and disconnects them at its end.
pub(crate) async fn run(node: Arc<Node>, stop: CancellationToken) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = node.clock.now();
        for connection in node.connections.all() {
            let Some(expires_at) = connection.expires_at() else { continue };
            match due(expires_at - now) {
                Due::Nothing => {}
                Due::Warning if !connection.is_greeted() || !connection.warn_once() => {}
                Due::Warning => {
                    let payload = json!({ "expiresAt": timestamp(expires_at) });
                    connection.emit_volatile("token_expiring", &payload);
                }
                Due::End => {
                    let payload = json!({ "expiredAt": timestamp(expires_at) });
                    node.dismiss(&connection, Absence::Perhaps, "token_expired", &payload);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_token_is_warned_about_a_minute_before_its_end() {
        assert_eq!(due(TimeDelta::seconds(61)), Due::Nothing);
        assert_eq!(due(TimeDelta::seconds(60)), Due::Warning);
        assert_eq!(due(TimeDelta::milliseconds(1)), Due::Warning);
        assert_eq!(due(TimeDelta::zero()), Due::End);
        assert_eq!(due(TimeDelta::seconds(-5)), Due::End);
    }
}
