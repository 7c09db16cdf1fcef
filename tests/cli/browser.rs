//! The page that a worker shows, in a browser: on a desk and on a telephone.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::steps::hex32;
use crate::support::{Sandbox, data};
use crate::web::Worker;

#[path = "../support/chromium.rs"]
mod chromium;

use chromium::{Chromium, Page};

/// Name, width, height, and whether it is a telephone.
const SCREENS: [(&str, u32, u32, bool); 2] = [("desk", 1280, 1100, false), ("telephone", 390, 844, true)];

/// A queue with something of everything: a sector that waits for its seed, and one whose data are damaged.
fn queue(sandbox: &Sandbox) {
    let run = |arguments: &[&str]| sandbox.run(&[arguments, &["--quiet"]].concat()).succeeds();
    run(&["worker", "run", "--store", "jobs.sqlite", "--sealing", "ssd", "--until-idle"]);
    sandbox.write("data", &data(1000));
    for (folder, number) in [("ssd/five", "5"), ("ssd/six", "6")] {
        let identity = ["--miner", "f01000", "--sector", number, "--ticket", &hex32("01")];
        let add = ["seal", "add-piece", "--dir", folder, "--sector-size", "2KiB", "--fill", "data"];
        run(&[&add[..], &identity].concat());
        run(&["sectors", "add", folder, "--store", "jobs.sqlite"]);
    }
    sandbox.flip("ssd/six/staged", 77);
}

fn has_ended(state: &Value) -> bool {
    let is = |sector: &str, kind: &str, state_of: &str| {
        let mut jobs = state["jobs"].as_array().unwrap().iter();
        jobs.any(|job| job["sector"] == sector && job["kind"] == kind && job["state"] == state_of)
    };
    is("f01000/5", "pc2", "done") && is("f01000/6", "pc1", "failed")
}

/// Nothing is wider than the screen.
fn fits(page: &mut Page<'_>, width: u32) {
    let wider = page.ask(&format!(
        "[...document.querySelectorAll('body *')].filter(of => of.getBoundingClientRect().right > {width}
            || getComputedStyle(of).display !== 'inline' && of.scrollWidth > of.clientWidth + 1)
            .map(of => of.outerHTML.slice(0, 200))"
    ));
    assert_eq!(wider, Value::Array(vec![]));
    let scrolled = page.ask("document.documentElement.scrollWidth").as_u64().unwrap();
    assert!(scrolled <= u64::from(width), "{scrolled}");
}

/// A picture of the screen's size with something on it. It stays in the target folder, to be looked at.
fn is_seen(page: &mut Page<'_>, name: &str, width: u32, height: u32) {
    let shot = page.shot();
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{name}.png")), &shot.png).unwrap();
    assert_eq!((shot.width, shot.height), (u64::from(width), u64::from(height)));
    assert!(shot.colours > 50, "{}", shot.colours);
}

/// The same queue on a busy day, with everything that is long: names, errors, numbers, times.
fn busy(state: &Value) -> Value {
    let mut busy = state.clone();
    let long = "without-a-place-to-break-".repeat(12);
    let of_worker = busy["workers"]["the first"].take();
    busy["workers"] = json!({ "the first": of_worker.clone(), (long.as_str()): of_worker });
    busy["workers"][&long]["host"] = json!(long);
    for storage in busy["workers"][&long]["storages"].as_object_mut().unwrap().values_mut() {
        storage["path"] = json!(format!("/{long}"));
    }
    for (place, job) in busy["jobs"].as_array_mut().unwrap().iter_mut().enumerate() {
        job["deadline"] = json!(job["now"].as_i64().unwrap() + (place as i64 - 1) * 400_000);
        job["error"] = json!(long);
        if job["state"] != "waiting" {
            job["state"] = json!("running");
            job["owner"] = json!(long);
            job["sector"] = json!(null);
            job["request"] = json!(long);
            job["progress"] = json!({
                "stage": "sums over points", "unit": "items", "done": 1, "total": 3, "percent": 33.3,
                "per_second": 1_234_567.8, "seconds_left": 98_765.4,
            });
        }
    }
    busy["sectors"][0]["sector"]["name"] = json!(long);
    busy["days"] = (0..14).map(|day| json!({ "day": day, "kind": "winning-post", "jobs": 2_880 >> day })).collect();
    busy
}

