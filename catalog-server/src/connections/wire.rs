//! Socket adapter between TCP and hyper: it counts the bytes transferred, and replaces the refusals that
//! hyper writes on its own, which have no body, by such that explain the error.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::api::refusal::{REQUEST_ID, Refusal, count_refused};

use super::activity::ConnectionActivity;
use super::refusal;

/// Maximum length of a response head that hyper writes on its own, in bytes.
const BARE_BYTES_MAX: usize = 512;

/// Socket whose traffic is recorded in a [`ConnectionActivity`].
pub(super) struct Wire {
    stream: TcpStream,
    activity: Arc<ConnectionActivity>,
    /// `true` for HTTP/1, where hyper writes its refusals as plain text that can be recognised.
    is_http1: bool,
    /// Rest of the response that is sent in place of hyper's refusal.
    instead: Bytes,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, activity: Arc<ConnectionActivity>, is_http1: bool) -> Self {
        Self { stream, activity, is_http1, instead: Bytes::new() }
    }

    /// Returns the underlying socket.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    fn counted(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => self.activity.wrote(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.blocked(),
        }
        written
    }

    fn poll_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.instead.has_remaining() {
            let written = Pin::new(&mut self.stream).poll_write(context, &self.instead);
            let bytes = ready!(self.counted(written))?;
            if bytes == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.instead.advance(bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.activity.read(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(context))?;
        if self.is_http1
            && let Some(refusal) = bare_refusal(bytes)
        {
            count_refused(refusal);
            self.instead = refusal::response(refusal);
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.counted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(context))?;
        let first = buffers.iter().find(|buffer| !buffer.is_empty());
        if let Some(first) = first.filter(|first| self.is_http1 && bare_refusal(first).is_some()) {
            return self.poll_write(context, first);
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.counted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Returns the refusal that these bytes express, if they are a response that hyper made on its own: a
/// response head without a request id, which the responses of all handlers have, and without a body. No body
/// ends with an empty line, so a body cannot be mistaken for a head.
fn bare_refusal(bytes: &[u8]) -> Option<Refusal> {
    if bytes.len() > BARE_BYTES_MAX || !bytes.starts_with(b"HTTP/1.") || !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?;
    if head.contains(REQUEST_ID) {
        return None;
    }
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Refusal::of_status(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_library_says_on_its_own_is_replaced() {
        let bare = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(bare_refusal(bare), Some(Refusal::HeadTooLarge));
        for other in [
            &b"HTTP/1.1 400 Bad Request\r\nx-request-id: 1\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 1\r\n\r\n{",
            b"",
        ] {
            assert_eq!(bare_refusal(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
