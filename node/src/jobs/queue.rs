//! The queue itself: each method is one transaction.

use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use filecash_engine::sector::Profile;

use super::database::{Database, Row, Store, StoreError, Transaction, Unlike, Value};
use super::{
    Asked, Event, Job, JobId, Kind, Lease, NewJob, Outcome, Priority, Progress, QueueError, SectorRow, Stage, State,
    Tally, WorkerRow,
};
use crate::worker::task::Moved;

/// Version of the tables.
const SCHEMA: i64 = 1;
/// Jobs that a worker looks at, at a time.
pub const PAGE: usize = 256;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS filecash_meta (name TEXT PRIMARY KEY, number BIGINT NOT NULL);
    CREATE TABLE IF NOT EXISTS filecash_jobs (
        id {key}, profile TEXT NOT NULL, kind TEXT NOT NULL, sector TEXT, proof TEXT NOT NULL, priority BIGINT NOT NULL,
        deadline BIGINT, storage TEXT, after BIGINT, hold TEXT, request TEXT UNIQUE, digest TEXT, task TEXT NOT NULL,
        state TEXT NOT NULL, not_before BIGINT NOT NULL DEFAULT 0, attempts BIGINT NOT NULL DEFAULT 0,
        owner TEXT, lease BIGINT NOT NULL DEFAULT 0, lease_until BIGINT, cancel BIGINT NOT NULL DEFAULT 0,
        created BIGINT NOT NULL, started BIGINT, finished BIGINT, delivered BIGINT,
        stage TEXT, unit TEXT, done BIGINT NOT NULL DEFAULT 0, total BIGINT NOT NULL DEFAULT 0, stage_began BIGINT,
        device TEXT, error TEXT);
    CREATE INDEX IF NOT EXISTS filecash_jobs_state ON filecash_jobs (state, priority, deadline, id);
    CREATE INDEX IF NOT EXISTS filecash_jobs_sector ON filecash_jobs (profile, sector);
    CREATE INDEX IF NOT EXISTS filecash_jobs_after ON filecash_jobs (after);
    CREATE INDEX IF NOT EXISTS filecash_jobs_untold ON filecash_jobs (request) WHERE request IS NOT NULL AND delivered IS NULL;
    CREATE TABLE IF NOT EXISTS filecash_blobs (
        job BIGINT NOT NULL, role TEXT NOT NULL, bytes {bytes} NOT NULL, PRIMARY KEY (job, role));
    CREATE TABLE IF NOT EXISTS filecash_sectors (
        profile TEXT NOT NULL, name TEXT NOT NULL, proof TEXT NOT NULL, storage TEXT NOT NULL, path TEXT NOT NULL,
        added BIGINT NOT NULL, PRIMARY KEY (profile, name));
    CREATE TABLE IF NOT EXISTS filecash_events (
        id {key}, at BIGINT NOT NULL, job BIGINT, profile TEXT, sector TEXT, worker TEXT, what TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS filecash_events_job ON filecash_events (job);
    CREATE INDEX IF NOT EXISTS filecash_events_sector ON filecash_events (profile, sector);
    CREATE TABLE IF NOT EXISTS filecash_days (
        day BIGINT NOT NULL, kind TEXT NOT NULL, profile TEXT NOT NULL, proof TEXT NOT NULL, device TEXT NOT NULL,
        state TEXT NOT NULL, jobs BIGINT NOT NULL, took BIGINT NOT NULL,
        PRIMARY KEY (day, kind, profile, proof, device, state));
    CREATE TABLE IF NOT EXISTS filecash_workers (
        name TEXT PRIMARY KEY, instance TEXT NOT NULL, seen BIGINT NOT NULL, lives_until BIGINT NOT NULL, about TEXT NOT NULL);
";

const JOB: &str = "j.id, j.profile, j.kind, j.sector, j.proof, j.priority, j.deadline, j.storage, j.after, p.state, j.hold,
    j.request, j.task, j.state, j.not_before, j.attempts, j.owner, j.lease, j.lease_until, j.cancel, j.created, j.started,
    j.finished, j.delivered, j.stage, j.unit, j.done, j.total, j.stage_began, j.device, j.error, p.finished, {now}
    FROM filecash_jobs j LEFT JOIN filecash_jobs p ON p.id = j.after";

const SECTOR: &str = "SELECT profile, name, proof, storage, path, added FROM filecash_sectors";

/// How long a result stays that nobody fetches: nobody will, after a week.
pub const UNFETCHED: Duration = Duration::from_secs(7 * 86_400);

/// What requests begin with of askers who do not fetch results but are told of them.
pub const TOLD: &str = "lotus/";

/// Most urgent first.
const ORDER: &str = "j.priority DESC, COALESCE(j.deadline, 9223372036854775807), j.id";

/// Counts a job that is over, by its day: such counts stay when the job is forgotten.
const COUNT_IT: &str = "INSERT INTO filecash_days (day, kind, profile, proof, device, state, jobs, took)
    SELECT finished / 86400000, kind, profile, proof, COALESCE(device, ''), state, 1, finished - started
        FROM filecash_jobs WHERE id = $1
    ON CONFLICT (day, kind, profile, proof, device, state)
    DO UPDATE SET jobs = filecash_days.jobs + 1, took = filecash_days.took + excluded.took";

/// The queue, for any number of threads.
pub struct Queue {
    store: Store,
    database: Mutex<Database>,
}

impl Queue {
    /// Opens the queue, making it where there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(store: &Store) -> Result<Self, StoreError> {
        let mut database = Database::open(store)?;
        database.transaction(|transaction| {
            // Making what is there would wait for who writes to it.
            let made = "SELECT name FROM {tables} WHERE name = 'filecash_meta'";
            if transaction.query(made, &[])?.is_empty() {
                transaction.batch(TABLES)?;
            }
            let version = "SELECT number FROM filecash_meta WHERE name = 'schema'";
            let found = transaction.first(version, &[], Row::integer)?;
            match found {
                None => {
                    let insert = "INSERT INTO filecash_meta (name, number) VALUES ('schema', $1)";
                    transaction.execute(insert, &[SCHEMA.into()]).map(drop)
                }
                Some(found) if found > SCHEMA => {
                    Err(StoreError::Newer { store: transaction.store().clone(), found, known: SCHEMA })
                }
                Some(_) => Ok(()),
            }
        })?;
        Ok(Self { store: store.clone(), database: Mutex::new(database) })
    }

    /// Where it is kept.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn transaction<T>(&self, work: impl Fn(&mut Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.lock().transaction(work)
    }

    fn reading<T>(&self, work: impl Fn(&mut Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.lock().reading(work)
    }

    /// A panic in between has rolled its transaction back.
    fn lock(&self) -> MutexGuard<'_, Database> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues jobs, all or none; returns their numbers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add(&self, jobs: &[NewJob]) -> Result<Vec<JobId>, StoreError> {
        self.transaction(|transaction| add(transaction, jobs))
    }

    /// Queues a job that somebody asks for under a name of his own, unless he did before. One that failed or was cancelled gives the
    /// name free.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn ask(&self, wanted: &NewJob) -> Result<Asked, StoreError> {
        let known = "SELECT id, digest, state, cancel FROM filecash_jobs WHERE request = $1";
        let free = "UPDATE filecash_jobs SET request = NULL WHERE id = $1";
        let raise = "UPDATE filecash_jobs SET priority = $1 WHERE id = $2 AND priority < $1 AND state = 'waiting'";
        self.transaction(|transaction| {
            let read =
                |row: &mut Row| Ok((row.integer()?, row.maybe_text()?, row.parsed::<State>()?, row.integer()? != 0));
            let found = transaction.first(known, &[wanted.request.as_deref().into()], read)?;
            if let Some((id, digest, state, is_stopping)) = found {
                match state {
                    _ if digest != wanted.digest => return Ok(Asked::Other(id)),
                    State::Failed | State::Cancelled => drop(transaction.execute(free, &[id.into()])?),
                    // One that is to stop is as good as cancelled.
                    State::Running if is_stopping => drop(transaction.execute(free, &[id.into()])?),
                    _ => {
                        // Who asks again may be in more of a hurry.
                        transaction.execute(raise, &[wanted.priority.number().into(), id.into()])?;
                        return Ok(Asked::Known(id));
                    }
                }
            }
            Ok(Asked::Queued(add(transaction, std::slice::from_ref(wanted))?.first().copied().unwrap_or_default()))
        })
    }

    /// Which of some jobs are over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn over(&self, ids: &[JobId]) -> Result<Vec<JobId>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let list: Vec<String> = ids.iter().map(JobId::to_string).collect();
        let list = list.join(", ");
        // A job that is gone is over, too.
        let sql = format!("SELECT id FROM filecash_jobs WHERE id IN ({list}) AND state IN ('waiting', 'running')");
        let open = self.reading(|transaction| transaction.read(&sql, &[], Row::integer))?;
        Ok(ids.iter().copied().filter(|id| !open.contains(id)).collect())
    }

    /// Jobs by what they are, on what they are done and where they are now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tally(&self) -> Result<Vec<Tally>, StoreError> {
        let sql = "SELECT kind, profile, proof, COALESCE(device, ''), state, CAST(COUNT(*) AS BIGINT),
                CAST(COALESCE(SUM(finished - started), 0) AS BIGINT), CAST(MAX({now} - created) AS BIGINT)
            FROM filecash_jobs GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5";
        self.reading(|transaction| transaction.read(sql, &[], read_tally))
    }

    /// Jobs that were ever done or failed, those that are forgotten too.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn totals(&self) -> Result<Vec<Tally>, StoreError> {
        let sql = "SELECT kind, profile, proof, device, state, CAST(SUM(jobs) AS BIGINT), CAST(SUM(took) AS BIGINT),
                CAST(0 AS BIGINT)
            FROM filecash_days GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5";
        self.reading(|transaction| transaction.read(sql, &[], read_tally))
    }

    /// How many jobs wait whose requests begin so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn waiting(&self, prefix: &str) -> Result<u64, StoreError> {
        let sql = "SELECT CAST(COUNT(*) AS BIGINT) FROM filecash_jobs
            WHERE state = 'waiting' AND request LIKE $1";
        let values = [format!("{prefix}%").into()];
        let count = self.reading(|transaction| transaction.first(sql, &values, Row::integer))?;
        Ok(count.unwrap_or(0).unsigned_abs())
    }

    /// Jobs that were done on each of the last days, by kind: days are counted back from now, today is 0.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn days(&self, days: u32) -> Result<Vec<(i64, Kind, u64)>, StoreError> {
        let sql = "SELECT {now} / 86400000 - day, kind, CAST(SUM(jobs) AS BIGINT) FROM filecash_days
            WHERE state = 'done' AND day > {now} / 86400000 - $1 GROUP BY 1, 2 ORDER BY 1, 2";
        let since = [i64::from(days).into()];
        self.reading(|transaction| {
            transaction.read(sql, &since, |row| Ok((row.integer()?, row.parsed()?, row.integer()?.unsigned_abs())))
        })
    }

    /// Forgets jobs that somebody asked for and whose results he has had for so long, or that failed or were cancelled that long
    /// ago. Results that nobody has fetched stay for [`UNFETCHED`], those whose asker is to be told until he is ([`TOLD`]).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_delivered(&self, after: Duration) -> Result<u64, StoreError> {
        let old = "FROM filecash_jobs WHERE sector IS NULL AND
            (delivered < {now} - $1
                OR COALESCE(request, '') NOT LIKE $3 AND (state IN ('failed', 'cancelled') AND finished < {now} - $1
                    OR state = 'done' AND finished < {now} - $2))";
        self.transaction(|transaction| {
            let after = [millis(after).into(), millis(UNFETCHED).into(), format!("{TOLD}%").into()];
            transaction.execute(&format!("DELETE FROM filecash_blobs WHERE job IN (SELECT id {old})"), &after)?;
            transaction.execute(&format!("DELETE FROM filecash_events WHERE job IN (SELECT id {old})"), &after)?;
            transaction.execute(&format!("DELETE {old}"), &after)
        })
    }

    /// Notes a sector and queues its jobs.
    ///
    /// # Errors
    /// [`QueueError::SectorThere`]; [`StoreError`].
    pub fn add_sector(&self, sector: &SectorRow, jobs: &[NewJob]) -> Result<Vec<JobId>, QueueError> {
        let SectorRow { profile, name, proof, storage, path, .. } = sector;
        let added = self.transaction(|transaction| {
            let insert = "INSERT INTO filecash_sectors (profile, name, proof, storage, path, added)
                VALUES ($1, $2, $3, $4, $5, {now}) ON CONFLICT DO NOTHING";
            let values = [profile.name().into(), name.as_str().into(), proof.as_str().into()];
            let values = [&values[..], &[storage.as_str().into(), path.as_str().into()]].concat();
            match transaction.execute(insert, &values)? {
                0 => Ok(None),
                _ => {
                    tell(transaction, None, Some((profile.name(), name)), None, "queued")?;
                    add(transaction, jobs).map(Some)
                }
            }
        })?;
        added.ok_or_else(|| QueueError::SectorThere { profile: *profile, name: name.clone() })
    }

    /// Forgets a sector of which no job is left to do, and its jobs. Its files stay.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_sector(&self, profile: Profile, name: &str) -> Result<bool, StoreError> {
        self.transaction(|transaction| {
            let of_it = [profile.name().into(), name.into()];
            let busy = "SELECT id FROM filecash_jobs WHERE profile = $1 AND sector = $2 AND state IN ('waiting', 'running')";
            if !transaction.query(busy, &of_it)?.is_empty() {
                return Ok(false);
            }
            for sql in [
                "DELETE FROM filecash_blobs WHERE job IN (SELECT id FROM filecash_jobs WHERE profile = $1 AND sector = $2)",
                "DELETE FROM filecash_jobs WHERE profile = $1 AND sector = $2",
                "DELETE FROM filecash_events WHERE profile = $1 AND sector = $2",
            ] {
                transaction.execute(sql, &of_it)?;
            }
            let sql = "DELETE FROM filecash_sectors WHERE profile = $1 AND name = $2";
            Ok(transaction.execute(sql, &of_it)? > 0)
        })
    }

    /// The sectors, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sectors(&self) -> Result<Vec<SectorRow>, StoreError> {
        let sql = format!("{SECTOR} ORDER BY profile, added, name");
        self.reading(|transaction| transaction.read(&sql, &[], read_sector))
    }

    /// A sector.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sector(&self, profile: Profile, name: &str) -> Result<Option<SectorRow>, StoreError> {
        let sql = format!("{SECTOR} WHERE profile = $1 AND name = $2");
        self.reading(|transaction| transaction.first(&sql, &[profile.name().into(), name.into()], read_sector))
    }

    /// A job.
    ///
    /// # Errors
    /// [`QueueError::NoJob`]; [`StoreError`].
    pub fn job(&self, id: JobId) -> Result<Job, QueueError> {
        self.reading(|transaction| job(transaction, id))?.ok_or(QueueError::NoJob(id))
    }

    /// The job that somebody queued under a name of his own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn requested(&self, request: &str) -> Result<Option<Job>, StoreError> {
        let sql = format!("SELECT {JOB} WHERE j.request = $1");
        self.reading(|transaction| transaction.first(&sql, &[request.into()], read_job))
    }

    /// Jobs that are not over, most urgent first, then up to `over` that are, the last ones first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn jobs(&self, over: u32) -> Result<Vec<Job>, StoreError> {
        let open = format!("SELECT {JOB} WHERE j.state IN ('running', 'waiting') ORDER BY j.state, {ORDER}");
        let rest = format!(
            "SELECT {JOB} WHERE j.state IN ('done', 'failed', 'cancelled') ORDER BY j.finished DESC, j.id DESC LIMIT $1"
        );
        self.reading(|transaction| {
            let mut jobs = transaction.read(&open, &[], read_job)?;
            jobs.extend(transaction.read(&rest, &[i64::from(over).into()], read_job)?);
            Ok(jobs)
        })
    }

    /// The jobs of a sector, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn jobs_of(&self, profile: Profile, sector: &str) -> Result<Vec<Job>, StoreError> {
        let sql = format!("SELECT {JOB} WHERE j.profile = $1 AND j.sector = $2 ORDER BY j.id");
        self.reading(|transaction| transaction.read(&sql, &[profile.name().into(), sector.into()], read_job))
    }

    /// Jobs that a worker of such abilities, storages and network could do now, most urgent first: a page of [`PAGE`] of them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn candidates(
        &self,
        kinds: &[Kind],
        storages: &[&str],
        profile: Option<Profile>,
        page: usize,
    ) -> Result<Vec<Job>, StoreError> {
        if kinds.is_empty() {
            return Ok(Vec::new());
        }
        let kinds: Vec<String> = kinds.iter().map(|kind| format!("'{}'", kind.name())).collect();
        let places: Vec<String> = (2..2 + storages.len()).map(|number| format!("${number}")).collect();
        let here = match places.is_empty() {
            true => "j.storage IS NULL".to_owned(),
            false => format!("(j.storage IS NULL OR j.storage IN ({}))", places.join(", ")),
        };
        let sql = format!(
            "SELECT {JOB} WHERE j.state = 'waiting' AND j.hold IS NULL AND j.not_before <= {{now}}
                AND (j.after IS NULL OR p.state = 'done') AND j.kind IN ({}) AND (CAST($1 AS TEXT) IS NULL OR j.profile = $1)
                AND {here} ORDER BY {ORDER} LIMIT {PAGE} OFFSET {}",
            kinds.join(", "),
            page * PAGE
        );
        let mut values = vec![profile.map(Profile::name).into()];
        values.extend(storages.iter().map(|storage| Value::from(*storage)));
        self.reading(|transaction| transaction.read(&sql, &values, read_job))
    }

    /// Jobs that others do in these storages.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn running_elsewhere(&self, storages: &[&str], owner: &str) -> Result<Vec<Job>, StoreError> {
        if storages.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<String> = (2..2 + storages.len()).map(|number| format!("${number}")).collect();
        let places = places.join(", ");
        let sql = format!(
            "SELECT {JOB} WHERE j.state = 'running' AND j.owner <> $1 AND j.storage IN ({places}) ORDER BY j.id"
        );
        let mut values = vec![owner.into()];
        values.extend(storages.iter().map(|storage| Value::from(*storage)));
        self.reading(|transaction| transaction.read(&sql, &values, read_job))
    }

    /// Takes a waiting job for so long; `None` when another was faster.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn take(&self, id: JobId, owner: &str, lease: Duration) -> Result<Option<Lease>, StoreError> {
        let update =
            "UPDATE filecash_jobs SET state = 'running', owner = $1, lease = lease + 1, lease_until = {now} + $2,
            attempts = attempts + 1, started = {now}, finished = NULL, cancel = 0, stage = NULL, done = 0, total = 0,
            stage_began = NULL, device = NULL
            WHERE id = $3 AND state = 'waiting' AND hold IS NULL AND not_before <= {now}
                AND (after IS NULL OR after IN (SELECT p.id FROM filecash_jobs p WHERE p.state = 'done'))
            RETURNING lease";
        self.transaction(|transaction| {
            let values = [owner.into(), millis(lease).into(), id.into()];
            let Some(number) = transaction.first(update, &values, Row::integer)? else { return Ok(None) };
            tell_of(transaction, id, Some(owner), "begun")?;
            Ok(Some(Lease { job: id, owner: owner.to_owned(), number }))
        })
    }

    /// Renews a lease and says how far the job is; returns whether somebody wants it stopped, `None` when the lease is lost.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn renew(
        &self,
        lease: &Lease,
        until: Duration,
        stage: Option<&Stage>,
        device: Option<&str>,
    ) -> Result<Option<bool>, StoreError> {
        let update = "UPDATE filecash_jobs SET lease_until = {now} + $1, stage = $2, unit = $3, done = $4, total = $5,
            stage_began = {now} - $6, device = $7
            WHERE id = $8 AND owner = $9 AND lease = $10 AND state = 'running' RETURNING cancel";
        let text = |of: fn(&Stage) -> &String| Value::from(stage.map(|stage| of(stage).as_str()));
        let number = |of: fn(&Stage) -> u64| Value::from(stage.map_or(0, |stage| clamped(of(stage))));
        let lasted = stage.map_or(0, |stage| millis(stage.lasted));
        self.transaction(|transaction| {
            let mut values = vec![millis(until).into(), text(|stage| &stage.name), text(|stage| &stage.unit)];
            values.extend([number(|stage| stage.done), number(|stage| stage.total), lasted.into(), device.into()]);
            values.extend(held(lease));
            let cancel = transaction.first(update, &values, Row::integer)?;
            Ok(cancel.map(|cancel| cancel != 0))
        })
    }

    /// Says what came of a job; returns whether the lease still held, and nothing has changed where not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn finish(&self, lease: &Lease, outcome: &Outcome) -> Result<bool, StoreError> {
        let (state, error, wait, what) = match outcome {
            Outcome::Done(_) => (State::Done, None, 0, "done".to_owned()),
            Outcome::Failed(error) => (State::Failed, Some(error), 0, format!("failed: {error}")),
            Outcome::TryAgain(error, wait) => {
                let again = format!("failed, tried again in {} s: {error}", wait.as_secs());
                (State::Waiting, Some(error), millis(*wait), again)
            }
            Outcome::HandedBack => (State::Waiting, None, 0, "handed back by a worker that stops".to_owned()),
            Outcome::Cancelled => (State::Cancelled, None, 0, "cancelled".to_owned()),
        };
        let back = i64::from(*outcome == Outcome::HandedBack);
        // One that was to stop does not begin again.
        let update = "UPDATE filecash_jobs SET
            state = CASE WHEN cancel = 1 AND $1 = 'waiting' THEN 'cancelled' ELSE $1 END,
            error = $2, not_before = {now} + $3, attempts = attempts - $4,
            finished = CASE WHEN cancel = 0 AND $5 = 'waiting' THEN NULL ELSE {now} END, lease_until = NULL, stage = NULL
            WHERE id = $6 AND owner = $7 AND lease = $8 AND state = 'running'";
        self.transaction(|transaction| {
            let mut values = vec![state.name().into(), error.map(String::as_str).into(), wait.into(), back.into()];
            values.push(state.name().into());
            values.extend(held(lease));
            if transaction.execute(update, &values)? == 0 {
                return Ok(false);
            }
            if let Outcome::Done(output) = outcome {
                put(transaction, lease.job, OUTPUT, output)?;
                let checkpoint = "DELETE FROM filecash_blobs WHERE job = $1 AND role = $2";
                transaction.execute(checkpoint, &[lease.job.into(), CHECKPOINT.into()])?;
                // What was before it has had its use, and may be large; somebody who asked for it still wants it.
                let before = "DELETE FROM filecash_blobs WHERE role = $1 AND job IN (SELECT p.id FROM filecash_jobs j
                    JOIN filecash_jobs p ON p.id = j.after WHERE j.id = $2 AND p.request IS NULL)";
                transaction.execute(before, &[OUTPUT.into(), lease.job.into()])?;
                note_move(transaction, lease.job, output)?;
                // What somebody sent has had its use; a sector's own files give it again.
                let input = "DELETE FROM filecash_blobs WHERE job = $1 AND role = $2";
                transaction.execute(input, &[lease.job.into(), INPUT.into()])?;
            }
            if matches!(state, State::Done | State::Failed) {
                transaction.execute(COUNT_IT, &[lease.job.into()])?;
            }
            tell_of(transaction, lease.job, Some(&lease.owner), &what)?;
            Ok(true)
        })
    }

    /// Keeps what a job has reached so far, in place of what it kept before; returns whether the lease still held.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep(&self, lease: &Lease, checkpoint: &[u8]) -> Result<bool, StoreError> {
        // Nobody takes the job away between this and the next line.
        let ours =
            "UPDATE filecash_jobs SET lease = lease WHERE id = $1 AND owner = $2 AND lease = $3 AND state = 'running'";
        self.transaction(|transaction| {
            if transaction.execute(ours, &held(lease))? == 0 {
                return Ok(false);
            }
            put(transaction, lease.job, CHECKPOINT, checkpoint)?;
            tell_of(transaction, lease.job, Some(&lease.owner), &format!("kept {} bytes", checkpoint.len()))?;
            Ok(true)
        })
    }

    /// What a job kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn checkpoint(&self, id: JobId) -> Result<Option<Vec<u8>>, StoreError> {
        self.reading(|transaction| get(transaction, id, CHECKPOINT))
    }

    /// What a job reads: its own input, or the output of the job before it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn input(&self, job: &Job) -> Result<Vec<u8>, StoreError> {
        self.reading(|transaction| {
            let own = get(transaction, job.id, INPUT)?;
            let before = match (&own, job.after) {
                (None, Some(before)) => get(transaction, before, OUTPUT)?,
                _ => None,
            };
            Ok(own.or(before).unwrap_or_default())
        })
    }

    /// The result of a job that is done.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn output(&self, id: JobId) -> Result<Option<Vec<u8>>, StoreError> {
        self.reading(|transaction| get(transaction, id, OUTPUT))
    }

    /// Notes that who asked for a job has its result.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn deliver(&self, id: JobId) -> Result<(), StoreError> {
        let update = "UPDATE filecash_jobs SET delivered = {now} WHERE id = $1 AND delivered IS NULL";
        self.transaction(|transaction| transaction.execute(update, &[id.into()]).map(drop))
    }

    /// Names of requests that begin so and whose askers have no result yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn untold(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT request FROM filecash_jobs WHERE request LIKE $1 AND request IS NOT NULL AND delivered IS NULL ORDER BY id";
        self.reading(|transaction| transaction.read(sql, &[format!("{prefix}%").into()], Row::text))
    }

    /// Jobs that are over and of such requests, the first ones first: a page of [`PAGE`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn over_and_untold(&self, prefix: &str) -> Result<Vec<Job>, StoreError> {
        let sql = format!(
            "SELECT {JOB} WHERE j.request LIKE $1 AND j.request IS NOT NULL AND j.delivered IS NULL
                AND j.state IN ('done', 'failed', 'cancelled') ORDER BY j.finished, j.id LIMIT {PAGE}"
        );
        self.reading(|transaction| transaction.read(&sql, &[format!("{prefix}%").into()], read_job))
    }

    /// Notes that the asker of a request was told what came of it. Nothing changes where the job has another name by now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn told(&self, id: JobId, request: &str) -> Result<(), StoreError> {
        let update = "UPDATE filecash_jobs SET delivered = {now} WHERE id = $1 AND request = $2 AND delivered IS NULL";
        self.transaction(|transaction| transaction.execute(update, &[id.into(), request.into()]).map(drop))
    }

    /// Gives the job of a digest, if one is known that is done or will be, another name in place of one that begins so: its asker
    /// has lost the first, and is to be told anew.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rename(&self, prefix: &str, digest: &str, request: &str) -> Result<Option<JobId>, StoreError> {
        let find = "SELECT id FROM filecash_jobs WHERE request LIKE $1 AND digest = $2 AND cancel = 0
            AND state IN ('waiting', 'running', 'done') ORDER BY id LIMIT 1";
        let update = "UPDATE filecash_jobs SET request = $1, delivered = NULL WHERE id = $2";
        self.transaction(|transaction| {
            let known = [format!("{prefix}%").into(), digest.into()];
            let Some(id) = transaction.first(find, &known, Row::integer)? else { return Ok(None) };
            transaction.execute(update, &[request.into(), id.into()])?;
            tell_of(transaction, id, None, "asked for again")?;
            Ok(Some(id))
        })
    }

    /// Queues again what workers left whose leases have ended, or what one left that died before and is back under the same
    /// name; returns the numbers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reclaim(&self, died: Option<&str>) -> Result<Vec<JobId>, StoreError> {
        let find = "SELECT id, owner FROM filecash_jobs
            WHERE state = 'running' AND (lease_until < {now} OR owner = $1) ORDER BY id";
        let update = "UPDATE filecash_jobs SET state = CASE WHEN cancel = 1 THEN 'cancelled' ELSE 'waiting' END,
            finished = CASE WHEN cancel = 1 THEN {now} ELSE NULL END, lease_until = NULL, stage = NULL,
            attempts = attempts - 1
            WHERE id = $1 AND state = 'running' AND (lease_until < {now} OR owner = $2)";
        self.transaction(|transaction| {
            let left = transaction.read(find, &[died.into()], |row| Ok((row.integer()?, row.maybe_text()?)))?;
            let mut reclaimed = Vec::new();
            for (id, owner) in left {
                if transaction.execute(update, &[id.into(), died.into()])? > 0 {
                    let owner = owner.unwrap_or_default();
                    let what = match died {
                        Some(name) if name == owner => format!("queued again: {owner} was stopped while it ran"),
                        _ => format!("queued again: {owner} was not heard of any more"),
                    };
                    tell_of(transaction, id, None, &what)?;
                    reclaimed.push(id);
                }
            }
            Ok(reclaimed)
        })
    }

    /// Queues again a job that failed or was cancelled, and what was cancelled with it.
    ///
    /// # Errors
    /// [`QueueError::NoJob`], [`QueueError::State`]; [`StoreError`].
    pub fn retry(&self, id: JobId) -> Result<(), QueueError> {
        let update =
            "UPDATE filecash_jobs SET state = 'waiting', attempts = 0, not_before = 0, finished = NULL, error = NULL
            WHERE id = $1 AND state IN ('failed', 'cancelled')";
        // One that waits after a failure need not wait any longer.
        let now = "UPDATE filecash_jobs SET attempts = 0, not_before = 0 WHERE id = $1 AND state = 'waiting' AND not_before > {now}";
        self.change(id, "expected one that failed or was cancelled", |transaction, job| {
            let changed = transaction.execute(update, &[id.into()])? + transaction.execute(now, &[id.into()])?;
            if changed == 0 {
                return Ok(false);
            }
            tell_of(transaction, id, None, "queued again by hand")?;
            for id in followers(transaction, job.id)? {
                transaction.execute(update, &[id.into()])?;
            }
            Ok(true)
        })
    }

    /// Cancels a job that is not over, and those after it. A running one stops at its next safe point.
    ///
    /// # Errors
    /// [`QueueError::NoJob`], [`QueueError::State`]; [`StoreError`].
    pub fn cancel(&self, id: JobId) -> Result<(), QueueError> {
        let waiting =
            "UPDATE filecash_jobs SET state = 'cancelled', finished = {now} WHERE id = $1 AND state = 'waiting'";
        let running = "UPDATE filecash_jobs SET cancel = 1 WHERE id = $1 AND state = 'running'";
        self.change(id, "expected one that is not over", |transaction, job| {
            if transaction.execute(waiting, &[id.into()])? > 0 {
                tell_of(transaction, id, None, "cancelled by hand")?;
            } else if transaction.execute(running, &[id.into()])? > 0 {
                tell_of(transaction, id, None, "asked to stop by hand")?;
            } else {
                return Ok(false);
            }
            for id in followers(transaction, job.id)? {
                transaction.execute(waiting, &[id.into()])?;
            }
            Ok(true)
        })
    }

    /// Cancels a job that nobody has begun; returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_waiting(&self, id: JobId) -> Result<bool, StoreError> {
        let update =
            "UPDATE filecash_jobs SET state = 'cancelled', finished = {now} WHERE id = $1 AND state = 'waiting'";
        self.transaction(|transaction| {
            let dropped = transaction.execute(update, &[id.into()])? > 0;
            if dropped {
                tell_of(transaction, id, None, "cancelled: who asked for it is gone")?;
            }
            Ok(dropped)
        })
    }

    /// Lifts what a job waits for besides, and gives it another task, the one with it.
    ///
    /// # Errors
    /// [`QueueError::NoJob`], [`QueueError::State`] where it waits for nothing; [`StoreError`].
    pub fn lift(&self, id: JobId, task: &str, what: &str) -> Result<(), QueueError> {
        let update = "UPDATE filecash_jobs SET hold = NULL, task = $1 WHERE id = $2 AND hold IS NOT NULL";
        self.change(id, "expected one that is held", |transaction, _| {
            if transaction.execute(update, &[task.into(), id.into()])? == 0 {
                return Ok(false);
            }
            tell_of(transaction, id, None, what)?;
            Ok(true)
        })
    }

    /// Lets a job wait for something else than before.
    ///
    /// # Errors
    /// [`QueueError::NoJob`], [`QueueError::State`] where it waits for something else; [`StoreError`].
    pub fn hold(&self, id: JobId, before: &str, hold: &str, what: &str) -> Result<(), QueueError> {
        let update = "UPDATE filecash_jobs SET hold = $1 WHERE id = $2 AND hold = $3";
        self.change(id, "expected one that waits for that", |transaction, _| {
            if transaction.execute(update, &[hold.into(), id.into(), before.into()])? == 0 {
                return Ok(false);
            }
            tell_of(transaction, id, None, what)?;
            Ok(true)
        })
    }

    /// Queues again a job that is over or waits, with another task, and those after it: what came of them is of the task before.
    ///
    /// # Errors
    /// [`QueueError::NoJob`], [`QueueError::State`] where one of them runs; [`StoreError`].
    pub fn again(&self, id: JobId, task: &str, what: &str) -> Result<(), QueueError> {
        // Nobody takes one of them between this and the end.
        let ours = "UPDATE filecash_jobs SET lease = lease WHERE id = $1 AND state <> 'running'";
        let update = "UPDATE filecash_jobs SET state = 'waiting', attempts = 0, not_before = 0, started = NULL,
            finished = NULL, delivered = NULL, error = NULL, cancel = 0 WHERE id = $1";
        let retask = "UPDATE filecash_jobs SET task = $1 WHERE id = $2";
        self.change(id, "expected one that does not run, nor those after it", |transaction, _| {
            let all: Vec<JobId> = [id].into_iter().chain(followers(transaction, id)?).collect();
            for id in &all {
                if transaction.execute(ours, &[(*id).into()])? == 0 {
                    return Ok(false);
                }
            }
            for id in &all {
                transaction.execute(update, &[(*id).into()])?;
                for role in [OUTPUT, CHECKPOINT] {
                    let sql = "DELETE FROM filecash_blobs WHERE job = $1 AND role = $2";
                    transaction.execute(sql, &[(*id).into(), role.into()])?;
                }
            }
            transaction.execute(retask, &[task.into(), id.into()])?;
            tell_of(transaction, id, None, what)?;
            Ok(true)
        })
    }

    /// Tries a job again that failed, after a while; why it failed is still told.
    ///
    /// # Errors
    /// [`QueueError::NoJob`], [`QueueError::State`] where it did not fail; [`StoreError`].
    pub fn postpone(&self, id: JobId, wait: Duration) -> Result<(), QueueError> {
        let update =
            "UPDATE filecash_jobs SET state = 'waiting', attempts = 0, not_before = {now} + $1, finished = NULL
            WHERE id = $2 AND state = 'failed'";
        self.change(id, "expected one that failed", |transaction, _| {
            if transaction.execute(update, &[millis(wait).into(), id.into()])? == 0 {
                return Ok(false);
            }
            tell_of(transaction, id, None, &format!("tried again in {} s: who asked for it waits", wait.as_secs()))?;
            Ok(true)
        })
    }

    /// Jobs that wait for something.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn held(&self, hold: &str) -> Result<Vec<Job>, StoreError> {
        let sql = format!("SELECT {JOB} WHERE j.state = 'waiting' AND j.hold = $1 ORDER BY j.id");
        self.reading(|transaction| transaction.read(&sql, &[hold.into()], read_job))
    }

    /// Notes what happened to a sector.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tell_of_sector(&self, row: &SectorRow, what: &str) -> Result<(), StoreError> {
        self.transaction(|transaction| tell(transaction, None, Some((row.profile.name(), &row.name)), None, what))
    }

    fn change(
        &self,
        id: JobId,
        expected: &'static str,
        change: impl Fn(&mut Transaction<'_>, &Job) -> Result<bool, StoreError>,
    ) -> Result<(), QueueError> {
        let outcome = self.transaction(|transaction| {
            let Some(job) = job(transaction, id)? else { return Ok(None) };
            Ok(Some((change(transaction, &job)?, job.state)))
        })?;
        match outcome {
            None => Err(QueueError::NoJob(id)),
            Some((false, state)) => Err(QueueError::State { id, state, expected }),
            Some((true, _)) => Ok(()),
        }
    }

    /// What happened to a sector, from the beginning.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn events_of(&self, profile: Profile, sector: &str) -> Result<Vec<Event>, StoreError> {
        let sql = "SELECT at, job, worker, what FROM filecash_events WHERE profile = $1 AND sector = $2 ORDER BY id";
        self.reading(|transaction| transaction.read(sql, &[profile.name().into(), sector.into()], read_event))
    }

    /// What happened to a job, from the beginning.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn events(&self, id: JobId) -> Result<Vec<Event>, StoreError> {
        let sql = "SELECT at, job, worker, what FROM filecash_events WHERE job = $1 ORDER BY id";
        self.reading(|transaction| transaction.read(sql, &[id.into()], read_event))
    }

    /// Notes a worker that begins, for so long; `instance` is this very process.
    ///
    /// # Errors
    /// [`QueueError::WorkerLives`]; [`StoreError`].
    pub fn hello(&self, name: &str, instance: &str, about: &str, lease: Duration) -> Result<(), QueueError> {
        let upsert = "INSERT INTO filecash_workers (name, instance, seen, lives_until, about)
            VALUES ($1, $2, {now}, {now} + $3, $4)
            ON CONFLICT (name) DO UPDATE SET instance = excluded.instance, seen = excluded.seen,
            lives_until = excluded.lives_until, about = excluded.about
            WHERE filecash_workers.instance = excluded.instance OR filecash_workers.lives_until < {now}";
        let values = [name.into(), instance.into(), millis(lease).into(), about.into()];
        match self.transaction(|transaction| transaction.execute(upsert, &values))? {
            0 => Err(QueueError::WorkerLives { name: name.to_owned() }),
            _ => Ok(()),
        }
    }

    /// Notes that a worker ends.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn bye(&self, name: &str, instance: &str) -> Result<(), StoreError> {
        let update = "UPDATE filecash_workers SET lives_until = 0 WHERE name = $1 AND instance = $2";
        self.transaction(|transaction| transaction.execute(update, &[name.into(), instance.into()]).map(drop))
    }

    /// Every worker that was ever heard of.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        let sql = "SELECT name, seen, lives_until, {now}, about FROM filecash_workers ORDER BY name";
        self.reading(|transaction| {
            transaction.read(sql, &[], |row| {
                let (name, seen) = (row.text()?, row.integer()?);
                let lives = row.integer()? >= row.integer()?;
                Ok(WorkerRow { name, seen, lives, about: row.text()? })
            })
        })
    }
}

