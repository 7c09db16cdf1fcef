use std::error::Error as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use super::*;

/// Nobody is that late, however busy the machine is.
const PATIENT: Patience = Patience { connect: Duration::from_secs(60), silence: Duration::from_secs(60) };
const IMPATIENT: Patience = Patience { silence: Duration::from_millis(300), ..PATIENT };

/// A server that answers each request by what `answer` makes of it, and closes; its address, and the requests' paths and tokens.
fn server(
    answer: impl Fn(&str, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> (String, Receiver<(String, Option<String>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::channel();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer, sender) = (stream.unwrap(), answer.clone(), sender.clone());
            // Who hangs up has had enough.
            thread::spawn(move || drop(serve(&mut stream, &*answer, &sender)));
        }
    });
    (address, requests)
}

fn serve(
    stream: &mut TcpStream,
    answer: &impl Fn(&str, &mut TcpStream) -> io::Result<()>,
    requests: &Sender<(String, Option<String>)>,
) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut token = None;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("authorization")
        {
            token = Some(value.to_owned());
        }
    }
    let _ = requests.send((path.clone(), token));
    answer(&path, stream)
}

fn redirect(stream: &mut TcpStream, location: &str) -> io::Result<()> {
    write!(stream, "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

fn whole(stream: &mut TcpStream, body: &[u8]) -> io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
    stream.write_all(body)
}

fn silence(duration: Duration) -> io::Result<()> {
    thread::sleep(duration);
    Ok(())
}

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * i % 251) as u8).collect()
}

fn read(url: &str, len: u64, patience: Patience) -> Result<Vec<u8>, String> {
    let (cancel, mut bytes) = (Cancel::default(), Vec::new());
    let mut piece = Fetcher::new(Some("secret"), patience).open(url, len, &cancel).unwrap();
    match piece.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }),
    }
}

#[test]
fn pieces_come_as_far_as_they_are_wanted() {
    let body = data(3 * BLOCK as usize + 5);
    let (address, _) = server({
        let body = body.clone();
        move |path, stream| match path {
            "/whole" => whole(stream, &body),
            "/until-the-end" => {
                write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
                stream.write_all(&body)
            }
            _ => {
                write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                for chunk in body.chunks(100_000) {
                    write!(stream, "{:x}\r\n", chunk.len())?;
                    stream.write_all(chunk)?;
                    stream.write_all(b"\r\n")?;
                }
                stream.write_all(b"0\r\n\r\n")
            }
        }
    });
    for path in ["whole", "until-the-end", "chunked"] {
        for len in [0, 1, BLOCK as usize, body.len() - 1, body.len()] {
            let read = read(&format!("{address}/{path}"), len as u64, PATIENT).unwrap();
            assert!(read == body[..len], "{path} {len}");
        }
        let error = read(&format!("{address}/{path}"), body.len() as u64 + 1, PATIENT).unwrap_err();
        assert!(error.ends_with(&format!("/{path} ended after 786437 of 786438 bytes")), "{error}");
    }
}

#[test]
fn only_those_that_an_address_leads_to_are_shown_the_token() {
    let (other, others) = server(|_, stream| whole(stream, b"there"));
    let (address, requests) = server(move |path, stream| match path {
        "/pieces/1" => redirect(stream, "/found/1?sign=ed"),
        "/found/1?sign=ed" => redirect(stream, "../here"),
        "/here" => whole(stream, b"here"),
        "/pieces/2" => redirect(stream, &format!("{other}/2")),
        "/pieces/3" => redirect(stream, "/4"),
        _ => redirect(stream, &format!("{other}/5")),
    });
    let token = || Some("Bearer secret".to_owned());
    assert_eq!(read(&format!("{address}/pieces/1#part"), 4, PATIENT).unwrap(), b"here");
    let asked: Vec<_> = requests.try_iter().collect();
    let expected = [("/pieces/1", None), ("/found/1?sign=ed", token()), ("/here", token())];
    assert_eq!(asked, expected.map(|(path, token)| (path.to_owned(), token)));
    // Whoever the first one names, and nobody whom that one names.
    for (piece, expected) in [(2, ("/2", token())), (3, ("/5", None))] {
        assert_eq!(read(&format!("{address}/pieces/{piece}"), 5, PATIENT).unwrap(), b"there");
        assert_eq!(others.recv().unwrap(), (expected.0.to_owned(), expected.1));
    }
    let asked: Vec<_> = requests.try_iter().collect();
    assert_eq!(asked.last(), Some(&("/4".to_owned(), token())));
    let cancel = Cancel::default();
    let mut piece = Fetcher::new(None, PATIENT).open(&format!("{address}/pieces/2"), 5, &cancel).unwrap();
    piece.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(others.recv().unwrap(), ("/2".to_owned(), None));
}

