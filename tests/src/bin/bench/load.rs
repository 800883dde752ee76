//! Load over loopback: keep-alive HTTP/1.1 connections that send prepared requests as fast as answers come.
//!
//! A general client would cost as much as the server that is measured; this one knows just enough of HTTP to
//! find the end of an answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A keep-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects to a server on this machine.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 << 10) })
    }

    /// Sends a request and reads the answer; returns its status and the length of its body.
    pub async fn send(&mut self, request: &[u8]) -> anyhow::Result<(u16, usize)> {
        let (status, body, length) = self.begin(request).await?;
        let mut missing = (body + length).saturating_sub(self.buffer.len());
        // Large bodies are read over one another: nobody looks at them.
        while missing > 0 {
            self.buffer.clear();
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server closed the connection");
            missing = missing.saturating_sub(read);
        }
        Ok((status, length))
    }

    /// Sends a request and reads the answer; returns its status and its body.
    pub async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        let (status, body, length) = self.begin(request).await?;
        self.buffer.reserve((body + length).saturating_sub(self.buffer.len()));
        while self.buffer.len() < body + length {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server closed the connection");
        }
        Ok((status, &self.buffer[body..]))
    }

    /// Sends a request and reads the answer's head, and what comes with it. Returns the status, where in the buffer the
    /// body begins, and its length.
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
            None => bail!("an answer without a length: {head}"),
        };
        Ok((status, body, length))
    }
}

/// `GET` of a path.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n").into_bytes()
}

/// `POST` of a JSON body to a path.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Requests per second that `connections` connections get through.
///
/// `next` makes the request of a connection's turn, from the numbers of both.
pub async fn rate(
    address: SocketAddr,
    connections: usize,
    duration: Duration,
    next: impl Fn(usize, usize) -> Vec<u8> + Send + Sync + 'static,
) -> anyhow::Result<f64> {
    let next = Arc::new(next);
    let over = Arc::new(AtomicBool::new(false));
    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(Connection::open(address).await?);
    }
    let start = Instant::now();
    let mut workers = Vec::new();
    for (number, mut connection) in opened.into_iter().enumerate() {
        let (next, over) = (next.clone(), over.clone());
        workers.push(tokio::spawn(async move {
            let mut turn = 0;
            while !over.load(Ordering::Relaxed) {
                let (status, _) = connection.send(&next(number, turn)).await?;
                ensure!((200..300).contains(&status), "status {status}");
                turn += 1;
            }
            Ok(turn)
        }));
    }
    tokio::time::sleep(duration).await;
    over.store(true, Ordering::Relaxed);
    let mut done = 0;
    for worker in workers {
        done += worker.await??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a measurement")]
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

/// The address in `http://address`.
pub fn address(root: &str) -> anyhow::Result<SocketAddr> {
    Ok(root.trim_start_matches("http://").parse()?)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