/// Roles of a job's bytes.
const INPUT: &str = "input";
const OUTPUT: &str = "output";
const CHECKPOINT: &str = "checkpoint";

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}

fn clamped(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn held(lease: &Lease) -> [Value; 3] {
    [lease.job.into(), lease.owner.as_str().into(), lease.number.into()]
}

fn add(transaction: &mut Transaction<'_>, jobs: &[NewJob]) -> Result<Vec<JobId>, StoreError> {
    let insert = "INSERT INTO filecash_jobs
        (profile, kind, sector, proof, priority, deadline, storage, after, hold, request, digest, task, state, created)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'waiting', {now}) RETURNING id";
    let mut ids: Vec<JobId> = Vec::with_capacity(jobs.len());
    for job in jobs {
        let after = job.after.and_then(|place| ids.get(place).copied());
        let values = [
            job.profile.name().into(),
            job.kind.name().into(),
            job.sector.as_deref().into(),
            job.proof.as_str().into(),
            job.priority.number().into(),
            job.deadline.into(),
            job.storage.as_deref().into(),
            after.into(),
            job.hold.as_deref().into(),
            job.request.as_deref().into(),
            job.digest.as_deref().into(),
            job.task.as_str().into(),
        ];
        let Some(id) = transaction.first(insert, &values, Row::integer)? else { continue };
        if let Some(input) = &job.input {
            put(transaction, id, INPUT, input)?;
        }
        tell(transaction, Some(id), job.sector.as_deref().map(|name| (job.profile.name(), name)), None, "queued")?;
        ids.push(id);
    }
    Ok(ids)
}

