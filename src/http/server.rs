//! Connections: limits against slow and greedy clients, and a shutdown that drains.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_io_timeout::TimeoutStream;
use tower_service::Service;

use super::body::BodyLimits;
use super::connections::{Admitted, Connections, Refusal};
use super::error::ApiError;
use super::pages::Pages;
use super::path;
use super::router::{AppState, router};
use super::wire::{self, Wire};
use crate::engine::{Code, Engine, Error};
use crate::fairness::{self, Client};

/// Limits of the server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Bytes of one request's body.
    pub max_body_bytes: usize,
    /// Bytes of the first parts of the bodies of all requests together, and of the rest of them.
    pub body_memory: (usize, usize),
    pub max_connections: usize,
    /// Connections from one address.
    pub max_connections_per_ip: usize,
    /// How long a connection may take to send a request's head, or wait between requests.
    pub header_timeout: Duration,
    /// How long a body may pause.
    pub body_idle_timeout: Duration,
    /// How long a client may take to read a part of its answer.
    pub write_timeout: Duration,
    /// How long requests may go on after the daemon was told to stop.
    pub drain_timeout: Duration,
    /// Web pages that may use the API, and names of this device.
    pub pages: Pages,
}

/// Address of the client, on every request.
#[derive(Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Refusals at the door are sent to this many clients at a time; more are hung up on.
const MAX_REFUSALS: usize = 128;
const MAX_REFUSALS_OF_CLIENT: usize = 64;
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves the API on `listener` until `shutdown`, then lets running requests end.
///
/// # Errors
/// None after the start: a connection that fails concerns its client alone.
pub async fn run(
    listener: TcpListener,
    engine: Arc<Engine>,
    options: ServerOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let app = router(AppState {
        engine,
        body: BodyLimits::new(
            options.max_body_bytes,
            options.body_memory.0,
            options.body_memory.1,
            options.body_idle_timeout,
        ),
        pages: Arc::new(options.pages.clone()),
    });
    // A connection holds its receiver until it has ended.
    let (stop, _) = watch::channel(());
    let connections = Connections::default();
    let refusals = Connections::default();
    let mut refused = Quieted::default();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    // Out of file descriptors, most likely: wait for connections to close.
                    tracing::warn!("cannot accept a connection: {e}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let client = Client::of(peer.ip());
        match connections.admit(
            client,
            options.max_connections,
            options.max_connections_per_ip,
        ) {
            Ok(admitted) => serve(
                stream,
                peer,
                app.clone(),
                &options,
                stop.subscribe(),
                admitted,
            ),
            Err(refusal) => {
                if let Some(unsaid) = refused.say() {
                    tracing::warn!(%peer, unsaid, "connection refused: {refusal:?}");
                }
                if let Ok(admitted) = refusals.admit(client, MAX_REFUSALS, MAX_REFUSALS_OF_CLIENT) {
                    refuse(stream, refusal, admitted);
                }
            }
        }
    }
    drop(listener);
    tracing::info!("stopping: {} connections are open", connections.count());
    // Without receivers nobody is left to be told.
    let _ = stop.send(());
    tokio::select! {
        () = stop.closed() => {}
        () = tokio::time::sleep(options.drain_timeout) => {
            tracing::warn!("requests still running after {:?} are cut off", options.drain_timeout);
        }
    }
    Ok(())
}

fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    options: &ServerOptions,
    mut stop: watch::Receiver<()>,
    admitted: Admitted,
) {
    // Answers are small and complete: waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let admitted = Arc::new(admitted);
    let counted = admitted.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(Peer(peer));
        request.extensions_mut().insert(counted.clone());
        if let Some(uri) = path::tidied(request.uri()) {
            *request.uri_mut() = uri;
        }
        let (app, counted) = (app.clone(), counted.clone());
        async move {
            let answer = fairness::asks(Client::of(peer.ip()), app.clone().call(request));
            counted.serve(answer).await
        }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(options.write_timeout));
    // A client that closes is gone: what it asked for and was not yet done is given up, and its
    // place in the queue is free. (`half_close` would keep working for it.)
    let connection = wire::http1(options.header_timeout)
        .serve_connection(TokioIo::new(Wire::new(Box::pin(stream))), service);
    tokio::spawn(async move {
        let stopped = async {
            let _ = stop.changed().await;
        };
        let mut ended = tokio::select! {
            ended = wire::serve(connection, stopped) => ended,
            () = admitted.has_to_leave() => {
                tracing::debug!(%peer, "connection closed: it only waited, and another one came");
                return;
            }
        };
        match (ended.explain().await, &ended.result) {
            (Some((status, err_code, id)), Err(e)) => {
                let status = status.as_u16();
                tracing::info!(%peer, id, status, err_code, "no valid request: {e}");
            }
            (_, Err(e)) => tracing::debug!(%peer, "connection ended: {e}"),
            (_, Ok(())) => {}
        }
        drop((ended, stop, admitted));
    });
}

/// Keeps a stranger from filling the disk with log lines: one a second, with a count of the rest.
#[derive(Default)]
struct Quieted {
    last: Option<Instant>,
    unsaid: u64,
}

impl Quieted {
    /// How many were not said since the last, if this one may be.
    fn say(&mut self) -> Option<u64> {
        let now = Instant::now();
        if self
            .last
            .is_some_and(|last| now - last < Duration::from_secs(1))
        {
            self.unsaid += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

impl Refusal {
    fn response(self) -> Response {
        match self {
            Refusal::AllConnections => ApiError::from(
                Error::new(Code::Busy).with("the daemon serves as many connections as it may"),
            ),
            Refusal::ConnectionsOfOneAddress => ApiError::http(
                StatusCode::TOO_MANY_REQUESTS,
                "this address has as many connections open as it may, use them again",
            ),
        }
        .into_response()
    }
}

/// Answers one request with the refusal and closes.
fn refuse(stream: TcpStream, refusal: Refusal, admitted: Admitted) {
    tokio::spawn(async move {
        let service = service_fn(move |_: hyper::Request<Incoming>| async move {
            Ok::<_, std::convert::Infallible>(refusal.response())
        });
        let connection = wire::http1(REFUSAL_TIMEOUT)
            .keep_alive(false)
            .serve_connection(TokioIo::new(Wire::new(stream)), service);
        let farewell = async {
            let mut ended = wire::serve(connection, std::future::pending()).await;
            if ended.explain().await.is_none() && ended.result.is_ok() {
                // The refusal does not look at the body: it may still be coming.
                ended.linger().await;
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(2 * REFUSAL_TIMEOUT, farewell) => {}
            () = admitted.has_to_leave() => {}
        }
    });
}