#[test]
fn page_shows_what_the_api_says_on_any_screen() {
    let Some(mut browser) = Chromium::start() else { return };
    let sandbox = Sandbox::new();
    queue(&sandbox);
    let worker = Worker::start(&sandbox, 29842, &["--name", "the first", "--max-ram", "3GiB", "--storing", "hdd"]);
    let began = Instant::now();
    let state = loop {
        let state = worker.json("/api/state");
        if has_ended(&state) {
            break state;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{state}");
        sleep(Duration::from_millis(50));
    };
    let string = |value: &Value| value.as_str().ok_or(value).unwrap().to_owned();
    let mut expected = vec![format!("0 running, {} waiting, 1 worker", state["waiting"]), "0 B of 3.0 GiB".to_owned()];
    let sectors = state["sectors"].as_array().unwrap();
    let jobs = state["jobs"].as_array().unwrap();
    let of_worker = &state["workers"]["the first"];
    assert_eq!((sectors.len(), jobs.len(), &of_worker["memory_bytes"]), (2, 10, &(3_u64 << 30).into()), "{state}");
    expected.extend(sectors.iter().map(|of| string(&of["sector"]["name"])));
    let c1 = jobs.iter().find(|job| job["kind"] == "c1" && job["sector"] == "f01000/5").unwrap();
    assert_eq!(c1["state"], "waiting");
    expected.push(format!("waits {}", string(&c1["waits"])));
    let failed = jobs.iter().find(|job| job["state"] == "failed").unwrap();
    expected.push(string(&failed["error"]));
    let storages = of_worker["storages"].as_object().unwrap();
    assert_eq!(storages.len(), 2);
    for storage in storages.values() {
        let use_of_it = if storage["seals"] == true { "seals" } else { "stores" };
        expected.push(format!("{use_of_it} in {}", string(&storage["path"])));
    }
    expected.extend([string(&of_worker["host"]), "the first".to_owned(), "today 1 pc1, 1 pc2".to_owned()]);

    for (name, width, height, is_telephone) in SCREENS {
        let mut page = browser.page(width, height, is_telephone);
        page.open(&format!("http://{}/", worker.address));
        let text = page.wait(&expected[0]);
        for part in &expected {
            assert!(text.contains(part), "{name}: {part}\n{text}");
        }
        // The folder's name is made of random letters.
        let text = text.replace(sandbox.path("").to_str().unwrap(), "");
        for word in ["undefined", "null", "NaN", "[object", "no answer", "Invalid"] {
            assert!(!text.contains(word), "{name}: {word}\n{text}");
        }
        // The steps of each sector, in the state that they are in.
        let steps = page.ask(
            "[...document.querySelectorAll('.steps')].map(of => [...of.children]
                .map(step => [step.innerText.split(' ')[0], step.className]))",
        );
        let told: Vec<Vec<[String; 2]>> = serde_json::from_value(steps).unwrap();
        let said = sectors.iter().map(|of| {
            let steps = of["steps"].as_array().unwrap().iter();
            steps.map(|step| [string(&step["kind"]), string(&step["state"])]).collect()
        });
        assert_eq!(told, said.collect::<Vec<Vec<_>>>());
        is_seen(&mut page, name, width, height);
        fits(&mut page, width);

        // What happened to a sector, once asked for.
        page.ask("document.querySelector('#sectors button').click()");
        page.wait("pc1 (job 1) done by the first");
        page.ask("document.querySelector('.log').scrollIntoView()");
        is_seen(&mut page, &format!("{name}-events"), width, height);
        fits(&mut page, width);

        page.ask(&format!("window.fetch = async () => new Response(JSON.stringify({}))", busy(&state)));
        page.wait("without-a-place");
        page.ask("scrollTo(0, 0)");
        is_seen(&mut page, &format!("{name}-busy"), width, height);
        fits(&mut page, width);
    }
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn page_without_the_right_token_says_so() {
    let Some(mut browser) = Chromium::start() else { return };
    let sandbox = Sandbox::new();
    let worker = Worker::start(&sandbox, 29843, &["--http-token", "first word"]);
    let address = format!("http://{}/?token=", worker.address);
    let mut page = browser.page(390, 844, true);
    page.open(&format!("{address}wrong"));
    assert_eq!(page.wait("token").trim(), "a token is asked for");
    page.open(&format!("{address}first%20word"));
    let text = page.wait("0 running, 0 waiting, 1 worker");
    assert!(!text.contains("no answer") && text.contains("nothing to do"), "{text}");
    // Of a page that is open the worker goes, and comes again with another word.
    drop(worker);
    page.wait("no answer for");
    let _worker = Worker::start(&sandbox, 29843, &["--http-token", "second word"]);
    page.wait("401 a token is asked for");
    is_seen(&mut page, "token", 390, 844);
    fits(&mut page, 390);
    page.open(&format!("{address}second%20word"));
    page.wait("0 running, 0 waiting, 1 worker");
}
