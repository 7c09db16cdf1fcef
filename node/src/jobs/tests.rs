//! The queue on both databases. What is said here of one queue is said of any number of connections to it.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use super::choose::{self, Needs, Reason, Worker};
use super::*;

#[cfg(unix)]
#[path = "../../../tests/support/postgres.rs"]
mod postgres;

const LONG: Duration = Duration::from_secs(600);
/// A lease that is over at once.
const SHORT: Duration = Duration::ZERO;

fn new(kind: Kind) -> NewJob {
    NewJob {
        profile: Profile::Filecoin,
        kind,
        sector: None,
        proof: "StackedDrg2KiBV1_1".to_owned(),
        priority: kind.priority(),
        deadline: None,
        storage: None,
        after: None,
        hold: None,
        request: None,
        digest: None,
        task: "{}".to_owned(),
        input: None,
    }
}

fn ids(jobs: &[Job]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

fn open(queue: &Queue) -> Vec<JobId> {
    ids(&queue.candidates(Kind::ALL, &["here"], None, 0).unwrap())
}

fn whats(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.what.as_str()).collect()
}

type Scenario = fn(&dyn Fn() -> Queue);

const SCENARIOS: &[(&str, Scenario)] = &[
    ("urgent_first", urgent_first),
    ("chain", chain),
    ("leases", leases),
    ("attempts", attempts),
    ("by_hand", by_hand),
    ("holds", holds),
    ("requests", requests),
    ("askers_are_told", askers_are_told),
    ("done_again", done_again),
    ("sectors", sectors),
    ("workers", workers),
    ("pages", pages),
    ("blobs", blobs),
    ("many_takers", many_takers),
];

#[test]
fn queue_in_a_file() {
    for (name, scenario) in SCENARIOS {
        println!("{name}");
        let folder = tempfile::tempdir().unwrap();
        let store = Store::File(folder.path().join("state/jobs.sqlite"));
        scenario(&|| Queue::open(&store).unwrap());
    }
}

#[cfg(unix)]
#[test]
fn queue_on_a_server() {
    let Some(server) = postgres::Postgres::start() else { return };
    for (name, scenario) in SCENARIOS {
        println!("{name}");
        let store: Store = server.database(name).parse().unwrap();
        scenario(&|| Queue::open(&store).unwrap());
    }
}

/// A server that accepts nothing but encrypted connections, at localhost, its port, and its folder, where `ca.pem` has signed it.
#[cfg(unix)]
fn encrypted() -> Option<(postgres::Postgres, u16, std::path::PathBuf)> {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let authority = |folder: &std::path::Path, name: &str| {
        let mut params = rcgen::CertificateParams::new([]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.join(name), certificate.pem()).unwrap();
        (certificate, key)
    };
    let mut place = std::path::PathBuf::new();
    let server = postgres::Postgres::with(port, |folder| {
        folder.clone_into(&mut place);
        let (ca, ca_key) = authority(folder, "ca.pem");
        authority(folder, "other.pem");
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        fs::write(folder.join("server.crt"), params.signed_by(&key, &ca, &ca_key).unwrap().pem()).unwrap();
        fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
        fs::set_permissions(folder.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
        let only_encrypted = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(folder.join("hba"), only_encrypted).unwrap();
        let named = |name: &str, file: &str| format!("{name}={}", folder.join(file).display());
        let settings = [
            "listen_addresses=127.0.0.1".to_owned(),
            "ssl=on".to_owned(),
            named("ssl_cert_file", "server.crt"),
            named("ssl_key_file", "server.key"),
            named("hba_file", "hba"),
        ];
        settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]).collect()
    })?;
    Some((server, port, place))
}

