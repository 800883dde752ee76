//! Tests of the client against servers that answer as no catalog should, on sockets of this machine.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper_util::client::proxy::matcher::Matcher;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

const TABLE: &str = "{\"metadata\":{}}";

/// Starts a server that passes each connection to `serve`, and sends what was read from it to the receiver.
fn serve(answer: impl Fn(&mut TcpStream) -> String + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (seen, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let request = answer(&mut stream.unwrap());
            if seen.send(request).is_err() {
                return;
            }
        }
    });
    (address, requests)
}

/// Starts a server that answers every request with these bytes. Returns its address, and what it was sent.
pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> (String, Receiver<String>) {
    let answer = answer.into();
    serve(move |stream| {
        let request = read_request(stream);
        stream.write_all(&answer).unwrap();
        request
    })
}

/// Reads a request with its body.
fn read_request(stream: &mut impl Read) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    loop {
        let is_complete =
            String::from_utf8_lossy(&request).split_once("\r\n\r\n").is_some_and(|(head, body)| {
                let head = head.to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                body.len() >= length.map_or(0, |length| length.parse().unwrap())
            });
        if is_complete || stream.read(&mut byte).unwrap() == 0 {
            return String::from_utf8(request).unwrap();
        }
        request.push(byte[0]);
    }
}

/// Returns a response whose connection is not used again.
pub(crate) fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    response("200 OK", "content-encoding: gzip\r\n", &encoder.finish().unwrap())
}

fn limits() -> RequestLimits {
    RequestLimits {
        silence: Duration::from_secs(20),
        total: Duration::from_secs(20),
        ..RequestLimits::default()
    }
}

fn client_of(address: &CatalogAddress, limits: RequestLimits, environment: &Matcher) -> Client {
    let transport = Transport::new(address, limits, environment).unwrap();
    Client { transport, prefix: String::new(), plans: false }
}

fn client(address: &str, limits: RequestLimits) -> Client {
    client_of(&CatalogAddress::new(format!("http://{address}")), limits, &Matcher::builder().build())
}

fn name() -> TableName {
    TableName::parse("main.a.t").unwrap()
}

async fn commit(client: &Client) -> Result<Committed, ClientError> {
    client.commit(&name(), "{}".to_owned(), Some(&Fence::new(uuid::Uuid::nil(), 7))).await
}

#[tokio::test]
async fn a_response_beyond_the_limit_is_an_error_also_if_it_was_compressed() {
    let body = format!("{{\"metadata\":{{\"a\":\"{}\"}}}}", "x".repeat(100_000));
    for (answer, response_bytes, expected) in [
        (response("200 OK", "", body.as_bytes()), body.len(), true),
        (response("200 OK", "", body.as_bytes()), body.len() - 1, false),
        (gzipped(body.as_bytes()), body.len(), true),
        (gzipped(body.as_bytes()), body.len() - 1, false),
    ] {
        let (address, requests) = answering(answer);
        let client = client(&address, RequestLimits { response_bytes, ..limits() });
        match client.load(&name()).await {
            Ok(loaded) => assert!(expected && loaded.metadata.get().len() > 100_000),
            Err(ClientError::Unexpected(error)) => {
                assert!(!expected && error.contains("exceeds the limit"), "{error}");
            }
            Err(error) => panic!("{error}"),
        }
        assert!(requests.recv().unwrap().to_ascii_lowercase().contains("accept-encoding: gzip"));
        // The commit may have been made.
        assert_eq!(expected, matches!(commit(&client).await, Ok(Committed::Done(_))));
    }
}

#[tokio::test]
async fn a_long_refusal_is_still_a_refusal() {
    let body = vec![b' '; 2 << 20];
    let (address, _requests) = answering(response("404 Not Found", "", &body));
    let error = client(&address, limits()).load(&name()).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 404, .. }), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_leaves_the_outcome_of_a_commit_unknown() {
    let (elsewhere, other) = answering(response("200 OK", "", TABLE.as_bytes()));
    let location = format!("location: http://{elsewhere}/v1/namespaces/a/tables/t\r\n");
    let (address, _requests) = answering(response("307 Temporary Redirect", &location, b""));
    let client = client(&address, limits());
    let error = client.load(&name()).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 307, .. }), "{error}");
    assert!(error.to_string().contains(&elsewhere), "{error}");
    assert!(matches!(commit(&client).await, Ok(Committed::Unknown(_))));
    assert!(other.try_recv().is_err());
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let (address, _requests) = serve(|stream| {
        let request = read_request(stream);
        std::thread::sleep(Duration::from_secs(60));
        request
    });
    let silence = Duration::from_millis(300);
    let error = client(&address, RequestLimits { silence, ..limits() }).load(&name()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("`http://{address}` did not answer within 0.3 s"));
    let (address, _requests) = serve(|stream| {
        let request = read_request(stream);
        let mut result = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
        while result.is_ok() {
            std::thread::sleep(Duration::from_millis(20));
            result = stream.write_all(b" ");
        }
        request
    });
    let total = Duration::from_millis(500);
    let client = client(&address, RequestLimits { total, ..limits() });
    let error = client.load(&name()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("`http://{address}` did not answer within 0.5 s"));
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_has_an_unknown_outcome_and_is_sent_once() {
    let (address, requests) = serve(read_request);
    let outcome = commit(&client(&address, limits())).await;
    assert!(matches!(outcome, Ok(Committed::Unknown(ClientError::Unreachable(_)))), "{outcome:?}");
    let request = requests.recv().unwrap().to_ascii_lowercase();
    assert!(request.starts_with("post /v1/namespaces/a/tables/t http/1.1\r\n"), "{request}");
    assert!(request.contains("firn-job: 00000000-0000-0000-0000-000000000000/7\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{}"), "{request}");
    assert!(requests.recv_timeout(Duration::from_millis(200)).is_err());
    let cut = answering("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 100\r\n\r\n{\"metadata\"");
    let outcome = commit(&client(&cut.0, limits())).await;
    assert!(matches!(outcome, Ok(Committed::Unknown(ClientError::Unreachable(_)))), "{outcome:?}");
    for (status, expected) in [("409 Conflict", "Lost"), ("503 Unavailable", "Unknown")] {
        let (address, _requests) = answering(response(status, "", b""));
        let outcome = commit(&client(&address, limits())).await.unwrap();
        assert!(format!("{outcome:?}").starts_with(expected), "{status}: {outcome:?}");
    }
    let (address, _requests) = answering(response("403 Forbidden", "", b""));
    assert!(matches!(
        commit(&client(&address, limits())).await,
        Err(ClientError::Refused { status: 403, .. })
    ));
}

