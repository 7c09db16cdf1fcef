//! `filecash serve gateway`: what is kept is fetched by plain HTTP, as CARs and as a piece, and comes back the same.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{FILECASH, Run, Sandbox, data, json};

const PATIENCE: Duration = Duration::from_secs(60);

struct Server {
    child: Child,
    log: PathBuf,
    address: String,
}

impl Server {
    fn start(sandbox: &Sandbox, flags: &[&str]) -> Self {
        let arguments = [&["serve", "gateway", "--blocks", "b", "--json"], flags].concat();
        let log = sandbox.path("server.log");
        let mut command = sandbox.command(Path::new(FILECASH), &arguments);
        command.stdin(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let mut server = Self { child: command.spawn().unwrap(), log, address: String::new() };
        let began = Instant::now();
        loop {
            let log = server.log();
            if let Some(rest) = log.split_once("Listening on http://").filter(|(_, rest)| rest.contains('\n')) {
                server.address = rest.1.lines().next().unwrap().to_owned();
                return server;
            }
            assert!(began.elapsed() < PATIENCE, "{log}");
            sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Status, head and body of an answer that is whole.
    fn get(&self, target: &str, headers: &str) -> (u16, String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase();
        let body = &answer[end + 4..];
        let body = if head.contains("transfer-encoding: chunked") { joined(body) } else { body.to_vec() };
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head, body)
    }

    /// Ends it as Ctrl-C does.
    fn stop(self) -> Run {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let log = self.log.clone();
        let run = Run::new(self.child.wait_with_output().unwrap());
        Run { stderr: fs::read_to_string(log).unwrap(), ..run }
    }
}

/// A body that came in chunks, to its end.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|two| two == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).unwrap(), 16).unwrap();
        body.extend(&chunks[end + 2..][..length]);
        chunks = &chunks[end + 2 + length + 2..];
        if length == 0 {
            return body;
        }
    }
}

#[test]
fn what_is_kept_is_fetched_by_http() {
    let sandbox = Sandbox::new();
    sandbox.write("d/a.bin", &data(3_000_000));
    sandbox.write("d/sub/hi.txt", b"hi\n");
    let run = |arguments: &[&str]| json(&sandbox.run(&[arguments, &["--json", "--quiet"]].concat()).succeeds());
    let added = run(&["add", "d", "--blocks", "b"]);
    let cid = added["cid"].as_str().unwrap();
    run(&["car", "export", cid, "--output", "d.car", "--blocks", "b"]);
    let piece = run(&["piece", "commp", "d.car"]);
    let piece = piece["cid"].as_str().unwrap();
    let car = sandbox.read("d.car");
    sandbox.write(&format!("pieces/{piece}.car"), &car);

    let server = Server::start(&sandbox, &["--listen", "127.0.0.1:0", "--pieces", "pieces"]);
    // The whole folder, in the order in which it is exported.
    let (status, head, body) = server.get(&format!("/ipfs/{cid}?format=car"), "");
    assert_eq!(status, 200, "{head}");
    assert!(body == car);
    // A file of it and its way, into other blocks.
    let (_, head, body) = server.get(&format!("/ipfs/{cid}/a.bin"), "Accept: application/vnd.ipld.car\r\n");
    assert!(head.contains("content-location: "), "{head}");
    sandbox.write("a.car", &body);
    run(&["car", "import", "a.car", "--blocks", "other"]);
    run(&["get", &format!("{cid}/a.bin"), "--output", "a.bin", "--blocks", "other"]);
    assert!(sandbox.read("a.bin") == data(3_000_000));
    sandbox.run(&["cat", &format!("{cid}/sub/hi.txt"), "--blocks", "other"]).fails(2);
    // The piece, and a part of it.
    let (status, head, body) = server.get(&format!("/piece/{piece}"), "");
    assert!(status == 200 && head.contains("content-type: application/vnd.ipld.car;version=1"), "{head}");
    assert!(body == car);
    let (status, _, body) = server.get(&format!("/piece/{piece}"), "Range: bytes=1000-1999\r\n");
    assert!(status == 206 && body == car[1000..2000]);
    assert_eq!(server.get("/ipfs/bafkqaaa?format=raw", "").0, 200);
    assert_eq!(server.get(&format!("/ipfs/{cid}"), "").0, 400);

    // Nobody else can have the folder of blocks open meanwhile, and is told so.
    let message = sandbox.run(&["cat", &format!("{cid}/sub/hi.txt"), "--blocks", "b"]).fails(2);
    assert!(message.contains("is in use"), "{message}");
    let stopped = server.stop();
    assert!(!stopped.stderr.contains("anybody"), "{}", stopped.stderr);
    let counted = json(&stopped.succeeds());
    assert_eq!(counted["requests"][0]["kind"], "block");
    assert!(counted["bytes"].as_u64().unwrap() > 9_000_000, "{counted}");
    assert_eq!(sandbox.run(&["cat", &format!("{cid}/sub/hi.txt"), "--blocks", "b"]).succeeds(), "hi\n");
}

#[test]
fn servers_that_cannot_begin_say_why() {
    let sandbox = Sandbox::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flags, message) in [
        (&["--listen", &address][..], "cannot listen on"),
        (&["--pieces", "nowhere"], "the pieces in nowhere"),
        (&["--listen", "6400"], "--listen"),
        (&["--max-requests", "0"], "--max-requests"),
    ] {
        let failed = sandbox.run(&[&["serve", "gateway", "--blocks", "b"], flags].concat()).fails(2);
        assert!(failed.contains(message), "{failed}");
    }
    // Open to all is allowed, and said.
    let server = Server::start(&sandbox, &["--listen", "0.0.0.0:0"]);
    let stopped = server.stop();
    assert!(stopped.stderr.contains("anybody who reaches this port can read"), "{}", stopped.stderr);
    stopped.succeeds();
}