#[cfg(unix)]
#[test]
fn connections_are_encrypted_to_whom_they_should_be() {
    let Some((server, port, folder)) = encrypted() else { return };
    let psql = |database: &str, sql: &str| {
        let output = server.client("psql").args(["-qtAc", sql, database]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    psql("postgres", "ALTER USER filecash PASSWORD 'secret'");
    psql("postgres", "CREATE DATABASE jobs");
    let address = |host: &str, query: &str| {
        let store: Store = format!("postgres://filecash:secret@{host}:{port}/jobs{query}").parse().unwrap();
        Queue::open(&store)
    };
    let roots = |name: &str| folder.join(name).to_str().unwrap().replace('/', "%2F");

    for mode in ["require", "verify-ca", "verify-full"] {
        let queue = address("localhost", &format!("?sslmode={mode}&sslrootcert={}", roots("ca.pem"))).unwrap();
        queue.add(&[new(Kind::C2)]).unwrap();
        let seen = "SELECT DISTINCT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
                    WHERE a.datname = 'jobs' AND a.client_addr IS NOT NULL";
        assert_eq!(psql("postgres", seen), "t\n", "{mode}");
    }
    let refused = |host: &str, query: &str| match address(host, query) {
        Err(error) => std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": "),
        Ok(_) => panic!("{host} {query} is accepted"),
    };
    let signed = format!("sslrootcert={}", roots("ca.pem"));
    let reasons = [
        // Who signed it is not known, or is somebody else; it has another name; nothing is encrypted.
        refused("localhost", "?sslmode=require"),
        refused("localhost", &format!("?sslmode=require&sslrootcert={}", roots("other.pem"))),
        refused("127.0.0.1", &format!("?sslmode=require&{signed}")),
        refused("localhost", &format!("?sslmode=disable&{signed}")),
        refused("localhost", ""),
    ];
    for (reason, expected) in
        reasons.iter().zip(["UnknownIssuer", "BadSignature", "not valid for name", "no encryption", "no encryption"])
    {
        assert!(reason.contains(expected), "{reason}");
    }
    for file in ["hba", "missing.pem", "data"] {
        let reason = refused("localhost", &format!("?sslmode=require&sslrootcert={}", roots(file)));
        assert!(reason.contains("cannot use the certificates in"), "{reason}");
    }
}

#[cfg(unix)]
#[test]
fn server_that_was_gone_is_called_again() {
    let Some(server) = postgres::Postgres::start() else { return };
    let store: Store = server.database("gone").parse().unwrap();
    let queue = Queue::open(&store).unwrap();
    queue.add(&[new(Kind::C2)]).unwrap();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'gone'";
    assert!(server.client("psql").args(["-q", "-o", "/dev/null", "-c", cut, "postgres"]).status().unwrap().success());
    // The first call after it may be the one that notices.
    let _ = queue.jobs(0);
    assert_eq!(queue.jobs(0).unwrap().len(), 1);
}

fn urgent_first(queue: &dyn Fn() -> Queue) {
    let queue = queue();
    let late = NewJob { deadline: Some(2_000), ..new(Kind::Window) };
    let soon = NewJob { deadline: Some(1_000), ..new(Kind::Window) };
    let low = NewJob { priority: Priority::Low, ..new(Kind::C2) };
    let ids_of = queue.add(&[low, new(Kind::C2), new(Kind::Window), late, soon, new(Kind::Winning)]).unwrap();
    let order = [5, 4, 3, 2, 1, 0].map(|place: usize| ids_of[place]);
    assert_eq!(open(&queue), order);
    assert_eq!(ids(&queue.jobs(0).unwrap()), order);
    assert_eq!(ids(&queue.candidates(&[Kind::C2], &[], None, 0).unwrap()), [ids_of[1], ids_of[0]]);
    assert!(queue.candidates(&[], &[], None, 0).unwrap().is_empty());
    assert!(queue.candidates(Kind::ALL, &[], Some(Profile::Filecash), 0).unwrap().is_empty());
    assert_eq!(queue.candidates(Kind::ALL, &[], Some(Profile::Filecoin), 0).unwrap().len(), 6);
}

fn chain(queue: &dyn Fn() -> Queue) {
    let queue = queue();
    let at = |kind| NewJob { storage: Some("here".to_owned()), ..new(kind) };
    let after = |kind, place| NewJob { after: Some(place), ..at(kind) };
    let added = queue.add(&[at(Kind::Pc1), after(Kind::Pc2, 0), after(Kind::C1, 1)]).unwrap();
    for (place, id) in added.iter().enumerate() {
        assert_eq!(open(&queue), [*id]);
        // Elsewhere the files are missing.
        assert!(queue.candidates(Kind::ALL, &["there"], None, 0).unwrap().is_empty());
        let lease = queue.take(*id, "w", LONG).unwrap().unwrap();
        let input: &[u8] = if place == 0 { &[] } else { &[place as u8 - 1] };
        assert_eq!(queue.input(&queue.job(*id).unwrap()).unwrap(), input);
        assert!(open(&queue).is_empty());
        assert!(queue.finish(&lease, &Outcome::Done(vec![place as u8])).unwrap());
    }
    let last = queue.job(added[2]).unwrap();
    assert_eq!((last.after, last.after_state, last.state), (Some(added[1]), Some(State::Done), State::Done));
    // It had the output of the one before, which is needed no more.
    assert_eq!(queue.input(&last).unwrap(), [0; 0]);
    assert_eq!(queue.output(added[2]).unwrap(), Some(vec![2]));
    assert_eq!(whats(&queue.events(added[0]).unwrap()), ["queued", "begun", "done"]);
}

fn leases(queue: &dyn Fn() -> Queue) {
    let (queue, other) = (queue(), queue());
    let id = queue.add(&[new(Kind::C2)]).unwrap()[0];
    let first = queue.take(id, "first", SHORT).unwrap().unwrap();
    assert_eq!(other.take(id, "other", LONG).unwrap(), None);
    thread::sleep(Duration::from_millis(5));
    assert_eq!(other.reclaim(None).unwrap(), [id]);
    let second = other.take(id, "second", LONG).unwrap().unwrap();
    assert_eq!(second.number, first.number + 1);
    // Whoever comes back too late changes nothing.
    let stage = Stage { name: "labels".to_owned(), unit: "items".to_owned(), done: 3, total: 4, lasted: LONG };
    assert_eq!(queue.renew(&first, LONG, Some(&stage), None).unwrap(), None);
    assert!(!queue.keep(&first, b"old").unwrap());
    assert!(!queue.finish(&first, &Outcome::Done(b"old".to_vec())).unwrap());
    assert_eq!(queue.job(id).unwrap().progress, None);
    assert_eq!((queue.checkpoint(id).unwrap(), queue.output(id).unwrap()), (None, None));

    assert_eq!(other.renew(&second, LONG, Some(&stage), Some("cpu")).unwrap(), Some(false));
    let job = queue.job(id).unwrap();
    let progress = job.progress.unwrap();
    assert_eq!((progress.stage.as_str(), progress.done, progress.total), ("labels", 3, 4));
    assert_eq!((job.state, job.owner.as_deref(), job.device.as_deref()), (State::Running, Some("second"), Some("cpu")));
    // Three in ten minutes: a fourth takes 200 s.
    let left = progress.left(progress.began + 600_000).unwrap();
    assert_eq!(left, Duration::from_secs(200));
    assert!(other.keep(&second, b"half").unwrap());
    assert!(queue.reclaim(None).unwrap().is_empty());
    // The one who died and is back under the same name need not wait.
    assert_eq!(queue.reclaim(Some("second")).unwrap(), [id]);
    let third = queue.take(id, "third", LONG).unwrap().unwrap();
    assert_eq!(queue.checkpoint(id).unwrap(), Some(b"half".to_vec()));
    assert!(queue.finish(&third, &Outcome::Done(b"proof".to_vec())).unwrap());
    assert!(!queue.finish(&third, &Outcome::Done(b"again".to_vec())).unwrap());
    assert_eq!((queue.checkpoint(id).unwrap(), queue.output(id).unwrap()), (None, Some(b"proof".to_vec())));
    let expected = [
        "queued",
        "begun",
        "queued again: first was not heard of any more",
        "begun",
        "kept 4 bytes",
        "queued again: second was stopped while it ran",
        "begun",
        "done",
    ];
    assert_eq!(whats(&queue.events(id).unwrap()), expected);
}

fn attempts(queue: &dyn Fn() -> Queue) {
    let queue = queue();
    let id = queue.add(&[new(Kind::C2)]).unwrap()[0];
    let take = || queue.take(id, "w", LONG).unwrap().unwrap();
    queue.finish(&take(), &Outcome::HandedBack).unwrap();
    assert_eq!(queue.job(id).unwrap().attempts, 0);
    assert_eq!(open(&queue), [id]);
    // A worker that dies costs no attempt.
    take();
    queue.reclaim(Some("w")).unwrap();
    assert_eq!(queue.job(id).unwrap().attempts, 0);
    queue.finish(&take(), &Outcome::TryAgain("the disk\0 is full".to_owned(), LONG)).unwrap();
    let job = queue.job(id).unwrap();
    assert_eq!((job.state, job.attempts, job.error.as_deref()), (State::Waiting, 1, Some("the disk\u{fffd} is full")));
    assert!(open(&queue).is_empty());
    assert!(matches!(choose::why(&job, &Needs::default(), []), Reason::Again { seconds: 590..=600 }));
    // By hand at once.
    queue.retry(id).unwrap();
    assert_eq!(queue.job(id).unwrap().attempts, 0);
    queue.finish(&take(), &Outcome::Failed("no parameters".to_owned())).unwrap();
    let job = queue.job(id).unwrap();
    assert_eq!((job.state, job.error.as_deref()), (State::Failed, Some("no parameters")));
    assert!(job.finished.is_some() && open(&queue).is_empty());
    queue.retry(id).unwrap();
    let job = queue.job(id).unwrap();
    assert_eq!((job.state, job.attempts, job.error, job.finished), (State::Waiting, 0, None, None));
}

fn by_hand(queue: &dyn Fn() -> Queue) {
    let queue = queue();
    let after = |kind, place| NewJob { after: Some(place), ..new(kind) };
    let added = queue.add(&[new(Kind::Pc1), after(Kind::Pc2, 0), after(Kind::C1, 1)]).unwrap();
    let states = || queue.jobs(9).unwrap().into_iter().map(|job| (job.id, job.state)).collect::<BTreeMap<_, _>>();
    let all = |states: [State; 3]| added.iter().copied().zip(states).collect::<BTreeMap<_, _>>();
    use State::{Cancelled, Running, Waiting};
    queue.cancel(added[1]).unwrap();
    assert_eq!(states(), all([Waiting, Cancelled, Cancelled]));
    let job = queue.job(added[2]).unwrap();
    let reason = choose::why(&job, &Needs::default(), []);
    assert_eq!(reason.to_string(), format!("for job {}, which was cancelled", added[1]));
    queue.retry(added[1]).unwrap();
    assert_eq!(states(), all([Waiting; 3]));

    let lease = queue.take(added[0], "w", LONG).unwrap().unwrap();
    queue.cancel(added[0]).unwrap();
    assert_eq!(states(), all([Running, Cancelled, Cancelled]));
    assert_eq!(queue.renew(&lease, LONG, None, None).unwrap(), Some(true));
    queue.finish(&lease, &Outcome::Cancelled).unwrap();
    assert_eq!(states(), all([Cancelled; 3]));
    let error = queue.cancel(added[0]).unwrap_err();
    assert_eq!(error.to_string(), format!("job {} is cancelled, expected one that is not over", added[0]));
    // Whoever loses it meanwhile does not bring it back.
    queue.retry(added[0]).unwrap();
    let lost = queue.take(added[0], "w", SHORT).unwrap().unwrap();
    queue.cancel(added[0]).unwrap();
    thread::sleep(Duration::from_millis(5));
    assert_eq!(queue.reclaim(None).unwrap(), [added[0]]);
    assert!(!queue.finish(&lost, &Outcome::HandedBack).unwrap());
    queue.retry(added[0]).unwrap();
    let back = queue.take(added[0], "w", LONG).unwrap().unwrap();
    queue.cancel(added[0]).unwrap();
    queue.finish(&back, &Outcome::HandedBack).unwrap();
    assert_eq!(states(), all([Cancelled; 3]));
    // A taker does not find it cancelled again.
    queue.retry(added[0]).unwrap();
    let lease = queue.take(added[0], "w", LONG).unwrap().unwrap();
    assert_eq!(queue.renew(&lease, LONG, None, None).unwrap(), Some(false));
    assert!(matches!(queue.retry(added[0]), Err(QueueError::State { state: Running, .. })));
    assert!(matches!(queue.cancel(7_000), Err(QueueError::NoJob(7_000))));
    assert!(matches!(queue.job(7_000), Err(QueueError::NoJob(7_000))));
}

fn holds(queue: &dyn Fn() -> Queue) {
    let queue = queue();
    let id = queue.add(&[NewJob { hold: Some("its seed".to_owned()), ..new(Kind::C1) }]).unwrap()[0];
    assert!(open(&queue).is_empty());
    let reason = choose::why(&queue.job(id).unwrap(), &Needs::default(), []);
    assert_eq!(reason.to_string(), "for its seed");
    queue.lift(id, "{\"seed\":1}", "the seed is known").unwrap();
    assert_eq!(open(&queue), [id]);
    assert_eq!(queue.job(id).unwrap().task, "{\"seed\":1}");
    assert!(matches!(queue.lift(id, "{}", ""), Err(QueueError::State { .. })));
}

fn requests(queue: &dyn Fn() -> Queue) {
    let queue = queue();
    let asked = |text: &str| NewJob {
        request: Some("a".into()),
        digest: Some(text.into()),
        input: Some(text.into()),
        ..new(Kind::C2)
    };
    let Asked::Queued(first) = queue.ask(&asked("1")).unwrap() else { unreachable!() };
    assert_eq!(queue.ask(&asked("1")).unwrap(), Asked::Known(first));
    assert_eq!(queue.ask(&asked("2")).unwrap(), Asked::Other(first));
    let urgent = NewJob { priority: Priority::High, ..asked("1") };
    assert_eq!(queue.ask(&urgent).unwrap(), Asked::Known(first));
    assert_eq!(queue.ask(&asked("1")).unwrap(), Asked::Known(first));
    assert_eq!(queue.job(first).unwrap().priority, Priority::High);
    let job = queue.requested("a").unwrap().unwrap();
    assert_eq!((job.id, queue.input(&job).unwrap()), (first, b"1".to_vec()));
    assert_eq!(queue.requested("b").unwrap(), None);
    assert_eq!(queue.over(&[first, 7_000]).unwrap(), [7_000]);
    let sum = |of: Vec<Tally>, state| of.iter().filter(|of| of.state == state).map(|of| of.jobs).sum::<u64>();
    let count = |state| sum(queue.tally().unwrap(), state);
    assert_eq!((count(State::Waiting), count(State::Done)), (1, 0));
    assert_eq!([queue.waiting("a").unwrap(), queue.waiting("b").unwrap(), queue.waiting("").unwrap()], [1, 0, 1]);

    // What failed is not what somebody gets who asks again.
    let lease = queue.take(first, "w", LONG).unwrap().unwrap();
    queue.finish(&lease, &Outcome::Failed("no".into())).unwrap();
    assert_eq!(queue.over(&[first]).unwrap(), [first]);
    let Asked::Queued(second) = queue.ask(&asked("1")).unwrap() else { unreachable!() };
    assert_ne!(first, second);
    let lease = queue.take(second, "w", LONG).unwrap().unwrap();
    queue.finish(&lease, &Outcome::Done(b"proof".to_vec())).unwrap();
    assert_eq!(queue.ask(&asked("1")).unwrap(), Asked::Known(second));
    // What was sent has had its use.
    assert_eq!(queue.input(&queue.job(second).unwrap()).unwrap(), [0; 0]);
    // One that is to stop is nobody's answer.
    let other = NewJob { request: Some("b".into()), ..asked("1") };
    let Asked::Queued(third) = queue.ask(&other).unwrap() else { unreachable!() };
    let lease = queue.take(third, "w", LONG).unwrap().unwrap();
    queue.cancel(third).unwrap();
    let Asked::Queued(fourth) = queue.ask(&other).unwrap() else { unreachable!() };
    assert_ne!(third, fourth);
    queue.finish(&lease, &Outcome::Cancelled).unwrap();
    queue.cancel(fourth).unwrap();

    // A result stays until it was fetched.
    thread::sleep(Duration::from_millis(5));
    assert_eq!(queue.forget_delivered(Duration::ZERO).unwrap(), 3);
    assert!(matches!(queue.job(first), Err(QueueError::NoJob(_))));
    assert_eq!(queue.output(second).unwrap(), Some(b"proof".to_vec()));
    queue.deliver(second).unwrap();
    assert!(queue.job(second).unwrap().delivered.is_some());
    thread::sleep(Duration::from_millis(5));
    assert_eq!(queue.forget_delivered(LONG).unwrap(), 0);
    assert_eq!(queue.forget_delivered(Duration::ZERO).unwrap(), 1);
    assert_eq!((queue.requested("a").unwrap(), queue.output(second).unwrap()), (None, None));
    // They are counted for ever.
    assert_eq!((count(State::Done), count(State::Failed)), (0, 0));
    let totals = queue.totals().unwrap();
    assert_eq!((sum(totals.clone(), State::Done), sum(totals, State::Failed)), (1, 1));
    assert_eq!(queue.days(2).unwrap(), [(0, Kind::C2, 1)]);
}

/// Somebody who is told of results, and forgets what he asked for.
fn askers_are_told(queue: &dyn Fn() -> Queue) {
    let queue = queue();
    let prefix = format!("{TOLD}filecoin/1000/");
    let name = |call: &str| format!("{prefix}5/{call}");
    let ask = |call: &str, digest: &str| {
        let job = NewJob { request: Some(name(call)), digest: Some(digest.to_owned()), ..new(Kind::C2) };
        match queue.ask(&job).unwrap() {
            Asked::Queued(id) => id,
            other => unreachable!("{other:?}"),
        }
    };
    let (one, two) = (ask("a", "x"), ask("b", "y"));
    // Another miner's.
    let other = NewJob { request: Some(format!("{TOLD}filecoin/10001/5/a")), ..new(Kind::C2) };
    queue.ask(&other).unwrap();
    assert_eq!(queue.untold(&prefix).unwrap(), [name("a"), name("b")]);
    assert!(queue.over_and_untold(&prefix).unwrap().is_empty());
    let finish = |id, outcome| {
        let lease = queue.take(id, "w", LONG).unwrap().unwrap();
        assert!(queue.finish(&lease, &outcome).unwrap());
    };
    finish(one, Outcome::Done(b"proof".to_vec()));
    finish(two, Outcome::Failed("gpu-lost".to_owned()));
    assert_eq!(ids(&queue.over_and_untold(&prefix).unwrap()), [one, two]);
    // What failed waits, and can be cancelled; who asks for the same again gets the same job.
    queue.postpone(two, LONG).unwrap();
    assert!(matches!(queue.postpone(two, LONG), Err(QueueError::State { state: State::Waiting, .. })));
    let job = queue.job(two).unwrap();
    assert_eq!((job.state, job.error.as_deref()), (State::Waiting, Some("gpu-lost")));
    assert!(job.not_before > job.now && queue.take(two, "w", LONG).unwrap().is_none());
    assert_eq!(queue.rename(&prefix, "y", &name("c")).unwrap(), Some(two));
    assert_eq!(queue.rename(&prefix, "z", &name("d")).unwrap(), None);
    queue.cancel(two).unwrap();
    assert_eq!(queue.rename(&prefix, "y", &name("d")).unwrap(), None);
    // Told under a name that it has no more, it is told anew.
    assert_eq!(queue.rename(&prefix, "x", &name("e")).unwrap(), Some(one));
    queue.told(one, &name("a")).unwrap();
    assert_eq!(ids(&queue.over_and_untold(&prefix).unwrap()), [one, two]);
    queue.told(one, &name("e")).unwrap();
    assert_eq!(queue.untold(&prefix).unwrap(), [name("c")]);
    assert_eq!(queue.rename(&prefix, "x", &name("f")).unwrap(), Some(one));
    assert_eq!(ids(&queue.over_and_untold(&prefix).unwrap()), [one, two]);
    // What nobody was told of stays however old it is.
    queue.told(one, &name("f")).unwrap();
    thread::sleep(Duration::from_millis(5));
    assert_eq!(queue.forget_delivered(Duration::ZERO).unwrap(), 1);
    assert!(matches!(queue.job(one), Err(QueueError::NoJob(_))));
    assert_eq!(ids(&queue.over_and_untold(&prefix).unwrap()), [two]);
}

/// A job is to be done again with another task, and those after it.
fn done_again(queue: &dyn Fn() -> Queue) {
    let queue = queue();
    let after = |kind, place| NewJob { after: Some(place), ..new(kind) };
    let held = NewJob { hold: Some("one".to_owned()), ..new(Kind::C1) };
    let last = NewJob { hold: Some("word".to_owned()), ..after(Kind::Finalize, 1) };
    let [c1, c2, finalize] = queue.add(&[held, after(Kind::C2, 0), last]).unwrap()[..] else { unreachable!() };
    assert_eq!(ids(&queue.held("one").unwrap()), [c1]);
    assert!(queue.take(c1, "w", LONG).unwrap().is_none());
    assert!(matches!(queue.hold(c1, "two", "three", "x"), Err(QueueError::State { .. })));
    queue.hold(c1, "one", "two", "it has begun").unwrap();
    assert!(queue.held("one").unwrap().is_empty());
    queue.lift(c1, "{\"seed\":1}", "the first seed").unwrap();
    // The second does not begin before the first is done.
    assert!(queue.take(c2, "w", LONG).unwrap().is_none());
    let finish = |id, output: &[u8]| {
        let lease = queue.take(id, "w", LONG).unwrap().unwrap();
        assert!(queue.finish(&lease, &Outcome::Done(output.to_vec())).unwrap());
    };
    finish(c1, b"first");
    let lease = queue.take(c2, "w", LONG).unwrap().unwrap();
    // While one of them runs nothing changes.
    assert!(matches!(queue.again(c1, "{}", "x"), Err(QueueError::State { .. })));
    assert_eq!((queue.job(c1).unwrap().state, queue.output(c1).unwrap()), (State::Done, Some(b"first".to_vec())));
    queue.cancel(c2).unwrap();
    assert!(queue.finish(&lease, &Outcome::Cancelled).unwrap());
    queue.again(c1, "{\"seed\":2}", "another seed").unwrap();
    let states = [c1, c2, finalize].map(|id| queue.job(id).unwrap().state);
    assert_eq!(states, [State::Waiting; 3]);
    assert_eq!((queue.job(c1).unwrap().task.as_str(), queue.output(c1).unwrap()), ("{\"seed\":2}", None));
    finish(c1, b"second");
    assert_eq!(queue.input(&queue.job(c2).unwrap()).unwrap(), b"second");
    finish(c2, b"proof");
    assert_eq!(queue.job(finalize).unwrap().hold.as_deref(), Some("word"));
    assert_eq!(whats(&queue.events(c1).unwrap()).last(), Some(&"done"));
}

fn sectors(queue: &dyn Fn() -> Queue) {
    let queue = queue();
    let name = "f01000/5".to_owned();
    let row = |profile| SectorRow {
        profile,
        name: name.clone(),
        proof: "StackedDrg2KiBV1_1".into(),
        storage: "here".into(),
        path: "s-5".into(),
        added: 0,
    };
    let job = NewJob { sector: Some(name.clone()), ..new(Kind::Pc1) };
    let ids_of = queue.add_sector(&row(Profile::Filecoin), std::slice::from_ref(&job)).unwrap();
    let again = queue.add_sector(&row(Profile::Filecoin), std::slice::from_ref(&job)).unwrap_err();
    assert_eq!(again.to_string(), "sector f01000/5 of filecoin is in the queue already");
    assert_eq!(queue.jobs(0).unwrap().len(), 1);
    // The other network's is another.
    let other = NewJob { profile: Profile::Filecash, ..job };
    queue.add_sector(&row(Profile::Filecash), &[other]).unwrap();
    let found = queue.sectors().unwrap();
    assert_eq!(found.iter().map(|row| row.profile).collect::<Vec<_>>(), [Profile::Filecash, Profile::Filecoin]);
    assert_eq!(ids(&queue.jobs_of(Profile::Filecoin, &name).unwrap()), ids_of);
    assert_eq!(whats(&queue.events_of(Profile::Filecoin, &name).unwrap()), ["queued", "queued"]);
    assert!(!queue.forget_sector(Profile::Filecoin, &name).unwrap());
    queue.cancel(ids_of[0]).unwrap();
    assert!(queue.forget_sector(Profile::Filecoin, &name).unwrap());
    assert!(queue.jobs_of(Profile::Filecoin, &name).unwrap().is_empty());
    assert_eq!(queue.sectors().unwrap().len(), 1);
}

fn workers(queue: &dyn Fn() -> Queue) {
    let queue = queue();
    queue.hello("w", "one", "{}", LONG).unwrap();
    queue.hello("w", "one", "{\"a\":1}", LONG).unwrap();
    let error = queue.hello("w", "two", "{}", LONG).unwrap_err();
    assert_eq!(error.to_string(), "a worker named w lives already; give this one another name");
    queue.hello("v", "two", "{}", SHORT).unwrap();
    thread::sleep(Duration::from_millis(5));
    let lives = || queue.workers().unwrap().into_iter().map(|row| (row.name, row.lives)).collect::<Vec<_>>();
    assert_eq!(lives(), [("v".to_owned(), false), ("w".to_owned(), true)]);
    // Who is not heard of any more gives way, and so does who has said goodbye.
    queue.hello("v", "three", "{}", LONG).unwrap();
    queue.bye("w", "two").unwrap();
    assert!(lives()[1].1);
    queue.bye("w", "one").unwrap();
    assert!(!lives()[1].1);
    queue.hello("w", "four", "{}", LONG).unwrap();
}

/// However many jobs wait before it, one is found.
fn pages(queue: &dyn Fn() -> Queue) {
    let queue = queue();
    let added = queue.add(&vec![new(Kind::C2); PAGE + 3]).unwrap();
    let page = |page| ids(&queue.candidates(Kind::ALL, &[], None, page).unwrap());
    assert_eq!((page(0), page(1), page(2)), (added[..PAGE].to_vec(), added[PAGE..].to_vec(), vec![]));
}

fn blobs(queue: &dyn Fn() -> Queue) {
    let queue = queue();
    // A C1 output has tens of megabytes.
    let input: Vec<u8> = (0..20 << 20).map(|at: u32| (at % 251) as u8).collect();
    let id = queue.add(&[NewJob { input: Some(input.clone()), ..new(Kind::C2) }]).unwrap()[0];
    let job = queue.job(id).unwrap();
    assert!(queue.input(&job).unwrap() == input);
}

/// Every job is taken once, whoever takes them.
fn many_takers(queue: &dyn Fn() -> Queue) {
    let first = queue();
    let added = first.add(&vec![new(Kind::C2); 60]).unwrap();
    let queues: Vec<Queue> = (0..4).map(|_| queue()).collect();
    let taken: Vec<JobId> = thread::scope(|scope| {
        let takers: Vec<_> = queues
            .iter()
            .enumerate()
            .map(|(number, queue)| {
                scope.spawn(move || {
                    let name = format!("w{number}");
                    let mut taken = Vec::new();
                    loop {
                        let waiting = open(queue);
                        if waiting.is_empty() {
                            return taken;
                        }
                        for id in waiting {
                            if let Some(lease) = queue.take(id, &name, LONG).unwrap() {
                                assert!(queue.finish(&lease, &Outcome::Done(vec![])).unwrap());
                                taken.push(id);
                            }
                        }
                    }
                })
            })
            .collect();
        takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect()
    });
    let mut sorted = taken.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, added);
}