#[test]
fn failures_say_what_is_wrong_and_no_secrets() {
    let (address, requests) = server(|path, stream| match path {
        "/gone?key=secret" => write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        "/nowhere" => write!(stream, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"),
        "/round" => redirect(stream, "round"),
        "/ftp" => redirect(stream, "ftp://host/piece?key=secret"),
        "/cut" => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?;
            stream.write_all(&[7; 300])
        }
        "/nonsense" => write!(stream, "nonsense\r\n\r\n"),
        "/mute" => silence(Duration::from_secs(2)),
        _ => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?;
            stream.write_all(&[7; 300])?;
            silence(Duration::from_secs(2))
        }
    });
    let table = [
        ("gone?key=secret", PATIENT, "/gone answers with status 404"),
        ("nowhere", PATIENT, "/nowhere redirects without saying where to"),
        ("round", PATIENT, "/round redirects for the 11th time"),
        ("ftp", PATIENT, "\"ftp://host/piece\" is no http or https address"),
        ("cut", PATIENT, "/cut broke off after 300 of 1000 bytes"),
        ("nonsense", PATIENT, "/nonsense is not reached"),
        ("mute", IMPATIENT, "/mute was silent for 0.3 seconds"),
        ("stall", IMPATIENT, "/stall was silent for 0.3 seconds"),
    ];
    for (path, patience, reason) in table {
        let error = read(&format!("{address}/{path}"), 1000, patience).unwrap_err();
        assert!(error.contains(reason) && !error.contains("secret"), "{path}: {error}");
    }
    assert_eq!(requests.try_iter().filter(|(path, _)| path == "/round").count(), 11);
    for text in ["", "piece", "/piece", "ftp://host/piece", "http://", "http:///piece", "http://a b/", "file:///etc"] {
        let error = read(text, 1, PATIENT).unwrap_err();
        assert!(error.ends_with("is no http or https address"), "{text}: {error}");
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = read(&format!("http://user:secret@127.0.0.1:{port}/x"), 1, PATIENT).unwrap_err();
    assert!(error.starts_with(&format!("http://127.0.0.1:{port}/x is not reached: ")), "{error}");
}

#[test]
fn who_waits_for_a_silent_server_can_be_stopped() {
    let (address, requests) = server(|_, _| silence(Duration::from_secs(30)));
    let cancel = Cancel::default();
    let mut piece = Fetcher::new(None, PATIENT).open(&address, 1, &cancel).unwrap();
    let begun = Instant::now();
    thread::scope(|scope| {
        let cancel = &cancel;
        scope.spawn(move || {
            requests.recv().unwrap();
            cancel.cancel();
        });
        let error = piece.read(&mut [0]).unwrap_err();
        assert!(error.get_ref().unwrap().is::<Cancelled>(), "{error}");
    });
    assert!(begun.elapsed() < Duration::from_secs(20));
}

/// RFC 3986, 5.4, and what servers send.
#[test]
fn locations_are_joined_to_the_address_that_they_came_from() {
    let base: Uri = "http://a:1/b/c/d;p?q".parse().unwrap();
    let table = [
        ("g", "http://a:1/b/c/g"),
        ("./g", "http://a:1/b/c/g"),
        ("g/", "http://a:1/b/c/g/"),
        ("/g", "http://a:1/g"),
        ("//g", "http://g/"),
        ("?y", "http://a:1/b/c/d;p?y"),
        ("g?y=../z:1", "http://a:1/b/c/g?y=../z:1"),
        ("#s", "http://a:1/b/c/d;p"),
        ("", "http://a:1/b/c/d;p"),
        (".", "http://a:1/b/c/"),
        ("..", "http://a:1/b/"),
        ("../..", "http://a:1/"),
        ("../../../g", "http://a:1/g"),
        ("/./g/../h", "http://a:1/h"),
        ("https://b/c?d#e", "https://b/c?d"),
        ("a/b:c", "http://a:1/b/c/a/b:c"),
    ];
    for (location, expected) in table {
        assert_eq!(joined(&base, location).unwrap(), expected, "{location}");
    }
    let bare: Uri = "https://a".parse().unwrap();
    assert_eq!(joined(&bare, "g").unwrap(), "https://a/g");
    for location in ["ftp://a/", "mailto:a", "//", "/a b"] {
        assert!(joined(&base, location).is_err(), "{location}");
    }
}
