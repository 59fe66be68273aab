//! Rate limits of requests (draft-ietf-httpapi-ratelimit-headers-11).
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, request::Parts},
};
use commands::{Exceeded, Limit, Standing};
use domain::UserId;
use parking_lot::Mutex;
use platform::config::limits::counted_as;

use crate::{ApiState, Endpoint, extract::Access, problem::Problem, problems};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");
const FORWARDED_FOR: &str = "x-forwarded-for";

/// What a route counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    /// What its method and its caller say.
    Usual,
    /// This, of the caller or, where there is none, of the address.
    As(Limit),
    /// Nothing: load balancers ask often.
    Nothing,
}

/// Where a request came from, under the name by which addresses are counted.
#[derive(Clone, Debug)]
pub(crate) struct ClientAddress(pub(crate) String);

impl ClientAddress {
    /// What the listener, and proxies that we trust, say.
    pub(crate) fn of(state: &ApiState, extensions: &Extensions, headers: &HeaderMap) -> Self {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        let peer = peer.unwrap_or(IpAddr::from([0, 0, 0, 0]));
        let forwarded = headers.get_all(FORWARDED_FOR).iter().filter_map(|it| it.to_str().ok());
        Self(counted_as(state.config().limits.client(peer, forwarded)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Put there by the guard of the route.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::new(&problems::INTERNAL))
    }
}

/// What is left of the limits that a request counted for, beside that of its route.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted(Arc<Mutex<Vec<Standing>>>);

impl Counted {
    /// Counts this request against more limits than its route does. Count before the work that the
    /// limit is to spare.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(crate) async fn count(
        &self,
        state: &ApiState,
        wanted: &[(Limit, &str)],
    ) -> Result<(), Problem> {
        let standings = state.limits().take(wanted).await?;
        self.tell(standings);
        Ok(())
    }

    /// The answer says what is left of these.
    pub(crate) fn tell(&self, standings: Vec<Standing>) {
        self.0.lock().extend(standings);
    }

    pub(crate) fn take(&self) -> Vec<Standing> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// Counts a request for the limit of its route.
///
/// # Errors
/// `rate_limited`.
pub(crate) async fn count(
    state: &ApiState,
    endpoint: &Endpoint,
    person: Option<UserId>,
    address: &ClientAddress,
) -> Result<Vec<Standing>, Problem> {
    let (limit, person) = match endpoint.counts {
        Counts::Nothing => return Ok(Vec::new()),
        // A token of somebody's is no way around the limits of an open route.
        Counts::As(limit) if endpoint.access == Access::Public => (limit, None),
        Counts::As(limit) => (limit, person),
        Counts::Usual => return count_usual(state, &endpoint.method, person, address).await,
    };
    take(state, limit, person, address).await
}

/// Counts a request for what its method and its caller say.
///
/// # Errors
/// `rate_limited`.
pub(crate) async fn count_usual(
    state: &ApiState,
    method: &Method,
    person: Option<UserId>,
    address: &ClientAddress,
) -> Result<Vec<Standing>, Problem> {
    let limit = match (person, method) {
        (None, _) => Limit::Anonymous,
        (Some(_), &Method::GET | &Method::HEAD) => Limit::Reads,
        (Some(_), _) => Limit::Writes,
    };
    take(state, limit, person, address).await
}

async fn take(
    state: &ApiState,
    limit: Limit,
    person: Option<UserId>,
    address: &ClientAddress,
) -> Result<Vec<Standing>, Problem> {
    let person = person.map(|person| person.to_string());
    let of = person.as_deref().unwrap_or(&address.0);
    Ok(state.limits().take(&[(limit, of)]).await?)
}

/// Says in the headers what is left.
pub(crate) fn tell(answer: &mut HeaderMap, standings: &[Standing]) {
    for (name, value) in headers(standings) {
        answer.entry(name).or_insert(value);
    }
}

/// `RateLimit-Policy` and `RateLimit`: lists of structured fields.
fn headers(standings: &[Standing]) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let line = |of: fn(&Standing) -> String| {
        let items: Vec<_> = standings.iter().map(of).collect();
        HeaderValue::from_str(&items.join(", ")).ok().filter(|_| !standings.is_empty())
    };
    let policy = line(|it| {
        format!("\"{}\";q={};w={}", it.limit.name(), it.rate.quota, it.rate.window.as_secs())
    });
    let left = line(|it| {
        // Rounded up: asking too early is what it is to prevent.
        let seconds = it.resets_in.as_millis().div_ceil(1000);
        format!("\"{}\";r={};t={seconds}", it.limit.name(), it.left)
    });
    [(POLICY, policy), (LEFT, left)].into_iter().filter_map(|(name, value)| Some((name, value?)))
}

impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Self {
        let wait = exceeded.retry_after();
        let seconds = wait.as_millis().div_ceil(1000);
        Self::new(&problems::RATE_LIMITED)
            .detail(format!("ask again in {seconds} s"))
            .retry_after(wait)
            .limits(exceeded)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use platform::config::Rate;

    use super::*;

    #[test]
    fn the_headers_are_structured_fields() {
        let rate = Rate { quota: 10, window: Duration::from_mins(1) };
        let resets_in = Duration::from_millis(40_001);
        let standing = |limit, left| Standing { limit, rate, left, resets_in };
        let told: Vec<_> =
            headers(&[standing(Limit::Login, 3), standing(Limit::LoginAddress, 9)]).collect();
        assert_eq!(told[0].1, "\"login\";q=10;w=60, \"login-address\";q=10;w=60");
        assert_eq!(told[1].1, "\"login\";r=3;t=41, \"login-address\";r=9;t=41");
        assert_eq!(headers(&[]).count(), 0);
    }
}
