//! Fetching from local servers that behave and that do not.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use filecash_engine::config::Config;
use filecash_engine::job::{Cancel, Progress};

use super::*;

const PIECE: usize = 1000;
const CID: &str = "QmWceMgnWYLopMuM4AoGMvGEau7tNe5UK83XFjH5V9B17h";

/// What a server does with a request for a part of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Right,
    Whole,
    Status(u16),
    /// Hangs up after some bytes.
    Cut(usize),
    /// Says no more after some bytes.
    Stall(usize),
    OtherRange,
    /// Another byte at this place of the file.
    Corrupt(usize),
}

/// A server on this machine, asked by its number of the request, from 0 on, how it behaves.
struct Server {
    address: String,
    requests: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    fn new(file: &[u8], manner: impl Fn(usize) -> Manner + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (requests, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, over, file, manner) = (requests.clone(), stopped.clone(), file.to_vec(), Arc::new(manner));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let (counted, file, manner) = (counted.clone(), file.clone(), manner.clone());
                thread::spawn(move || {
                    let mut stream = stream?;
                    while let Some((path, range)) = request(&mut stream)? {
                        let number = counted.fetch_add(1, Ordering::Relaxed);
                        let is_here = path == "/files/wanted.params" || path == format!("/ipfs/{CID}");
                        let manner = if is_here { manner(number) } else { Manner::Status(404) };
                        if !answer(&mut stream, &file, range, manner)? {
                            break;
                        }
                    }
                    io::Result::Ok(())
                });
            }
        });
        Self { address, requests, stopped }
    }

    fn always(file: &[u8], manner: Manner) -> Self {
        Self::new(file, move |_| manner)
    }

    fn mirror(&self) -> Source {
        format!("http://{}/files", self.address).parse().unwrap()
    }

    fn gateway(&self) -> Source {
        format!("http://{}/ipfs", self.address).parse().unwrap()
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(&self.address));
    }
}

/// The path of the next request, and the part that it asks for.
fn request(stream: &mut TcpStream) -> io::Result<Option<(String, Range<usize>)>> {
    let mut lines = BufReader::new(stream).lines();
    let Some(first) = lines.next().transpose()? else { return Ok(None) };
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut range = 0..usize::MAX;
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some((first, last)) = line.strip_prefix("range: bytes=").and_then(|range| range.split_once('-')) {
            range = first.parse().unwrap()..last.parse::<usize>().unwrap() + 1;
        }
    }
    Ok(Some((path, range)))
}

/// Whether the connection goes on.
fn answer(stream: &mut TcpStream, file: &[u8], range: Range<usize>, manner: Manner) -> io::Result<bool> {
    let mut file = file.to_vec();
    if let Manner::Corrupt(at) = manner {
        file[at] ^= 1;
    }
    let range = if manner == Manner::Whole { 0..file.len() } else { range.start..range.end.min(file.len()) };
    let status = match manner {
        Manner::Whole => 200,
        Manner::Status(status) => status,
        _ => 206,
    };
    if !(200..300).contains(&status) {
        write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(true);
    }
    write!(stream, "HTTP/1.1 {status} OK\r\nContent-Length: {}\r\n", range.len())?;
    if status == 206 {
        let first = range.start + usize::from(manner == Manner::OtherRange);
        write!(stream, "Content-Range: bytes {first}-{}/{}\r\n", range.end - 1, file.len())?;
    }
    stream.write_all(b"\r\n")?;
    match manner {
        Manner::Cut(after) if after < range.len() => {
            stream.write_all(&file[range.start..range.start + after])?;
            Ok(false)
        }
        Manner::Stall(after) if after < range.len() => {
            stream.write_all(&file[range.start..range.start + after])?;
            thread::sleep(Duration::from_secs(5));
            Ok(false)
        }
        _ => stream.write_all(&file[range]).map(|()| true),
    }
}

fn contents(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * i % 251) as u8 ^ (i >> 8) as u8).collect()
}

fn wanted(folder: &Path, file: &[u8]) -> Wanted {
    let bytes = Some(file.len() as u64);
    Wanted { path: folder.join("wanted.params"), digest: pieces::digest(file), cid: CID.to_owned(), bytes }
}

/// Nobody is late and nothing takes too long, however busy the machine is.
const OPTIONS: Options = Options {
    piece_bytes: PIECE as u64,
    connections: 2,
    piece_timeout: Duration::from_secs(60),
    late: Duration::from_secs(60),
};
/// For servers that stall.
const IMPATIENT: Options =
    Options { piece_timeout: Duration::from_millis(700), late: Duration::from_millis(200), ..OPTIONS };

/// Counts what is told, and cancels after so much.
struct Watch<'a> {
    told: AtomicUsize,
    cancel_after: usize,
    cancel: &'a Cancel,
}

impl Progress for Watch<'_> {
    fn begin(&self, _stage: &'static str, _unit: Unit, _total: u64) {}
    fn advance(&self, units: u64) {
        if self.told.fetch_add(units as usize, Ordering::Relaxed) + units as usize >= self.cancel_after {
            self.cancel.cancel();
        }
    }
    fn end(&self) {}
}

