//! Answers to what never became a request: a status line, an error in Iceberg's form, the end of the connection.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::api::refusal::Refusal;

/// Most that is read of what a refused client still sends.
const UNREAD_BYTES_MAX: usize = 1 << 20;

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

/// Reads what the client still sends, until it has closed its side: closing with bytes unread would make the system
/// throw away what the client has not read yet.
pub(super) async fn linger<S: AsyncReadExt + Unpin>(mut stream: S, patience: Duration) {
    let rest = async {
        let mut unread = [0; 4096];
        let mut total = 0;
        while let Ok(count @ 1..) = stream.read(&mut unread).await {
            total += count;
            if total > UNREAD_BYTES_MAX {
                break;
            }
        }
    };
    // However that ends, the connection is closed now.
    drop(tokio::time::timeout(patience, rest).await);
}