fn job(transaction: &mut Transaction<'_>, id: JobId) -> Result<Option<Job>, StoreError> {
    transaction.first(&format!("SELECT {JOB} WHERE j.id = $1"), &[id.into()], read_job)
}

/// The jobs that come after one, however far.
fn followers(transaction: &mut Transaction<'_>, id: JobId) -> Result<Vec<JobId>, StoreError> {
    let mut all = Vec::new();
    let mut next = vec![id];
    while let Some(id) = next.pop() {
        let sql = "SELECT id FROM filecash_jobs WHERE after = $1 ORDER BY id";
        let of_it = transaction.read(sql, &[id.into()], Row::integer)?;
        next.extend(&of_it);
        all.extend(of_it);
    }
    Ok(all)
}

/// After finalize a sector may be elsewhere.
fn note_move(transaction: &mut Transaction<'_>, id: JobId, output: &[u8]) -> Result<(), StoreError> {
    let Some(job) = job(transaction, id)? else { return Ok(()) };
    let (Kind::Finalize, Some(sector)) = (job.kind, job.sector) else { return Ok(()) };
    let Ok(Moved { storage, folder }) = serde_json::from_slice(output) else { return Ok(()) };
    let update = "UPDATE filecash_sectors SET storage = $1, path = $2 WHERE profile = $3 AND name = $4";
    let values = [storage.into(), folder.into(), job.profile.name().into(), sector.into()];
    transaction.execute(update, &values).map(drop)
}

