//! A single client connection: detection of its protocol, its requests, and its end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures::future::{Either, Ready, ready};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::{TowerToHyperService, TowerToHyperServiceFuture};
use pin_project_lite::pin_project;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::api::refusal::{Refusal, count_refused};

use super::activity::{ConnectionActivity, Deadlines, InFlight, Overdue};
use super::counted::Counted;
use super::refusal;
use super::wire::Wire;

/// Connection preface with which every HTTP/2 client starts (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// First and longest interval between two looks for the rest of a preface; the interval doubles after each
/// look.
const PREFACE_LOOK: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(640));
/// Maximum time that the client may take to read the last response after the connection has ended.
const LINGER: Duration = Duration::from_secs(1);
/// Maximum number of concurrent requests (streams) of one HTTP/2 connection.
const STREAMS_MAX: u32 = 100;
/// Maximum size of the headers of an HTTP/2 request, in bytes. Above it, hyper refuses the request without an
/// explanation; the API has a lower limit and explains.
const HEADERS_BYTES_MAX: u32 = 256 << 10;
/// Maximum size of the head of an HTTP/1 request, in bytes on the wire.
const HEAD_BYTES_MAX: usize = 128 << 10;
/// Interval of pings to a silent HTTP/2 client.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Accepted connection that is counted against the limit of open connections.
pub(super) struct Connection {
    pub(super) api: Api,
    pub(super) deadlines: Deadlines,
    pub(super) stop: CancellationToken,
    /// Permits for requests that are not the only ones in flight on their connection.
    pub(super) further: Arc<Semaphore>,
    pub(super) _place: Counted,
}

/// API whose requests are recorded in the [`ConnectionActivity`] of the connection.
#[derive(Clone)]
struct Watched {
    inner: TowerToHyperService<Api>,
    activity: Arc<ConnectionActivity>,
    further: Arc<Semaphore>,
}

pin_project! {
    /// Request in flight; it counts in the activity until it is answered or dropped.
    struct Answering {
        #[pin]
        answer: TowerToHyperServiceFuture<Api, Request<Incoming>>,
        _running: InFlight,
        _place: Option<OwnedSemaphorePermit>,
    }
}

impl Future for Answering {
    type Output = Result<Response<Body>, std::convert::Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().answer.poll(context)
    }
}

enum Protocol {
    Http1,
    Http2,
}

impl Service<Request<Incoming>> for Watched {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Either<Ready<Result<Self::Response, Self::Error>>, Answering>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let place = self.activity.is_running().then(|| Arc::clone(&self.further).try_acquire_owned());
        let Ok(place) = place.transpose() else {
            count_refused(Refusal::Requests);
            return Either::Left(ready(Ok(Refusal::Requests.response())));
        };
        let running = self.activity.begin();
        Either::Right(Answering { answer: self.inner.call(request), _running: running, _place: place })
    }
}

impl Connection {
    /// Serves requests until the client closes the connection, a deadline passes, or the server stops.
    pub(super) async fn serve(self, stream: TcpStream) {
        let first = tokio::select! {
            first = tokio::time::timeout(self.deadlines.head, protocol(&stream)) => first,
            () = self.stop.cancelled() => return,
        };
        match first {
            Ok(Ok(Some(Protocol::Http1))) => self.serve_http1(stream).await,
            Ok(Ok(Some(Protocol::Http2))) => self.serve_http2(stream).await,
            // The client closed the connection, or sent nothing in time.
            Ok(Ok(None) | Err(_)) | Err(_) => {}
        }
    }

    fn watched(
        &self,
        stream: TcpStream,
        is_http1: bool,
    ) -> (Arc<ConnectionActivity>, TokioIo<Wire>, Watched) {
        let activity = Arc::new(ConnectionActivity::default());
        let wire = Wire::new(stream, Arc::clone(&activity), is_http1);
        let service = Watched {
            inner: TowerToHyperService::new(self.api.clone()),
            activity: Arc::clone(&activity),
            further: Arc::clone(&self.further),
        };
        (activity, TokioIo::new(wire), service)
    }

    async fn serve_http1(self, stream: TcpStream) {
        let (activity, io, service) = self.watched(stream, true);
        let mut builder = http1::Builder::new();
        // `ConnectionActivity` enforces the deadlines.
        builder.header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
        let mut connection = builder.serve_connection(io, service);
        let mut watch = std::pin::pin!(activity.watch(self.deadlines, true));
        let mut is_stopping = false;
        let overdue = loop {
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    break None;
                }
                overdue = &mut watch => break Some(overdue),
                () = self.stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        };
        let parts = connection.into_parts();
        let stream = parts.io.into_inner().into_stream();
        match overdue {
            None => refusal::linger(stream, LINGER).await,
            Some(Overdue::Stalled) => abort(&stream),
            Some(Overdue::Head | Overdue::Idle) if parts.read_buf.is_empty() => {}
            // A part of a request head was received.
            Some(Overdue::Head | Overdue::Idle) => {
                count_refused(Refusal::HeadTimeout);
                refusal::answer(stream, Refusal::HeadTimeout, LINGER).await;
            }
        }
    }

    async fn serve_http2(self, stream: TcpStream) {
        let (activity, io, service) = self.watched(stream, false);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(PING_INTERVAL))
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEADERS_BYTES_MAX);
        let mut connection = std::pin::pin!(builder.serve_connection(io, service));
        let mut watch = std::pin::pin!(activity.watch(self.deadlines, false));
        let mut is_stopping = false;
        loop {
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    return;
                }
                overdue = &mut watch => {
                    if overdue != Overdue::Stalled {
                        // A graceful shutdown informs the client which of its requests were processed.
                        connection.as_mut().graceful_shutdown();
                        drop(tokio::time::timeout(LINGER, &mut connection).await);
                    }
                    return;
                }
                () = self.stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// Detects the protocol from the first bytes, without consuming them; returns `None` if the client closes the
/// connection. Fails if reading from the socket fails.
async fn protocol(stream: &TcpStream) -> io::Result<Option<Protocol>> {
    let mut first = [0; PREFACE.len()];
    let (mut pause, longest) = PREFACE_LOOK;
    loop {
        let count = stream.peek(&mut first).await?;
        match first.get(..count) {
            None | Some([]) => return Ok(None),
            Some(first) if first == PREFACE => return Ok(Some(Protocol::Http2)),
            Some(first) if PREFACE.starts_with(first) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
            Some(_) => return Ok(Some(Protocol::Http1)),
        }
    }
}

/// Closes a connection without waiting until the client has read the data already sent.
fn abort(stream: &TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "cannot abort a connection");
    }
}
