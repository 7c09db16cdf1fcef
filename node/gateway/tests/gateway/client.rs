//! A server in a thread, and a client that tells whether an answer is whole.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use filecash_gateway::{Gateway, Limits, NoPieces, PieceSource, serve};
use filecash_ipld::store::BlockStore;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server that ends with the test.
pub struct Server {
    pub address: SocketAddr,
    pub gateway: Gateway,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn of_blocks(blocks: Arc<dyn BlockStore>) -> Self {
        Self::start(blocks, Box::new(NoPieces), Limits::default())
    }

    pub fn start(blocks: Arc<dyn BlockStore>, pieces: Box<dyn PieceSource>, limits: Limits) -> Self {
        let gateway = Gateway::new(blocks, pieces, &limits);
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, address) = channel();
        let (served, stopped) = (gateway.clone(), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let listen = "127.0.0.1:0".parse().unwrap();
            let is_over = || stopped.load(Ordering::Relaxed);
            serve(listen, &served, &limits, is_over, |address| sender.send(address).unwrap()).unwrap();
        });
        Self { address: address.recv().unwrap(), gateway, stop, thread: Some(thread) }
    }

    /// Tells it to stop, and waits until it has. How long that took.
    pub fn stop(&mut self) -> Duration {
        let began = Instant::now();
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        began.elapsed()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub fn get(&self, target: &str) -> Reply {
        self.ask("GET", target, &[])
    }

    pub fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
        let mut stream = self.connect();
        send(&mut stream, method, target, headers);
        Reply::read(&mut BufReader::new(stream), method == "HEAD").unwrap()
    }

    /// Waits until something is so.
    #[track_caller]
    pub fn until(&self, is_so: impl Fn(&filecash_gateway::Metrics) -> bool) {
        let began = Instant::now();
        while !is_so(&self.gateway.metrics()) {
            assert!(began.elapsed() < PATIENCE, "{:?}", self.gateway.metrics());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop();
        }
    }
}

pub fn send(stream: &mut TcpStream, method: &str, target: &str, headers: &[(&str, &str)]) {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: here\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes()).unwrap();
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub is_whole: bool,
}

impl Reply {
    /// Reads an answer; none where the connection was closed instead.
    pub fn read(stream: &mut impl BufRead, is_head: bool) -> Option<Self> {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            line.clear();
            stream.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut reply = Self { status, headers, body: Vec::new(), is_whole: true };
        if !is_head && status != 304 {
            reply.is_whole = reply.read_body(stream).is_some();
        }
        Some(reply)
    }

    fn read_body(&mut self, stream: &mut impl BufRead) -> Option<()> {
        if self.header("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).ok()?;
                let length = u64::from_str_radix(line.trim_end(), 16).ok()?;
                self.read_bytes(stream, length)?;
                stream.read_line(&mut String::new()).ok().filter(|read| *read == 2)?;
                if length == 0 {
                    return Some(());
                }
            }
        }
        let length = self.header("content-length").unwrap().parse().unwrap();
        self.read_bytes(stream, length)
    }

    fn read_bytes(&mut self, stream: &mut impl BufRead, length: u64) -> Option<()> {
        let read = stream.take(length).read_to_end(&mut self.body).ok()?;
        (read as u64 == length).then_some(())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
