//! Answers to what never became a request: a status line, an error in Iceberg's form, the end of the connection.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::refusal::Refusal;

/// Most that is read of what a refused client still sends: twice the longest body, if nobody allows longer ones.
const UNREAD_BYTES_MAX: usize = 64 << 20;
/// How long that may take.
const UNREAD_TIME_MAX: Duration = Duration::from_secs(10);
/// Most that is read of what such a client has sent already, if nobody waits for it.
const READ_AT_ONCE_MAX: usize = 64 << 10;

/// The whole answer of HTTP/1.
pub(super) fn response(refusal: Refusal) -> Bytes {
    let body = refusal.body();
    let (status, reason) = refusal.status_line();
    Bytes::from(format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    ))
}

/// Answers, and closes the connection once the client has read that or `patience` is over.
pub(super) async fn answer<S>(mut stream: S, refusal: Refusal, patience: Duration)
where
    S: AsyncReadExt + AsyncWriteExt + Unpin,
{
    let told = async {
        stream.write_all(&response(refusal)).await?;
        stream.shutdown().await
    };
    // Otherwise the client has gone, or reads nothing.
    if let Ok(Ok(())) = tokio::time::timeout(patience, told).await {
        linger(stream, patience).await;
    }
}

/// Answers and closes the connection without waiting for anything. A client that sends something later may lose the answer, if its
/// system throws away what has arrived once a connection is reset; Linux does not.
pub(super) fn answer_at_once(stream: TcpStream, refusal: Refusal) {
    let told = stream.into_std().and_then(|mut stream| {
        // A new connection has room for it.
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
    if let Err(error) = told {
        tracing::debug!(%error, "cannot tell a client why it is refused");
    }
}

/// Reads what the client still sends, until it has closed its side: closing with bytes unread would make the system
/// throw away what the client has not read yet. Most clients send all of a request before they read the answer.
///
/// Ends when nothing came for `patience`, too.
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
    // However that ends, the connection is closed now.
    drop(tokio::time::timeout(UNREAD_TIME_MAX, rest).await);
}
