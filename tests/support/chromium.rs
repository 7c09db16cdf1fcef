//! A headless Chromium for one test, told what to do over a pair of pipes (the DevTools protocol); it ends with the test.
//!
//! Where no Chromium is installed there is none, which fails where `FILECASH_TESTS_NEED_BROWSER` is set.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// How long a browser may take to answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// Without a screen, a network of its own making, or a user.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
];

/// A browser that runs.
pub struct Chromium {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<Value>,
    last: u64,
    folder: tempfile::TempDir,
    /// What pages complained of: uncaught errors, and errors in the log.
    pub complaints: Vec<String>,
}

/// A picture of a page.
#[derive(Debug)]
pub struct Shot {
    pub width: u64,
    pub height: u64,
    pub colours: u64,
    pub png: Vec<u8>,
}

impl Chromium {
    /// Starts a browser; `None` where none is installed and none has to be.
    pub fn start() -> Option<Self> {
        let Some(program) = find() else {
            assert!(std::env::var_os("FILECASH_TESTS_NEED_BROWSER").is_none(), "Chromium is not installed");
            drop(writeln!(std::io::stderr(), "left out: Chromium is not installed"));
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        // Of descriptors 3 and 4 it reads commands and writes answers.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh"])
            .arg(program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .env("HOME", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let mut answered = BufReader::new(child.stdout.take().unwrap());
        let (told, answers) = mpsc::channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while answered.read_until(0, &mut message).is_ok_and(|bytes| bytes > 0) {
                message.pop_if(|byte| *byte == 0);
                let Ok(value) = serde_json::from_slice(&message) else { break };
                let Ok(()) = told.send(value) else { break };
                message.clear();
            }
        });
        Some(Self { child, commands, answers, last: 0, folder, complaints: Vec::new() })
    }

    /// An empty page as wide and as high as told; a telephone's is scaled as telephones do.
    pub fn page(&mut self, width: u32, height: u32, is_telephone: bool) -> Page<'_> {
        let target = self.call(None, "Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call(None, "Target.attachToTarget", attach)["sessionId"].as_str().unwrap().to_owned();
        let mut page = Page { browser: self, session };
        page.call("Runtime.enable", json!({}));
        page.call("Log.enable", json!({}));
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_telephone });
        page.call("Emulation.setDeviceMetricsOverride", screen);
        page
    }

    fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut command = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let said = self.answers.recv_timeout(PATIENCE);
            let log = || fs::read_to_string(self.folder.path().join("log"));
            let mut said = said.map_err(|error| (method, error, log())).unwrap();
            if said["id"] == self.last {
                assert!(said["error"].is_null(), "{method}: {said}");
                return said["result"].take();
            }
            let is_complaint = match said["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Log.entryAdded") => said["params"]["entry"]["level"] == "error",
                _ => false,
            };
            if is_complaint {
                self.complaints.push(said["params"].to_string());
            }
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It takes its processes with it.
        drop(self.commands.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0"));
        let began = Instant::now();
        while self.child.try_wait().is_ok_and(|status| status.is_none()) && began.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(10));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A page of a browser.
pub struct Page<'a> {
    browser: &'a mut Chromium,
    session: String,
}

impl Page<'_> {
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.browser.call(Some(&self.session), method, params)
    }

    /// Goes to an address.
    pub fn open(&mut self, address: &str) {
        let gone = self.call("Page.navigate", json!({ "url": address }));
        assert!(gone["errorText"].is_null(), "{gone}");
    }

    /// What an expression comes to in the page.
    pub fn ask(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// What can be read there.
    pub fn text(&mut self) -> String {
        self.ask("document.body ? document.body.innerText : ''").as_str().unwrap().to_owned()
    }

    /// Waits until a text can be read, and gives all of what can be.
    #[track_caller]
    pub fn wait(&mut self, text: &str) -> String {
        let began = Instant::now();
        loop {
            let read = self.text();
            if read.contains(text) {
                return read;
            }
            assert!(began.elapsed() < PATIENCE, "{text}: {read}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Takes a picture of what is to be seen, and looks at it (in another page, for the browser reads PNG).
    pub fn shot(&mut self) -> Shot {
        let taken = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let data = taken["data"].as_str().unwrap();
        let look = format!(
            "(async () => {{
                const image = await createImageBitmap(await (await fetch('data:image/png;base64,{data}')).blob());
                const canvas = new OffscreenCanvas(image.width, image.height).getContext('2d');
                canvas.drawImage(image, 0, 0);
                const pixels = canvas.getImageData(0, 0, image.width, image.height).data.buffer;
                return [image.width, image.height, new Set(new Uint32Array(pixels)).size];
            }})()"
        );
        let seen = self.browser.page(100, 100, false).ask(&look);
        let of = |at: usize| seen[at].as_u64().unwrap();
        Shot { width: of(0), height: of(1), colours: of(2), png: STANDARD.decode(data).unwrap() }
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut programs =
        std::env::split_paths(&path).flat_map(|folder| ["chromium", "chromium-browser"].map(|name| folder.join(name)));
    programs.find(|program| program.is_file())
}