fn run(
    wanted: &Wanted,
    sources: &[Source],
    cancel_after: usize,
    options: &Options,
) -> (Result<Fetched, FetchError>, usize) {
    let (config, cancel) = (Config::default(), Cancel::default());
    let watch = Watch { told: AtomicUsize::new(0), cancel_after, cancel: &cancel };
    let job = Job { config: &config, progress: &watch, cancel: &cancel };
    let outcome = fetch(&job, wanted, sources, options);
    (outcome, watch.told.load(Ordering::Relaxed))
}

fn fetched(wanted: &Wanted, sources: &[Source]) -> Result<Fetched, FetchError> {
    run(wanted, sources, usize::MAX, &OPTIONS).0
}

/// The names of what is in a folder.
fn names(folder: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    fs::read_dir(folder).unwrap().map(name).collect()
}

#[test]
fn files_come_from_mirrors_gateways_and_folders() {
    for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 20 * PIECE + 7] {
        let file = contents(len);
        let disk = tempfile::tempdir().unwrap();
        fs::write(disk.path().join("wanted.params"), &file).unwrap();
        let server = Server::always(&file, Manner::Right);
        let folder = Source::Folder(disk.path().to_owned());
        for sources in
            [vec![server.mirror()], vec![server.gateway()], vec![folder.clone()], vec![server.mirror(), folder]]
        {
            let place = tempfile::tempdir().unwrap();
            let wanted = wanted(place.path(), &file);
            let (outcome, told) = run(&wanted, &sources, usize::MAX, &OPTIONS);
            let outcome = outcome.unwrap();
            assert_eq!(fs::read(&wanted.path).unwrap(), file);
            assert_eq!(names(place.path()), ["wanted.params"]);
            assert_eq!((outcome.bytes, outcome.kept_bytes, told), (len as u64, 0, len));
            assert_eq!(outcome.from.values().sum::<u64>(), len as u64);
            assert_eq!(outcome.left_out, []);
        }
    }
}

#[test]
fn a_length_that_nobody_published_is_asked_for() {
    let file = contents(5 * PIECE + 3);
    let (server, lacking) = (Server::always(&file, Manner::Right), Server::always(&file, Manner::Status(404)));
    let place = tempfile::tempdir().unwrap();
    let wanted = Wanted { bytes: None, ..wanted(place.path(), &file) };
    let outcome = fetched(&wanted, &[lacking.mirror(), server.gateway()]).unwrap();
    assert_eq!(outcome.left_out, [(lacking.mirror().to_string(), "it has no such file".to_owned())]);
    assert_eq!(fs::read(&wanted.path).unwrap(), file);
    let error = fetched(&wanted, &[lacking.mirror()]).unwrap_err();
    assert!(error.to_string().contains("it has no such file"), "{error}");
}

/// One server that does not do as it should, beside one that does.
#[test]
fn servers_that_misbehave_hold_up_nobody() {
    let file = contents(12 * PIECE + 1);
    let table = [
        (Manner::Status(404), Some("no such file")),
        (Manner::Status(503), None),
        (Manner::Cut(300), None),
        (Manner::Stall(300), None),
        (Manner::OtherRange, Some("another part")),
        (Manner::Whole, Some("no parts")),
        (Manner::Corrupt(2 * PIECE), None),
    ];
    for (manner, reason) in table {
        let (bad, good) = (Server::always(&file, manner), Server::always(&file, Manner::Right));
        let place = tempfile::tempdir().unwrap();
        let wanted = wanted(place.path(), &file);
        let options = if matches!(manner, Manner::Stall(_)) { IMPATIENT } else { OPTIONS };
        let outcome = run(&wanted, &[bad.mirror(), good.mirror()], usize::MAX, &options).0.unwrap();
        assert_eq!(fs::read(&wanted.path).unwrap(), file, "{manner:?}");
        assert_eq!(names(place.path()), ["wanted.params"], "{manner:?}");
        assert!(bad.requests() > 0 && outcome.from[&good.mirror().to_string()] > 0, "{manner:?} {outcome:?}");
        if let Some(reason) = reason {
            assert!(outcome.left_out[0].1.contains(reason), "{manner:?} {outcome:?}");
        }
    }
}

#[test]
fn a_server_that_is_well_again_goes_on() {
    let file = contents(9 * PIECE);
    let server = Server::new(&file, |number| match number % 3 {
        0 => Manner::Right,
        1 => Manner::Cut(10),
        _ => Manner::Status(503),
    });
    let place = tempfile::tempdir().unwrap();
    let wanted = wanted(place.path(), &file);
    fetched(&wanted, &[server.mirror()]).unwrap();
    assert_eq!(fs::read(&wanted.path).unwrap(), file);
}

