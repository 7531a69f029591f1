//! Paths to handlers.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use tower_http::catch_panic::CatchPanicLayer;

use super::body::BodyLimits;
use super::error::ApiError;
use super::pages::{self, Pages};
use super::{PREFIX, collection, detect, face, feature, head, person, request_log, search, system};
use crate::engine::{Code, Engine, Error};
use crate::{license, shown};

/// What every handler can reach.
#[derive(Clone)]
pub struct AppState {
    pub engine: Arc<Engine>,
    pub body: BodyLimits,
    pub pages: Arc<Pages>,
}

/// The whole API.
pub fn router(state: AppState) -> Router {
    /// The document says GET and its examples POST: every endpoint takes both. HEAD, which axum would
    /// answer by GET, must not change anything.
    macro_rules! both {
        ($handler:path) => {
            get($handler).post($handler).head(method_not_allowed) as MethodRouter<AppState>
        };
    }
    let features = Router::new()
        .route("/face/feature", both!(feature::extract))
        .route("/face/search/feature", both!(feature::search))
        .route_layer(middleware::from_fn_with_state(
            state.clone(),
            feature::if_exchanged,
        ));
    let licensed = Router::new()
        .route("/create/collection", both!(collection::create))
        .route("/clear/collection", both!(collection::clear))
        .route("/delete/collection", both!(collection::delete))
        .route("/collection/status", both!(collection::status))
        .route("/face/insert", both!(face::insert))
        .route("/face/update", both!(face::update))
        .route("/delete/id", both!(face::delete_id))
        .route("/delete/face", both!(face::delete_face))
        .route("/person/list", both!(person::list))
        .route("/person/get", both!(person::get))
        .route("/person/rename", both!(person::rename))
        .route("/face/detect", both!(detect::detect))
        .route("/face/search", both!(search::search))
        .route("/face/compare", both!(search::compare))
        .merge(features)
        .route_layer(middleware::from_fn_with_state(
            state.clone(),
            require_license,
        ));
    let api = Router::new()
        .route("/version", both!(system::version))
        .route("/license", both!(system::license))
        .merge(licensed);
    Router::new()
        .nest(PREFIX, api)
        // Where monitoring looks for it. Without a license too: it is then that somebody looks.
        .route(
            "/metrics",
            get(system::metrics).head(method_not_allowed) as MethodRouter<AppState>,
        )
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(state.clone(), pages::admit))
        .layer(middleware::from_fn(head::check))
        .layer(middleware::from_fn(request_log::log))
        .with_state(state)
}

async fn require_license(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let license = state.engine.license().verdict();
    if license.state != license::State::Authorized {
        let error = Error::new(Code::Unlicensed).with(license.detail.clone());
        return ApiError::from(error).into_response();
    }
    next.run(request).await
}

/// Characters of what a client made up that it gets back.
const MAX_ECHO: usize = 200;

async fn not_found(request: Request) -> ApiError {
    ApiError::http(
        StatusCode::NOT_FOUND,
        format!(
            "{} is no endpoint; all of them are below {PREFIX}",
            shown::line(request.uri().path(), MAX_ECHO)
        ),
    )
}

pub(super) async fn method_not_allowed(request: Request) -> Response {
    let error = ApiError::http(
        StatusCode::METHOD_NOT_ALLOWED,
        format!(
            "{} is not allowed, use POST or GET",
            shown::line(request.method().as_str(), MAX_ECHO)
        ),
    );
    ([(header::ALLOW, "GET, POST")], error).into_response()
}

/// The panic itself is in the log.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    ApiError::http(
        StatusCode::INTERNAL_SERVER_ERROR,
        "a fault of the daemon; its log says more under this request's id",
    )
    .into_response()
}
