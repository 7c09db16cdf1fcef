//! What is no call, and who may not call.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use filecash_rpc::auth::Level;
use filecash_rpc::limits::REQUEST_BYTES;
use filecash_rpc::node::Access;
use filecash_rpc::server::Limits;
use serde_json::{Value, json};

use crate::support::{FILECASH, filecash, post, start};

#[test]
fn faults_have_the_codes_and_statuses_of_lotus() {
    let served = filecash();
    for (text, status, code) in [
        (r#"{"id":1,"method":"Filecoin.Nothing","params":[]}"#, 500, -32601),
        (r#"{"id":1,"method":"Filecoin.ChainNotify","params":[]}"#, 500, -32601),
        (r#"{"id":1,"method":"ChainHead","params":[]}"#, 500, -32601),
        (r#"{"id":1,"method":"Filecoin.ChainHead","params":[1]}"#, 500, -32602),
        (r#"{"id":1,"method":"Filecoin.ChainHead","params":{"a":1}}"#, 500, -32700),
        (r#"{"id":1,"method":"Filecoin.ChainGetBlock","params":["x"]}"#, 500, -32700),
        (r#"{"id":1,"method":"Filecoin.ChainGetBlock","params":[{"/":"x"}]}"#, 500, -32700),
        (r#"{"id":1,"method":"Filecoin.ChainGetTipSetByHeight","params":[1.5,null]}"#, 500, -32700),
        (r#"{"id":1,"method":"Filecoin.StateGetActor","params":["f1x",null]}"#, 500, -32700),
        (r#"{"id":1,"method":"Filecoin.NetPeers"}"#, 200, 1),
        ("{", 500, -32700),
        ("", 400, -32600),
        ("[]", 400, -32600),
        ("{}", 400, -32600),
        ("null", 400, -32600),
        ("\u{0}\u{1}", 500, -32700),
    ] {
        let (found, answer) = post(&served.url(), &[], text.as_bytes());
        let value: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((found, value["error"]["code"].as_i64()), (status, Some(code)), "{text}: {answer}");
    }
    let counts = served.node.counts().all();
    assert!(counts.contains(&("ChainHead", -32602, 1)) && counts.contains(&("NetPeers", 1, 1)), "{counts:?}");
    assert!(
        counts.iter().any(|(method, code, count)| (*method, *code, *count) == ("unknown", -32601, 2)),
        "{counts:?}"
    );
}

#[test]
fn batches_and_notifications_are_answered_as_they_should() {
    let served = filecash();
    let batch =
        br#"[{"id":"a","method":"Filecoin.Version"},{"method":"Filecoin.Version"},7,{"id":[1],"method":"Filecoin.X"}]"#;
    let (status, text) = post(&served.url(), &[], batch);
    let answers: Vec<Value> = serde_json::from_str(&text).unwrap();
    let ids: Vec<_> = answers.iter().map(|answer| answer["id"].clone()).collect();
    assert_eq!((status, ids), (200, vec![json!("a"), json!(null), json!([1])]));
    assert_eq!((&answers[1]["error"]["code"], &answers[2]["error"]["code"]), (&json!(-32600), &json!(-32601)));
    assert_eq!(post(&served.url(), &[], br#"{"method":"Filecoin.Version"}"#), (200, String::new()));
    let many = format!("[{}]", vec![r#"{"id":1,"method":"Filecoin.Version"}"#; 65].join(","));
    assert_eq!(post(&served.url(), &[], many.as_bytes()).0, 400);
    let long = post(&served.url(), &[], &vec![b' '; REQUEST_BYTES + 1]);
    assert!(long.0 == 413 && long.1.contains("1 MiB"), "{long:?}");
    let full = format!("{{\"id\":1,\"method\":\"Filecoin.Version\"{}}}", " ".repeat(REQUEST_BYTES - 40));
    assert_eq!(post(&served.url(), &[], full.as_bytes()).0, 200);
}

#[test]
fn who_may_not_is_refused() {
    let served = filecash();
    let call = |token: &str, method: &str, params: Value| {
        served.call_with(&[("authorization", &format!("Bearer {token}"))], method, params)
    };
    let denied = (1, "missing permission to invoke 'Shutdown' (need 'admin')".to_owned());
    assert_eq!(served.call("Shutdown", json!([])).unwrap_err(), denied);
    let [reader, admin] = [&[Level::Read][..], &Level::ALL].map(|levels| served.token(levels));
    assert_eq!(call(&reader, "Shutdown", json!([])).unwrap_err(), denied);
    assert_eq!(call(&reader, "AuthNew", json!([["admin"]])).unwrap_err().0, 1);
    assert_eq!(served.get("AuthVerify", json!([reader])), json!(["read"]));
    for other in ["x.y.z", ""] {
        assert!(served.fails("AuthVerify", json!([other])).contains("not of this node"));
    }
    let made = call(&admin, "AuthNew", json!([["read", "write"]])).unwrap();
    let made = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, made.as_str().unwrap()).unwrap();
    let made = String::from_utf8(made).unwrap();
    assert_eq!(served.get("AuthVerify", json!([made])), json!(["read", "write"]));
    let version = br#"{"id":1,"method":"Filecoin.Version"}"#;
    assert_eq!(post(&served.url(), &[("authorization", "Bearer x")], version).0, 401);
    assert_eq!(post(&format!("{}?token={reader}", served.url()), &[], version).0, 200);
    assert_eq!(post(&format!("{}?token={reader}x", served.url()), &[], version).0, 401);
    // A page that is open in a browser here.
    assert_eq!(post(&served.url(), &[("origin", "https://evil.example")], version).0, 403);

    let access = Access { require_token: true, origins: vec!["https://wallet.example".to_owned()] };
    let closed = start("filecash-genesis.car", FILECASH, access, |_| None);
    assert_eq!(post(&closed.url(), &[], version).0, 401);
    let bearer = format!("Bearer {}", closed.token(&[Level::Read]));
    let headers = [("authorization", bearer.as_str()), ("origin", "https://wallet.example")];
    assert_eq!(post(&closed.url(), &headers, version).0, 200);
    call(&admin, "Shutdown", json!([])).unwrap();
    assert!(*served.stop.borrow());
}

/// Connections that say nothing, or nonsense, do not keep others out, and are hung up on in the end.
#[test]
fn nonsense_on_a_connection_is_hung_up_on() {
    let served = filecash();
    for text in [
        "nonsense\r\n\r\n",
        "GET / HTTP/9\r\n\r\n",
        "POST /rpc/v0 HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        "\u{16}\u{3}\u{1}",
    ] {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    let mut long = TcpStream::connect(served.address).unwrap();
    let _ = long.write_all(format!("GET /rpc/v0 HTTP/1.1\r\nx: {}", "y".repeat(1 << 20)).as_bytes());
    let mut answer = Vec::new();
    let _ = long.read_to_end(&mut answer);
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    assert_eq!(agent.get(served.url()).call().unwrap().status(), 405);
    assert_eq!(agent.get(format!("http://{}/other", served.address)).call().unwrap().status(), 404);
    assert_eq!(served.get("Version", json!([]))["BlockDelay"], 30);
}

/// Who comes when all places are taken waits for one.
#[test]
fn connections_have_so_many_places() {
    let served = filecash();
    let listener = served.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let app = filecash_rpc::http::router(&served.node);
    let limits = Limits { connections: 2, ..Limits::default() };
    served.runtime.spawn(filecash_rpc::server::serve(listener, app, limits, served.stop.subscribe()));
    let silent: Vec<_> = (0..2).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut third = TcpStream::connect(address).unwrap();
    third.write_all(b"GET /rpc/v0 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(third.read(&mut [0; 16]).is_err());
    drop(silent);
    third.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = String::new();
    third.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}

/// Who asks and asks and takes no answer loses its place.
#[test]
fn answers_that_are_not_taken_end_a_connection() {
    let served = filecash();
    let listener = served.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let app = filecash_rpc::http::router(&served.node);
    let limits = Limits { connections: 1, write: Duration::from_millis(300) };
    served.runtime.spawn(filecash_rpc::server::serve(listener, app, limits, served.stop.subscribe()));
    let mut greedy = TcpStream::connect(address).unwrap();
    greedy.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    let call = r#"{"id":1,"method":"Filecoin.ChainHead","params":[]}"#;
    let call = format!("[{}]", vec![call; 64].join(","));
    let request = format!("POST /rpc/v0 HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{call}", call.len());
    // Until nothing more is taken, or it is hung up on.
    for _ in 0..10_000 {
        if greedy.write_all(request.as_bytes()).is_err() {
            break;
        }
    }
    let mut next = TcpStream::connect(address).unwrap();
    next.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    next.write_all(b"GET /rpc/v0 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    next.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}