fn put(transaction: &mut Transaction<'_>, id: JobId, role: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let upsert = "INSERT INTO filecash_blobs (job, role, bytes) VALUES ($1, $2, $3)
        ON CONFLICT (job, role) DO UPDATE SET bytes = excluded.bytes";
    transaction.execute(upsert, &[id.into(), role.into(), bytes.into()]).map(drop)
}

fn get(transaction: &mut Transaction<'_>, id: JobId, role: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT bytes FROM filecash_blobs WHERE job = $1 AND role = $2";
    transaction.first(sql, &[id.into(), role.into()], Row::bytes)
}

/// Notes what happened to a job.
fn tell_of(transaction: &mut Transaction<'_>, id: JobId, worker: Option<&str>, what: &str) -> Result<(), StoreError> {
    let sector = "SELECT profile, sector FROM filecash_jobs WHERE id = $1";
    let found = transaction.first(sector, &[id.into()], |row| Ok((row.text()?, row.maybe_text()?)))?;
    let sector = found.as_ref().and_then(|(profile, name)| Some((profile.as_str(), name.as_deref()?)));
    tell(transaction, Some(id), sector, worker, what)
}

fn tell(
    transaction: &mut Transaction<'_>,
    job: Option<JobId>,
    sector: Option<(&str, &str)>,
    worker: Option<&str>,
    what: &str,
) -> Result<(), StoreError> {
    let insert =
        "INSERT INTO filecash_events (at, job, profile, sector, worker, what) VALUES ({now}, $1, $2, $3, $4, $5)";
    let (profile, name) = sector.unzip();
    let values = [job.into(), profile.into(), name.into(), worker.into(), what.into()];
    transaction.execute(insert, &values).map(drop)
}