/// Certificates of an authority of its own, in a folder, and the configuration of a server with them.
fn private_authority() -> (tempfile::TempDir, Arc<ServerConfig>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let hosts = vec!["127.0.0.1".to_owned(), "catalog.example".to_owned()];
    let certificate = CertificateParams::new(hosts).unwrap().signed_by(&key, &issuer).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key);
    (folder, Arc::new(config.unwrap()))
}

/// Answers one request over TLS. Returns an empty text if the client did not trust the certificate.
fn answer_encrypted(config: &Arc<ServerConfig>, stream: &mut TcpStream) -> String {
    let mut connection = ServerConnection::new(config.clone()).unwrap();
    if connection.complete_io(stream).is_err() {
        return String::new();
    }
    let mut stream = StreamOwned::new(connection, stream);
    let request = read_request(&mut stream);
    stream.write_all(&response("200 OK", "", TABLE.as_bytes())).unwrap();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    request
}

#[tokio::test]
async fn a_private_authority_is_trusted_if_its_file_is_named() {
    let (folder, config) = private_authority();
    let (at, _requests) = serve(move |stream| answer_encrypted(&config, stream));
    let named = |file: Option<&str>| CatalogAddress {
        ca_file: file.map(|file| folder.path().join(file)),
        token: Some("secret".to_owned()),
        ..CatalogAddress::new(format!("https://{at}"))
    };
    let environment = Matcher::builder().build();
    client_of(&named(Some("ca.pem")), limits(), &environment).load(&name()).await.unwrap();
    // A machine without any authority refuses to begin.
    if let Ok(transport) = Transport::new(&named(None), limits(), &environment) {
        let client = Client { transport, prefix: String::new(), plans: false };
        let error = client.load(&name()).await.unwrap_err();
        assert!(
            matches!(&error, ClientError::Unreachable(error) if error.contains("certificate")),
            "{error}"
        );
    }
    std::fs::write(folder.path().join("empty.pem"), "nothing\n").unwrap();
    std::fs::write(
        folder.path().join("damaged.pem"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    for file in ["empty.pem", "damaged.pem", "absent.pem"] {
        let error = Transport::new(&named(Some(file)), limits(), &environment).err().unwrap();
        assert!(matches!(&error, ClientError::Name(error) if error.contains(file)), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_of_the_environment_carries_plain_and_encrypted_requests() {
    let (proxy, requests) = answering(response("200 OK", "", TABLE.as_bytes()));
    let environment = Matcher::builder().all(format!("http://user:password@{proxy}")).build();
    let address = CatalogAddress::new("http://catalog.example:8181");
    client_of(&address, limits(), &environment).load(&name()).await.unwrap();
    let request = requests.recv().unwrap();
    assert!(
        request.starts_with("GET http://catalog.example:8181/v1/namespaces/a/tables/t HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.to_ascii_lowercase().contains("proxy-authorization: basic"), "{request}");

    let (folder, config) = private_authority();
    let (proxy, requests) = serve(move |stream| {
        let request = read_request(stream);
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        request + &answer_encrypted(&config, stream)
    });
    let environment = Matcher::builder().https(format!("http://{proxy}")).build();
    let ca_file = Some(folder.path().join("ca.pem"));
    let address = CatalogAddress { ca_file, ..CatalogAddress::new("https://catalog.example") };
    client_of(&address, limits(), &environment).load(&name()).await.unwrap();
    let request = requests.recv().unwrap();
    assert!(request.starts_with("CONNECT catalog.example:443 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("GET /v1/namespaces/a/tables/t HTTP/1.1\r\n"), "{request}");
}

#[tokio::test]
async fn the_name_of_a_metadata_service_is_refused_before_a_request() {
    let environment = Matcher::builder().build();
    for uri in ["http://169.254.169.254/latest/meta-data", "http://metadata.google.internal"] {
        let error = Transport::new(&CatalogAddress::new(uri), limits(), &environment).err().unwrap();
        assert!(matches!(error, ClientError::Name(_)), "{error}");
    }
}
