//! Load generator over the loopback interface: persistent HTTP/1.1 connections that send prepared
//! requests as fast as responses arrive.
//!
//! A general HTTP client would cost as much as the measured server; this one implements only the part of HTTP
//! that is needed to find the end of a response.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Persistent HTTP connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects to a server.
    ///
    /// # Errors
    ///
    /// Fails if the connection is refused.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 << 10) })
    }

    /// Sends a request and reads the response; returns its status and the length of its body.
    ///
    /// # Errors
    ///
    /// Fails if the connection breaks, or the response has no valid status or length.
    pub async fn send(&mut self, request: &[u8]) -> anyhow::Result<(u16, usize)> {
        let (status, body, length) = self.begin(request).await?;
        let mut missing = (body + length).saturating_sub(self.buffer.len());
        // The rest of a large body overwrites the buffer, since its content is not needed.
        while missing > 0 {
            self.buffer.clear();
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server closed the connection");
            missing = missing.saturating_sub(read);
        }
        Ok((status, length))
    }

    /// Sends a request and reads the response; returns its status and its body.
    ///
    /// # Errors
    ///
    /// Fails in the same situations as [`Connection::send`].
    pub async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        let (status, body, length) = self.begin(request).await?;
        self.buffer.reserve((body + length).saturating_sub(self.buffer.len()));
        while self.buffer.len() < body + length {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server closed the connection");
        }
        Ok((status, &self.buffer[body..]))
    }

    /// Sends a request, and reads the head of the response and the part of the body that arrives with it.
    /// Returns the status, the position of the body in the buffer, and its length.
    async fn begin(&mut self, request: &[u8]) -> anyhow::Result<(u16, usize, usize)> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let body = loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server closed the connection");
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = std::str::from_utf8(&self.buffer[..body])?.to_ascii_lowercase();
        let status = head.get(9..12).context("a status line")?.parse()?;
        let length = match head.split("content-length: ").nth(1) {
            Some(rest) => rest.split("\r\n").next().unwrap_or_default().parse()?,
            None if status == 204 => 0,
            None => bail!("a response without a length: {head}"),
        };
        Ok((status, body, length))
    }
}

/// Returns a `GET` request for a path.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n").into_bytes()
}

/// Returns a `POST` request with a JSON body for a path.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Measures the number of requests per second that `connections` connections achieve together.
///
/// `next` returns the request to send, for the number of a connection and the number of its previous
/// requests.
///
/// # Errors
///
/// Fails if a connection breaks, or a response has another status than success (2xx).
pub async fn rate(
    address: SocketAddr,
    connections: usize,
    duration: Duration,
    next: impl Fn(usize, usize) -> Vec<u8> + Send + Sync + 'static,
) -> anyhow::Result<f64> {
    let next = Arc::new(next);
    let stop = Arc::new(AtomicBool::new(false));
    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(Connection::open(address).await?);
    }
    let start = Instant::now();
    let mut workers = Vec::new();
    for (number, mut connection) in opened.into_iter().enumerate() {
        let (next, stop) = (next.clone(), stop.clone());
        workers.push(tokio::spawn(async move {
            let mut turn = 0;
            while !stop.load(Ordering::Relaxed) {
                let (status, _) = connection.send(&next(number, turn)).await?;
                ensure!((200..300).contains(&status), "status {status}");
                turn += 1;
            }
            Ok(turn)
        }));
    }
    tokio::time::sleep(duration).await;
    stop.store(true, Ordering::Relaxed);
    let mut done = 0;
    for worker in workers {
        done += worker.await??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a measurement")]
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

/// Parses the address in a URL `http://address`.
///
/// # Errors
///
/// Fails if it is not an IP address with a port.
pub fn address(root: &str) -> anyhow::Result<SocketAddr> {
    Ok(root.trim_start_matches("http://").parse()?)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