#[test]
fn places_are_told_without_their_passwords() {
    for (text, shown) in [
        ("jobs.sqlite", "jobs.sqlite"),
        ("postgres://me:secret@db.example:5433/miner?connect_timeout=3", "postgres://me@db.example:5433/miner"),
        ("postgres://me:sec@ret@db/miner", "postgres://me@db/miner"),
        ("postgresql://db/miner?password=secret", "postgresql://db/miner"),
    ] {
        let store: Store = text.parse().unwrap();
        assert_eq!(store.to_string(), shown);
        assert!(!format!("{store:?}").contains("sec"), "{store:?}");
    }
    for (text, is_exposed) in [
        ("postgres://db/miner", true),
        ("postgres://db/miner?sslmode=prefer", true),
        ("postgres://db/miner?sslmode=require", false),
        ("postgres://localhost,db/miner", true),
        ("postgres://localhost/miner", false),
        ("postgres://127.0.0.2/miner", false),
        ("postgres://%2Frun%2Fpostgresql/miner", false),
        ("jobs.sqlite", false),
    ] {
        assert_eq!(text.parse::<Store>().unwrap().is_exposed(), is_exposed, "{text}");
    }
    for wrong in [
        "",
        "mysql://db/miner",
        "postgres://db:no/miner",
        "postgres://db/miner?sslmode=no",
        "postgres://db/miner?tls=yes",
    ] {
        assert!(matches!(wrong.parse::<Store>(), Err(StoreError::Address { .. })), "{wrong}");
    }
}

