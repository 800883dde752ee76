//! Commands that reach a catalog through a proxy, or must not reach an address.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};

use tests::process::{binary, clean};

fn firn(arguments: &[&str]) -> Command {
    let mut command = clean(binary().to_str().unwrap());
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    command.args(arguments);
    command
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn commands_use_the_proxy_of_the_environment() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0_u8; 4096];
        let length = stream.read(&mut request).unwrap();
        let body = "{\"jobs\":[]}";
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let mut jobs = firn(&["jobs", "--uri", "http://catalog.example:8181"]);
    let output = jobs.env("HTTP_PROXY", &proxy).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "no jobs\n");
    let request = answering.join().unwrap();
    assert!(
        request.starts_with("GET http://catalog.example:8181/governance/v1/maintenance/jobs"),
        "{request}"
    );

    let mut jobs = firn(&["jobs", "--uri", "http://catalog.example:8181"]);
    let output = jobs.env("ALL_PROXY", "socks5://127.0.0.1:1080").output().unwrap();
    assert!(refused(&output).contains("socks5://127.0.0.1:1080"), "{output:?}");
}

#[test]
fn no_command_asks_a_metadata_service() {
    for uri in ["http://169.254.169.254/latest", "http://metadata.google.internal", "http://[fd00:ec2::254]"]
    {
        for arguments in [
            &["jobs", "--uri", uri][..],
            &["explain", "--table", "main.a.t", "--uri", uri],
            &["inspect", "table", "main.a.t", "--uri", uri],
            &["maintain", "--uri", uri],
            &["maintain", "--once", "--table", "main.a.t", "--uri", uri],
        ] {
            let output = firn(arguments).output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && error.contains("metadata service"), "{arguments:?}: {error}");
        }
    }
}

#[test]
fn every_command_takes_a_file_with_certificate_authorities() {
    for arguments in [&["jobs"][..], &["explain"], &["inspect", "table"], &["maintain"]] {
        let output = firn(&[arguments, &["--help"]].concat()).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        for option in ["--ca-file", "FIRN_CA_FILE", "HTTPS_PROXY", "--token"] {
            assert!(help.contains(option), "{arguments:?}: no `{option}` in {help}");
        }
    }
    let mut jobs = firn(&["jobs", "--uri", "https://127.0.0.1:1"]);
    let output = jobs.env("FIRN_CA_FILE", "absent/ca.pem").output().unwrap();
    assert!(refused(&output).contains("absent/ca.pem"), "{output:?}");
}
