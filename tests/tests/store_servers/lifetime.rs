//! End of a server.

use std::net::TcpStream;
use std::path::PathBuf;

use tests::process::run;
use tests::stores::azurite::Azurite;
use tests::stores::gcs_emulator::GcsEmulator;
use tests::stores::rados_gateway::RadosGateway;

/// Returns the host and port of a URL.
fn address(endpoint: &str) -> String {
    endpoint.split('/').nth(2).unwrap().to_owned()
}

#[test]
fn a_dropped_server_leaves_nothing() {
    run(async {
        let azurite = Azurite::start().await.unwrap();
        let folder: PathBuf = azurite.certificate().parent().unwrap().to_owned();
        let at = address(azurite.endpoint());
        assert!(folder.is_dir() && TcpStream::connect(&at).is_ok());
        drop(azurite);
        assert!(!folder.exists(), "{} is still there", folder.display());
        assert!(TcpStream::connect(&at).is_err(), "something still listens on {at}");
    });
}

#[test]
fn servers_of_one_kind_run_beside_each_other() {
    run(async {
        let (one, other) = futures::future::join(GcsEmulator::start(), GcsEmulator::start()).await;
        let (one, other) = (one.unwrap(), other.unwrap());
        one.create_bucket("bucket").await.unwrap();
        other.create_bucket("bucket").await.unwrap();
        let (one, other) = futures::future::join(RadosGateway::start(), RadosGateway::shared()).await;
        assert_ne!(one.unwrap().endpoint(), other.unwrap().endpoint());
    });
}