fn read_tally(row: &mut Row) -> Result<Tally, Unlike> {
    Ok(Tally {
        kind: row.parsed()?,
        profile: row.parsed()?,
        proof: row.text()?,
        device: row.text()?,
        state: row.parsed()?,
        jobs: row.integer()?.unsigned_abs(),
        took: row.integer()?.max(0).unsigned_abs(),
        oldest: row.integer()?.max(0).unsigned_abs(),
    })
}

fn read_sector(row: &mut Row) -> Result<SectorRow, Unlike> {
    Ok(SectorRow {
        profile: row.parsed()?,
        name: row.text()?,
        proof: row.text()?,
        storage: row.text()?,
        path: row.text()?,
        added: row.integer()?,
    })
}

fn read_event(row: &mut Row) -> Result<Event, Unlike> {
    Ok(Event { at: row.integer()?, job: row.maybe_integer()?, worker: row.maybe_text()?, what: row.text()? })
}

fn maybe<T: FromStr>(row: &mut Row) -> Result<Option<T>, Unlike> {
    let text = row.maybe_text()?;
    text.map(|text| text.parse().map_err(|_| Unlike(format!("{text:?}")))).transpose()
}

fn read_job(row: &mut Row) -> Result<Job, Unlike> {
    let mut job = Job {
        id: row.integer()?,
        profile: row.parsed()?,
        kind: row.parsed()?,
        sector: row.maybe_text()?,
        proof: row.text()?,
        priority: Priority::from_number(row.integer()?),
        deadline: row.maybe_integer()?,
        storage: row.maybe_text()?,
        after: row.maybe_integer()?,
        after_state: maybe(row)?,
        hold: row.maybe_text()?,
        request: row.maybe_text()?,
        task: row.text()?,
        state: row.parsed()?,
        not_before: row.integer()?,
        attempts: row.integer()?,
        owner: row.maybe_text()?,
        lease: row.integer()?,
        lease_until: row.maybe_integer()?,
        cancel: row.integer()? != 0,
        created: row.integer()?,
        started: row.maybe_integer()?,
        finished: row.maybe_integer()?,
        delivered: row.maybe_integer()?,
        progress: None,
        device: None,
        error: None,
        ready: 0,
        now: 0,
    };
    let (stage, unit, done, total) = (row.maybe_text()?, row.maybe_text()?, row.integer()?, row.integer()?);
    let began = row.maybe_integer()?;
    job.device = row.maybe_text()?;
    job.error = row.maybe_text()?;
    job.ready = job.created.max(job.not_before).max(row.maybe_integer()?.unwrap_or(0));
    job.now = row.integer()?;
    job.progress = stage.zip(began).map(|(stage, began)| {
        let unit = unit.unwrap_or_default();
        Progress { stage, unit, done, total, began }
    });
    Ok(job)
}
