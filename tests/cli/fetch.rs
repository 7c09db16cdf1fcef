//! Fetching parameters. That right ones arrive is shown in the node's own tests, where digests can be chosen; here are the
//! networks' digests, and no file that has them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use crate::support::{Sandbox, json};

/// The verifying key of window proofs of 2 KiB sectors, which has 3076 bytes.
const VK: &str = "v28-proof-of-spacetime-fallback-merkletree-poseidon_hasher-8-0-0-\
                  0170db1f394b35d995252228ee359194b13199d259380541dc529fb0099096b0.vk";
const WINDOW: [&str; 7] = ["params", "fetch", "--sector-size", "2KiB", "--circuit", "window", "--verifying-keys"];

fn fetch<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&WINDOW[..], more].concat()
}

#[test]
fn files_that_nobody_published_are_not_kept() {
    let sandbox = Sandbox::new();
    sandbox.write(&format!("mirror/{VK}"), &[7; 3076]);
    let error = sandbox.run(&fetch(&["--source", "mirror"])).fails(2);
    assert!(error.contains("published digest, 0e0958009936b9d5e515ec97b8cb792d"), "{error}");
    assert_eq!(sandbox.names("parameters"), [""; 0]);
    // One that is there stays, whatever it is.
    sandbox.write(&format!("parameters/{VK}"), b"mine");
    let error = sandbox.run(&fetch(&["--source", "mirror"])).fails(2);
    assert!(error.contains("not what filecoin published") && error.contains("--force"), "{error}");
    sandbox.run(&fetch(&["--source", "mirror", "--force"])).fails(2);
    assert_eq!(sandbox.read(&format!("parameters/{VK}")), b"mine");
    assert_eq!(sandbox.names("parameters"), [VK]);
}

#[test]
fn places_without_the_file_are_named() {
    let sandbox = Sandbox::new();
    sandbox.write(&format!("short/{VK}"), b"short");
    let run = sandbox.run(&fetch(&["--source", "nowhere", "--source", "short", "--json"]));
    assert_eq!(run.status, 2);
    let error = json(&run.stdout)["error"]["message"].as_str().unwrap().to_owned();
    assert!(error.contains("nowhere: it has no such file"), "{error}");
    assert!(error.contains("short: the file has 5 bytes there, expected 3076"), "{error}");
    assert_eq!(sandbox.names("parameters"), [""; 0]);
}

/// A gateway is asked for the CID, first of all the one that the environment names.
#[test]
fn gateways_are_asked_for_the_cid() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = format!("http://{}/ipfs", listener.local_addr().unwrap());
    let asked = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut request = [0; 4096];
        let len = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        String::from_utf8(request[..len].to_vec()).unwrap()
    });
    let sandbox = Sandbox::new();
    let error = sandbox.run(&fetch(&["--source", &gateway])).fails(2);
    assert!(error.contains("no such file"), "{error}");
    let request = asked.join().unwrap();
    assert!(request.starts_with("GET /ipfs/QmcS5JZs8X3TdtkEBpHAdUYjdNDqcL7fWQFtQz69mpnu2X HTTP/1.1\r\n"), "{request}");
    assert!(request.to_ascii_lowercase().contains("\r\nrange: bytes=0-3075\r\n"), "{request}");
    let error = sandbox.run_with(&WINDOW, &[("IPFS_GATEWAY", "ftp://host")], b"").fails(2);
    assert!(error.contains("IPFS_GATEWAY"), "{error}");
}

#[test]
fn what_was_never_published_is_said_so() {
    let sandbox = Sandbox::new();
    let table: [(&[&str], &str); 4] = [
        (&["--sector-size", "4KiB"], "nobody published"),
        (&["--sector-size", "4GiB", "--profile", "filecash", "--circuit", "update"], "no sector update"),
        (&["--sector-size", "3KiB"], "3072 bytes"),
        (&["--srs", "--profile", "filecash"], "no aggregation"),
    ];
    for (flags, reason) in table {
        let error = sandbox.run(&[&["params", "fetch", "--source", "nowhere"], flags].concat()).fails(2);
        assert!(error.contains(reason), "{error}");
    }
}
