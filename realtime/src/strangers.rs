//! Connections that have not said yet whose they are: so many for each address, and no more. They
//! cost memory until they say it, or until `realtime.connect_timeout_ms` ends them.
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap},
};
use dashmap::DashMap;
use platform::config::{self, limits::counted_as};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Counts them by address.
#[derive(Clone)]
pub(crate) struct Strangers {
    settings: Arc<config::Limits>,
    waiting: Arc<DashMap<String, usize>>,
}

/// One of them; it stops being one when it is known, or gone. Travels with the request that opened
/// the connection, which lives as long.
#[derive(Clone)]
pub(crate) struct Stranger(Arc<Place>);

struct Place {
    address: String,
    waiting: Arc<DashMap<String, usize>>,
    left: AtomicBool,
}

impl Strangers {
    pub(crate) fn new(settings: &config::Limits) -> Self {
        Self { settings: Arc::new(settings.clone()), waiting: Arc::default() }
    }

    /// Takes a place for a request that opens a connection; `None` when there is none left.
    pub(crate) fn enter(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<Stranger> {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        let peer = peer.unwrap_or(IpAddr::from([0, 0, 0, 0]));
        let forwarded = headers.get_all(FORWARDED_FOR).iter().filter_map(|it| it.to_str().ok());
        let address = counted_as(self.settings.client(peer, forwarded));
        let mut waiting = self.waiting.entry(address.clone()).or_default();
        if self.settings.enabled && *waiting >= self.settings.unidentified_sockets {
            return None;
        }
        *waiting += 1;
        drop(waiting);
        let waiting = Arc::clone(&self.waiting);
        Some(Stranger(Arc::new(Place { address, waiting, left: AtomicBool::new(false) })))
    }
}

impl Stranger {
    /// It said whose it is.
    pub(crate) fn known(&self) {
        self.0.leave();
    }
}

impl Place {
    fn leave(&self) {
        if self.left.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(mut waiting) = self.waiting.get_mut(&self.address) {
            *waiting = waiting.saturating_sub(1);
        }
        self.waiting.remove_if(&self.address, |_, waiting| *waiting == 0);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// Limits with so many strangers.
    pub(crate) fn limits(most: usize) -> config::Limits {
        let rate = "1/1s";
        let limits = json!({
            "enabled": true, "trusted_proxies": ["192.0.2.1"], "anonymous": rate, "reads": rate,
            "writes": rate, "messages": rate, "register": rate, "register_address": rate,
            "login": rate, "login_known": rate, "login_address": rate, "login_prompt": rate,
            "login_delay_ms": 0, "login_max_delay_ms": 0, "login_known_days": 1,
            "refresh_address": rate, "send_otp_address": rate, "resend_address": rate,
            "forgot_address": rate, "verify_address": rate, "verify_email": rate,
            "reset_address": rate,
            "socket_commands": rate, "socket": rate, "unidentified_sockets": most,
        });
        serde_json::from_value(limits).unwrap()
    }

    fn enter(strangers: &Strangers, client: &str) -> Option<Stranger> {
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 7))));
        let headers = HeaderMap::from_iter([(
            axum::http::HeaderName::from_static(FORWARDED_FOR),
            client.parse().unwrap(),
        )]);
        strangers.enter(&extensions, &headers)
    }

    #[test]
    fn an_address_has_so_many_strangers_and_gets_their_places_back() {
        let strangers = Strangers::new(&limits(2));
        let (first, second) = (enter(&strangers, "6.6.6.6"), enter(&strangers, "6.6.6.6"));
        assert!(enter(&strangers, "6.6.6.6").is_none());
        assert!(enter(&strangers, "7.7.7.7").is_some(), "others have their own");
        first.unwrap().known();
        let third = enter(&strangers, "6.6.6.6");
        assert!(third.is_some() && enter(&strangers, "6.6.6.6").is_none());
        drop((second, third));
        assert!(strangers.waiting.is_empty());
    }
}
