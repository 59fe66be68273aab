//! What the routes that let somebody in have in common: what they read, and what they answer.
use axum::{
    Extension, Json, RequestPartsExt as _,
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use commands::{Entrance, LoggedIn, Verification, Written};
use domain::UserId;
use projections::UserRow;
use serde_json::Value;

use super::Route;
use crate::{
    ApiState, Endpoint,
    extract::{AuthMode, UserAgent},
    frame::RequestId,
    limits::{ClientAddress, Counted},
    problem::Problem,
    problems,
    routes::users,
    views,
    writes::{Settled, shown},
};

/// Somebody who wants in: what is known of them beside their body.
pub(in crate::routes) struct Entering {
    pub(super) endpoint: &'static Endpoint,
    pub(super) request_id: RequestId,
    pub(super) user_agent: Option<String>,
    pub(super) mode: AuthMode,
    pub(super) address: ClientAddress,
    pub(super) counted: Counted,
}

impl FromRequestParts<ApiState> for Entering {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        // The guard of the route has put these there.
        let missing = |_| Problem::new(&problems::INTERNAL);
        let Extension(endpoint) = parts.extract::<Route>().await.map_err(missing)?;
        let Extension(request_id) = parts.extract::<Extension<_>>().await.map_err(missing)?;
        let Extension(counted) = parts.extract::<Extension<_>>().await.map_err(missing)?;
        let Ok(UserAgent(user_agent)) = parts.extract().await;
        let address = parts.extract().await?;
        let mode = parts.extract_with_state(state).await?;
        Ok(Self { endpoint, request_id, user_agent, mode, address, counted })
    }
}

impl Entering {
    /// A session, or what has to be proven first. What is only sent looks the same for everyone,
    /// and takes as long.
    pub(super) async fn entrance(
        &self,
        state: &ApiState,
        written: Written<Entrance>,
    ) -> Result<Response, Problem> {
        let Written { value, receipt, replayed } = written;
        match value {
            Entrance::In(session) => {
                let written = Written { value: session, receipt, replayed };
                Ok(self.opened(state, written).await?.into_response())
            }
            Entrance::MustVerify(verification) => Ok(must_verify(&verification).into_response()),
        }
    }

    /// The session object. Who got in by what works once must not be told to come back: the account
    /// is shown as its own events have it, where the read model does not know all of them yet.
    pub(super) async fn opened(
        &self,
        state: &ApiState,
        written: Written<LoggedIn>,
    ) -> Result<(Settled, HeaderMap, Json<Value>), Problem> {
        let settled = Settled::of(state, self.endpoint, &written).await;
        let session = written.value;
        let row = self.account(state, session.user_id).await?;
        // Without the names of its subjects it is still the account.
        let names = users::subject_names(state, &row.profile.subjects).await.unwrap_or_default();
        let user = views::user_self(&row, &names);
        // Whoever came in from here is no stranger to the account, by whatever name.
        state.limits().know_login(&session.user_id.to_string(), &self.address.0).await;
        let (headers, body) = self.session_body(state, &session, &user);
        Ok((settled, headers, body))
    }

    async fn account(&self, state: &ApiState, user_id: UserId) -> Result<UserRow, Problem> {
        let commands = state.commands();
        let version = commands.account_version(user_id).await?;
        let row = shown(state.read_models().users().get(user_id).await);
        if let Some(row) = row.filter(|row| row.version >= version) {
            return Ok(row);
        }
        let events = commands.account_events(user_id).await?;
        UserRow::of(events).ok_or_else(|| Problem::new(&problems::INTERNAL))
    }

    /// The session object; in browser mode its refresh token goes into a cookie instead.
    fn session_body(
        &self,
        state: &ApiState,
        session: &LoggedIn,
        user: &Value,
    ) -> (HeaderMap, Json<Value>) {
        let (mut body, mut headers) = (views::session(session, user), HeaderMap::new());
        if self.mode.cookie {
            let left = session.refresh_expires_at - state.commands().now();
            let cookie = AuthMode::keep(&session.refresh_token, left.num_seconds());
            headers.extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
            if let Some(session) = body["session"].as_object_mut() {
                session.remove("refreshToken");
            }
        }
        (headers, Json(body))
    }
}

/// Something was sent, or looks as if it was.
pub(super) fn must_verify(verification: &Verification) -> (StatusCode, Json<Value>) {
    (StatusCode::ACCEPTED, Json(views::verification(verification)))
}