#[test]
fn servers_that_vanish_leave_what_they_gave() {
    let file = contents(30 * PIECE);
    let server = Server::new(&file, |number| if number < 10 { Manner::Right } else { Manner::Cut(0) });
    let place = tempfile::tempdir().unwrap();
    let wanted = wanted(place.path(), &file);
    let error = fetched(&wanted, &[server.mirror()]).unwrap_err();
    assert!(matches!(&error, FetchError::Places { places, .. } if places.len() == 1), "{error}");
    let mut left = names(place.path());
    left.sort();
    assert_eq!(left, ["wanted.params.part", "wanted.params.part.json"]);
    drop(server);

    let server = Server::always(&file, Manner::Right);
    let outcome = fetched(&wanted, &[server.mirror()]).unwrap();
    assert_eq!(outcome.kept_bytes, 10 * PIECE as u64);
    assert_eq!(server.requests(), 20);
    assert_eq!(fs::read(&wanted.path).unwrap(), file);
    assert_eq!(names(place.path()), ["wanted.params"]);
}

#[test]
fn what_was_stopped_goes_on_and_what_was_damaged_is_fetched_again() {
    let file = contents(40 * PIECE);
    let server = Server::always(&file, Manner::Right);
    let place = tempfile::tempdir().unwrap();
    let wanted = wanted(place.path(), &file);
    let (outcome, _) = run(&wanted, &[server.mirror()], 15 * PIECE, &OPTIONS);
    assert!(matches!(outcome, Err(FetchError::Cancelled(_))), "{outcome:?}");
    let before = server.requests();
    assert!((15..40).contains(&before), "{before}");
    // A crash may leave other bytes than were noted.
    let part = place.path().join("wanted.params.part");
    let mut bytes = fs::read(&part).unwrap();
    bytes[3 * PIECE + 5] ^= 1;
    fs::write(&part, bytes).unwrap();
    let outcome = fetched(&wanted, &[server.mirror()]).unwrap();
    assert!(outcome.kept_bytes >= 15 * PIECE as u64, "{outcome:?}");
    assert_eq!(server.requests() - before, 40 - outcome.kept_bytes as usize / PIECE + 1);
    assert_eq!(fs::read(&wanted.path).unwrap(), file);
}

#[test]
fn notes_that_make_no_sense_are_not_believed() {
    let file = contents(4 * PIECE);
    let server = Server::always(&file, Manner::Right);
    let place = tempfile::tempdir().unwrap();
    let wanted = wanted(place.path(), &file);
    for (note, part) in [
        ("{}", 0),
        ("no JSON", 3 * PIECE),
        ("{\"bytes\":4000,\"piece_bytes\":1000,\"places\":[],\"pieces\":[null]}", 9 * PIECE),
    ] {
        fs::write(place.path().join("wanted.params.part.json"), note).unwrap();
        fs::write(place.path().join("wanted.params.part"), vec![7; part]).unwrap();
        assert_eq!(fetched(&wanted, &[server.mirror()]).unwrap().kept_bytes, 0);
        assert_eq!(fs::read(&wanted.path).unwrap(), file);
    }
}

#[test]
fn a_wrong_digest_leaves_nothing_behind_and_the_old_file_alone() {
    let file = contents(6 * PIECE);
    let bad = [Server::always(&file, Manner::Corrupt(7)), Server::always(&file, Manner::Corrupt(5 * PIECE + 9))];
    let sources: Vec<_> = bad.iter().map(Server::mirror).collect();
    let place = tempfile::tempdir().unwrap();
    let wanted = wanted(place.path(), &file);
    fs::write(&wanted.path, "old").unwrap();
    for sources in [&sources[..1], &sources[..]] {
        let error = fetched(&wanted, sources).unwrap_err();
        assert!(matches!(error, FetchError::Digest { .. }), "{error}");
        assert_eq!(names(place.path()), ["wanted.params"]);
        assert_eq!(fs::read(&wanted.path).unwrap(), b"old");
    }
    // The right one is found whatever its place in the list, and though others gave some pieces.
    let good = Server::always(&file, Manner::Right);
    for at in 0..3 {
        let mut sources = sources.clone();
        sources.insert(at, good.gateway());
        fetched(&wanted, &sources).unwrap();
        assert_eq!(fs::read(&wanted.path).unwrap(), file);
    }
}

#[test]
fn places_with_another_length_are_left_out() {
    let file = contents(6 * PIECE);
    let longer = Server::always(&contents(6 * PIECE + 1), Manner::Right);
    let place = tempfile::tempdir().unwrap();
    let wanted = wanted(place.path(), &file);
    let error = fetched(&wanted, &[longer.mirror()]).unwrap_err();
    assert_eq!(names(place.path()), [""; 0], "nothing came");
    assert!(error.to_string().contains("6001 bytes there, expected 6000"), "{error}");
}

#[test]
fn nobody_else_fetches_the_same_file_meanwhile() {
    let file = contents(PIECE);
    let server = Server::always(&file, Manner::Right);
    let place = tempfile::tempdir().unwrap();
    let wanted = wanted(place.path(), &file);
    let part = Part::open(&wanted.path, PIECE as u64).unwrap();
    assert!(matches!(fetched(&wanted, &[server.mirror()]), Err(FetchError::Busy { .. })));
    drop(part);
    fetched(&wanted, &[server.mirror()]).unwrap();
    assert!(matches!(fetched(&wanted, &[]), Err(FetchError::Places { .. })));
}