#[test]
fn file_that_is_no_queue_is_refused_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.sqlite");
    std::fs::write(&path, b"these are my notes, not a database").unwrap();
    assert!(matches!(Queue::open(&Store::File(path.clone())), Err(StoreError::Sqlite { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"these are my notes, not a database");
    let queue = Store::File(folder.path().join("new.sqlite"));
    drop(Queue::open(&queue).unwrap());
    let Store::File(path) = &queue else { unreachable!() };
    rusqlite::Connection::open(path).unwrap().execute("UPDATE filecash_meta SET number = 9", []).unwrap();
    assert!(matches!(Queue::open(&queue), Err(StoreError::Newer { found: 9, known: 1, .. })));
}

fn worker() -> Worker {
    let one = [(Ability::Pc2, 1), (Ability::C2, 2), (Ability::Winning, 1)];
    let storage = choose::Storage { path: "/ssd".into(), seals: true, stores: false, free_bytes: 100 };
    Worker {
        host: "host".into(),
        process: 1,
        profile: None,
        places: one.into(),
        taken: BTreeMap::new(),
        storages: [("here".to_owned(), storage)].into(),
        memory_bytes: 1000,
        reserved_bytes: 0,
        vram: BTreeMap::new(),
        kept_bytes: 0,
        holds_for: None,
        stops: false,
        devices: "cpu".into(),
    }
}

fn waiting(id: JobId, kind: Kind, waited: Duration) -> Job {
    Job {
        id,
        profile: Profile::Filecoin,
        kind,
        sector: None,
        proof: String::new(),
        priority: kind.priority(),
        deadline: None,
        storage: None,
        after: None,
        after_state: None,
        hold: None,
        request: None,
        task: String::new(),
        state: State::Waiting,
        not_before: 0,
        attempts: 0,
        owner: None,
        lease: 0,
        lease_until: None,
        cancel: false,
        created: 1_000_000,
        started: None,
        finished: None,
        delivered: None,
        progress: None,
        device: None,
        error: None,
        ready: 1_000_000,
        now: 1_000_000 + waited.as_millis() as i64,
    }
}

#[test]
fn reasons_to_wait() {
    let needs = Needs { least_memory_bytes: 400, useful_memory_bytes: 900, disk_bytes: 60 };
    let at = |storage: &str| Job { storage: Some(storage.into()), ..waiting(7, Kind::Pc2, LONG) };
    let change = |change: fn(&mut Worker)| {
        let mut worker = worker();
        change(&mut worker);
        worker
    };
    let told = |job: &Job, workers: &[Worker]| choose::why(job, &needs, workers).to_string();
    assert_eq!(told(&at("here"), &[]), "for a worker: none is running");
    assert_eq!(told(&at("here"), &[worker()]), "for a worker to look");
    assert_eq!(told(&at("there"), &[worker()]), "for a worker with storage there, where its files are");
    assert_eq!(told(&waiting(7, Kind::Pc1, LONG), &[worker()]), "for a worker that does pc1");
    let full = change(|worker| worker.storages.get_mut("here").unwrap().free_bytes = 59);
    assert_eq!(told(&at("here"), &[full]), "for disk: 60 B needed, 59 B free in /ssd");
    let small = change(|worker| worker.memory_bytes = 399);
    assert_eq!(told(&at("here"), &[small]), "for a worker with 400 B of memory; there are 399 B");
    let used = change(|worker| worker.reserved_bytes = 601);
    assert_eq!(told(&at("here"), std::slice::from_ref(&used)), "for memory: 400 B needed, 399 B of 1000 B free");
    let busy = change(|worker| worker.taken = [(Ability::Pc2, 1)].into());
    assert_eq!(told(&at("here"), std::slice::from_ref(&busy)), "for one of 1 places for pc2");
    // Of several workers the one that is nearest to doing it counts.
    assert_eq!(told(&at("here"), &[used.clone(), busy]), "for one of 1 places for pc2");
    assert_eq!(told(&at("here"), &[used, worker()]), "for a worker to look");
    // One that is free, and keeps its memory for another.
    let holds = change(|worker| worker.holds_for = Some(5));
    let held = "for job 5, which has waited long for memory";
    assert_eq!(told(&at("here"), std::slice::from_ref(&holds)), held);
    assert_eq!(told(&Job { id: 5, ..at("here") }, std::slice::from_ref(&holds)), "for a worker to look");
    assert_eq!(told(&waiting(7, Kind::Winning, LONG), std::slice::from_ref(&holds)), "for a worker to look");
    assert_eq!(told(&at("here"), &[holds, worker()]), "for a worker to look");
    let other = change(|worker| worker.profile = Some(Profile::Filecash));
    assert_eq!(told(&at("here"), &[other]), "for a worker of profile filecoin");
    assert_eq!(
        told(&at("here"), &[change(|worker| worker.stops = true)]),
        "for a worker: the one that could do it stops"
    );
    let after = Job { after: Some(3), after_state: Some(State::Running), ..at("here") };
    assert_eq!(told(&after, &[worker()]), "for job 3");
}

#[test]
fn smaller_jobs_overtake_until_one_has_waited_long() {
    let needs = |job: &Job| Needs { least_memory_bytes: if job.id == 1 { 900 } else { 100 }, ..Needs::default() };
    let choose = |waited: Duration, with: &[Job]| {
        let mut busy = Worker { reserved_bytes: 200, ..worker() };
        // Whether they come in one page or in two.
        let first = [waiting(1, Kind::C2, waited)];
        let paged = busy.choose(&first, needs).or_else(|| busy.choose(with, needs)).map(|job| job.id);
        let mut busy = Worker { holds_for: None, ..busy };
        let chosen = busy.choose(&[&first, with].concat(), needs).map(|job| job.id);
        assert_eq!(chosen, paged);
        (chosen, busy.holds_for)
    };
    let small = waiting(2, Kind::C2, Duration::ZERO);
    let winning = waiting(3, Kind::Winning, Duration::ZERO);
    assert_eq!(choose(choose::PATIENCE, std::slice::from_ref(&small)), (Some(2), None));
    let longer = choose::PATIENCE + Duration::from_millis(1);
    assert_eq!(choose(longer, std::slice::from_ref(&small)), (None, Some(1)));
    assert_eq!(choose(longer, &[small, winning]), (Some(3), Some(1)));
    // Enough memory, and it is begun itself.
    assert_eq!(worker().choose(&[waiting(1, Kind::C2, longer)], needs).map(|job| job.id), Some(1));
    let full = Worker { taken: [(Ability::C2, 2)].into(), ..worker() };
    assert_eq!(full.open_kinds(), [Kind::Pc2, Kind::Synth, Kind::C1, Kind::Finalize, Kind::Winning]);
}
