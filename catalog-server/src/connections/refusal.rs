//! Responses to connections that never became a request: a status line, an error body in the form of the
//! Iceberg REST protocol, and the end of the connection.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::refusal::Refusal;

/// Maximum number of bytes that are read of the data that a refused client still sends: twice the default
/// maximum of a request body.
const UNREAD_BYTES_MAX: usize = 64 << 20;
/// Maximum time that reading them may take.
const UNREAD_TIME_MAX: Duration = Duration::from_secs(10);
/// Maximum number of bytes that are read of the data that a refused client has already sent, if nothing is
/// awaited.
const READ_AT_ONCE_MAX: usize = 64 << 10;

/// Returns the complete HTTP/1 response.
pub(super) fn response(refusal: Refusal) -> Bytes {
    let body = refusal.body();
    let (status, reason) = refusal.status_line();
    Bytes::from(format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    ))
}

/// Sends a refusal, and closes the connection once the client has read it or `patience` has passed.
pub(super) async fn answer<S>(mut stream: S, refusal: Refusal, patience: Duration)
where
    S: AsyncReadExt + AsyncWriteExt + Unpin,
{
    let sent = async {
        stream.write_all(&response(refusal)).await?;
        stream.shutdown().await
    };
    // In the other case the client has disconnected or does not read.
    if let Ok(Ok(())) = tokio::time::timeout(patience, sent).await {
        linger(stream, patience).await;
    }
}

/// Sends a refusal and closes the connection without waiting for anything.
///
/// A client that sends more data afterwards may lose the response, if its operating system discards received
/// data when a connection is reset. Linux does not.
pub(super) fn answer_at_once(stream: TcpStream, refusal: Refusal) {
    let sent = stream.into_std().and_then(|mut stream| {
        // The send buffer of a new connection has room for it.
        stream.write_all(&response(refusal))?;
        stream.shutdown(Shutdown::Write)?;
        let (mut unread, mut total) = ([0; 4096], 0);
        while let Ok(count @ 1..) = stream.read(&mut unread) {
            total += count;
            if total > READ_AT_ONCE_MAX {
                break;
            }
        }
        Ok(())
    });
    if let Err(error) = sent {
        tracing::debug!(%error, "cannot send the reason of a refusal to the client");
    }
}

/// Reads and discards the data that the client still sends, until the client closes its side, sends nothing
/// for `patience`, or exceeds the limits of size and time.
///
/// Closing a socket with unread data would reset the connection, so that the client could lose a response
/// that it has not read yet. Most clients send the complete request before they read the response.
pub(super) async fn linger<S: AsyncReadExt + Unpin>(mut stream: S, patience: Duration) {
    let rest = async {
        let (mut unread, mut total) = (vec![0; 16 << 10], 0);
        while let Ok(Ok(count @ 1..)) = tokio::time::timeout(patience, stream.read(&mut unread)).await {
            total += count;
            if total > UNREAD_BYTES_MAX {
                break;
            }
        }
    };
    // The connection is closed in any case.
    drop(tokio::time::timeout(UNREAD_TIME_MAX, rest).await);
}
