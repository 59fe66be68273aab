//! What happens before any handler: who asks, and whether the read models are fresh enough.
use axum::{
    Router,
    extract::{Request, State},
    http::{Extensions, Method},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, MethodRouter},
};

use commands::Limit;

use crate::{
    ApiState,
    extract::{Access, authenticate, claimed},
    frame::RequestId,
    limits::{self, ClientAddress, Counted, Counts},
    min_position,
    openapi::Doc,
    problem::Problem,
    problems,
};

/// One route: a line of the route table.
pub struct Endpoint {
    /// The method; `GET` answers `HEAD` too.
    pub method: Method,
    /// The path with its parameters, e.g. `/api/rooms/{roomId}`.
    pub path: &'static str,
    /// Who may call it at all. What a person may do to which room is in `access`.
    pub access: Access,
    /// The read models the answer comes from; `X-Min-Position` waits for these.
    pub reads: &'static [&'static str],
    /// The read models that show what was written; the answer waits for these.
    pub writes: &'static [&'static str],
    /// What the description of the API says about it.
    pub(crate) doc: Option<fn() -> Doc>,
    /// Which rate limit a request counts for.
    pub(crate) counts: Counts,
    handler: fn(MethodFilter) -> MethodRouter<ApiState>,
}

impl Endpoint {
    pub(crate) const fn new(
        method: Method,
        path: &'static str,
        access: Access,
        handler: fn(MethodFilter) -> MethodRouter<ApiState>,
    ) -> Self {
        Self {
            method,
            path,
            access,
            reads: &[],
            writes: &[],
            doc: None,
            counts: Counts::Usual,
            handler,
        }
    }

    pub(crate) const fn reads(mut self, models: &'static [&'static str]) -> Self {
        self.reads = models;
        self
    }

    pub(crate) const fn writes(mut self, models: &'static [&'static str]) -> Self {
        self.writes = models;
        self
    }

    /// Describes the route; see `routes/docs`.
    pub(crate) const fn doc(mut self, doc: fn() -> Doc) -> Self {
        self.doc = Some(doc);
        self
    }

    /// Counts requests for this limit instead of the usual one.
    pub(crate) const fn counts_as(mut self, limit: Limit) -> Self {
        self.counts = Counts::As(limit);
        self
    }

    /// Counts nothing.
    pub(crate) const fn uncounted(mut self) -> Self {
        self.counts = Counts::Nothing;
        self
    }

    /// The endpoint that the request is for.
    ///
    /// # Errors
    /// `internal` where a handler is mounted past the route table.
    pub(crate) fn of(extensions: &Extensions) -> Result<&'static Self, Problem> {
        extensions.get::<&'static Self>().copied().ok_or_else(|| Problem::new(&problems::INTERNAL))
    }

    /// Adds the route, guarded, to a router.
    pub(crate) fn mount(
        &'static self,
        router: Router<ApiState>,
        state: &ApiState,
    ) -> Router<ApiState> {
        let Ok(filter) = MethodFilter::try_from(self.method.clone()) else {
            unreachable!("the table has ordinary methods only")
        };
        let guard = middleware::from_fn_with_state((state.clone(), self), enter);
        // On the route only: the answers to other methods of this path stay open.
        router.route(self.path, (self.handler)(filter).route_layer(guard))
    }
}

async fn enter(
    State((state, endpoint)): State<(ApiState, &'static Endpoint)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let request_id = request.extensions().get::<RequestId>().map_or("", RequestId::as_str);
    let address = ClientAddress::of(&state, request.extensions(), request.headers());
    let caller = authenticate(&state, endpoint.access, request.headers(), request_id).await;
    // Who is refused counts as well: guessing tokens is no way around the limits.
    let person = match &caller {
        Ok(Some(caller)) if endpoint.access == Access::SignedIn => Some(caller.user_id),
        // Open to everyone, or to who has logged out, but whose token counts is counted as that person.
        Ok(_) => claimed(&state, request.headers()).await,
        Err(_) => None,
    };
    let mut standings = limits::count(&state, endpoint, person, &address).await?;
    let counted = Counted::default();
    request.extensions_mut().insert(counted.clone());
    let answer = async {
        if let Some(caller) = caller? {
            request.extensions_mut().insert(caller);
        }
        request.extensions_mut().insert(endpoint);
        request.extensions_mut().insert(address);
        min_position::wait(&state, endpoint.reads, request.headers()).await?;
        Ok::<_, Problem>(next.run(request).await)
    };
    let mut response = answer.await.into_response();
    standings.extend(counted.take());
    limits::tell(response.headers_mut(), &standings);
    Ok(response)
}
