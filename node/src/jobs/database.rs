//! The database behind the queue: SQLite in a file, or PostgreSQL (YugabyteDB speaks it too), with one SQL text for both.
//!
//! Integers are 64 bits wide, texts UTF-8. Parameters are written `$1`, and `{now}` is the database's clock in milliseconds
//! since 1970, so that machines need not agree on the time. Every change is a transaction; one that the database could not
//! keep apart from another is done again, and a server that was gone is called again.

use std::error::Error as StdError;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use postgres::error::SqlState;
use postgres::types::private::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params_from_iter};

use server::Address;

mod server;

/// How long a connection waits for another's transaction.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a transaction is tried that others interfere with.
const TRIES: u32 = 8;

/// Where the queue is kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Store {
    /// An SQLite file, made if it is not there.
    File(PathBuf),
    /// A server: `postgres://user:password@host:port/database`, with `?sslmode=require` encrypted.
    Server(String),
}

impl FromStr for Store {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Address::from_str(text)?;
            return Ok(Self::Server(text.to_owned()));
        }
        if text.is_empty() || text.contains("://") {
            return Err(StoreError::Address { reason: "it is neither a path nor postgres://…".to_owned() });
        }
        Ok(Self::File(text.into()))
    }
}

impl Store {
    /// Whether passwords and jobs travel to another machine unencrypted.
    pub fn is_exposed(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Server(url) => Address::from_str(url).is_ok_and(|address| address.is_exposed()),
        }
    }
}

/// Without the password.
impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(url) => {
                let Some((scheme, rest)) = url.split_once("://") else { return f.write_str("postgres") };
                let end = rest.find('/').unwrap_or(rest.len());
                match rest[..end].rsplit_once('@') {
                    None => f.write_str(url.split('?').next().unwrap_or_default()),
                    Some((login, host)) => {
                        let user = login.split(':').next().unwrap_or_default();
                        let path = rest[end..].split('?').next().unwrap_or_default();
                        write!(f, "{scheme}://{user}@{host}{path}")
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({self})")
    }
}

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum StoreError {
    #[error("this is no place for a queue: {reason}")]
    Address { reason: String },
    #[error("cannot use the certificates in {}: {reason}", path.display())]
    Certificates { path: PathBuf, reason: String },
    #[error("cannot make the folder {}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("the queue in {store}")]
    Sqlite { store: Store, source: rusqlite::Error },
    #[error("the queue in {store}")]
    Postgres { store: Store, source: postgres::Error },
    #[error("the queue in {store} was made by a newer program (version {found}, this one knows {known})")]
    Newer { store: Store, found: i64, known: i64 },
    #[error("the queue in {store} holds what this program did not write: {what}")]
    Unexpected { store: Store, what: String },
}

/// What a column holds or a parameter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

/// PostgreSQL's texts have no zeros.
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.replace('\0', "\u{fffd}"))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        value.as_str().into()
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
        }))
    }
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(value) => value.to_sql_checked(kind, out),
            Self::Text(value) => value.to_sql_checked(kind, out),
            Self::Bytes(value) => value.to_sql_checked(kind, out),
        }
    }

    fn accepts(_kind: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        match *kind {
            Type::INT8 => i64::from_sql(kind, raw).map(Self::Integer),
            Type::BYTEA => Vec::from_sql(kind, raw).map(Self::Bytes),
            _ => String::from_sql(kind, raw).map(Self::Text),
        }
    }

    fn from_sql_null(_kind: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT8 | Type::BYTEA | Type::TEXT | Type::VARCHAR)
    }
}

/// A row of an answer, read from left to right.
pub(super) struct Row(std::vec::IntoIter<Value>);

/// A column holds something else than it should.
#[derive(Debug)]
pub(super) struct Unlike(pub String);

impl Row {
    fn next(&mut self) -> Value {
        self.0.next().unwrap_or(Value::Null)
    }

    pub fn maybe_integer(&mut self) -> Result<Option<i64>, Unlike> {
        match self.next() {
            Value::Null => Ok(None),
            Value::Integer(value) => Ok(Some(value)),
            other => Err(Unlike(format!("{other:?} for a number"))),
        }
    }

    pub fn integer(&mut self) -> Result<i64, Unlike> {
        self.maybe_integer()?.ok_or_else(|| Unlike("nothing for a number".to_owned()))
    }

    pub fn maybe_text(&mut self) -> Result<Option<String>, Unlike> {
        match self.next() {
            Value::Null => Ok(None),
            Value::Text(value) => Ok(Some(value)),
            other => Err(Unlike(format!("{other:?} for a text"))),
        }
    }

    pub fn text(&mut self) -> Result<String, Unlike> {
        self.maybe_text()?.ok_or_else(|| Unlike("nothing for a text".to_owned()))
    }

    /// A text that stands for something.
    pub fn parsed<T: FromStr>(&mut self) -> Result<T, Unlike> {
        let text = self.text()?;
        text.parse().map_err(|_| Unlike(format!("{text:?}")))
    }

    pub fn bytes(&mut self) -> Result<Vec<u8>, Unlike> {
        match self.next() {
            Value::Bytes(value) => Ok(value),
            other => Err(Unlike(format!("{other:?} for bytes"))),
        }
    }
}

enum Link {
    Sqlite(Connection),
    Postgres(Box<postgres::Client>),
}

/// A connection.
pub(super) struct Database {
    store: Store,
    /// None while the server is gone.
    link: Option<Link>,
}

/// Words in which the databases differ.
struct Dialect {
    now: &'static str,
    key: &'static str,
    bytes: &'static str,
    tables: &'static str,
}

const SQLITE: Dialect = Dialect {
    now: "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
    key: "INTEGER PRIMARY KEY AUTOINCREMENT",
    bytes: "BLOB",
    tables: "(SELECT name FROM sqlite_master WHERE type = 'table')",
};
const POSTGRES: Dialect = Dialect {
    now: "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
    key: "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
    bytes: "BYTEA",
    tables: "(SELECT CAST(relname AS TEXT) AS name FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid)) AS t",
};

impl Dialect {
    fn text(&self, sql: &str) -> String {
        sql.replace("{now}", self.now)
            .replace("{key}", self.key)
            .replace("{bytes}", self.bytes)
            .replace("{tables}", self.tables)
    }
}

impl Database {
    /// Connects.
    pub fn open(store: &Store) -> Result<Self, StoreError> {
        let mut database = Self { store: store.clone(), link: None };
        database.link()?;
        Ok(database)
    }

    fn link(&mut self) -> Result<&mut Link, StoreError> {
        if let Some(Link::Postgres(client)) = &self.link
            && client.is_closed()
        {
            self.link = None;
        }
        if self.link.is_none() {
            self.link = Some(match &self.store {
                Store::File(path) => Link::Sqlite(open_file(path, &self.store)?),
                Store::Server(url) => {
                    let client = Address::from_str(url)?.connect(&self.store)?;
                    Link::Postgres(Box::new(client))
                }
            });
        }
        Ok(self.link.as_mut().expect("it was just made"))
    }

    /// Does some work wholly or not at all. It is done again where another transaction was in its way.
    pub fn transaction<T>(
        &mut self,
        work: impl Fn(&mut Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // A transaction that begins by reading could not write any more once another has.
        self.attempt(TransactionBehavior::Immediate, work)
    }

    /// Reads, and waits for nobody who writes.
    pub fn reading<T>(
        &mut self,
        work: impl Fn(&mut Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.attempt(TransactionBehavior::Deferred, work)
    }

    fn attempt<T>(
        &mut self,
        behavior: TransactionBehavior,
        work: impl Fn(&mut Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let store = self.store.clone();
        let mut tries = 1;
        loop {
            let outcome = match self.link()? {
                Link::Sqlite(connection) => in_file(connection, behavior, &store, &work),
                Link::Postgres(client) => on_server(client, &store, &work),
            };
            match outcome {
                Err(error) if tries < TRIES && is_worth_repeating(&error) => {
                    // Not all at the same time again.
                    thread::sleep(Duration::from_millis(u64::from(std::process::id() % 7 + 3 * tries)));
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }
}

fn in_file<T>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    store: &Store,
    work: &impl Fn(&mut Transaction<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let failed = |source| StoreError::Sqlite { store: store.clone(), source };
    let inner = connection.transaction_with_behavior(behavior).map_err(failed)?;
    let mut transaction = Transaction { store, inner: Inner::Sqlite(inner) };
    let outcome = work(&mut transaction)?;
    let Inner::Sqlite(inner) = transaction.inner else { return Ok(outcome) };
    inner.commit().map_err(failed)?;
    Ok(outcome)
}

fn on_server<T>(
    client: &mut postgres::Client,
    store: &Store,
    work: &impl Fn(&mut Transaction<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let failed = |source| StoreError::Postgres { store: store.clone(), source };
    let inner = client.transaction().map_err(failed)?;
    let mut transaction = Transaction { store, inner: Inner::Postgres(inner) };
    let outcome = work(&mut transaction)?;
    let Inner::Postgres(inner) = transaction.inner else { return Ok(outcome) };
    inner.commit().map_err(failed)?;
    Ok(outcome)
}

/// Whether the database says that it was only somebody else's transaction.
fn is_worth_repeating(error: &StoreError) -> bool {
    match error {
        StoreError::Postgres { source, .. } => source.code().is_some_and(|code| {
            // The last two: tables that two make at the same time.
            [
                SqlState::T_R_SERIALIZATION_FAILURE,
                SqlState::T_R_DEADLOCK_DETECTED,
                SqlState::LOCK_NOT_AVAILABLE,
                SqlState::UNIQUE_VIOLATION,
                SqlState::DUPLICATE_TABLE,
            ]
            .contains(code)
        }),
        StoreError::Sqlite { source, .. } => {
            matches!(source.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy))
        }
        _ => false,
    }
}

fn open_file(path: &Path, store: &Store) -> Result<Connection, StoreError> {
    let failed = |source| StoreError::Sqlite { store: store.clone(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|source| StoreError::Folder { path: folder.to_owned(), source })?;
    }
    // A path is not taken for a URI, and a connection stays with one thread at a time.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    // Readers do not wait for a writer, and what was committed is there after a crash.
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", "ON").map_err(failed)?;
    Ok(connection)
}

enum Inner<'a> {
    Sqlite(rusqlite::Transaction<'a>),
    Postgres(postgres::Transaction<'a>),
}

/// Work that is done wholly or not at all.
pub(super) struct Transaction<'a> {
    store: &'a Store,
    inner: Inner<'a>,
}

impl Transaction<'_> {
    /// Changes rows; returns how many.
    pub fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<u64, StoreError> {
        let store = self.store.clone();
        match &mut self.inner {
            Inner::Sqlite(transaction) => {
                let run = || -> rusqlite::Result<usize> {
                    transaction.prepare(&sqlite_text(sql))?.execute(params_from_iter(parameters))
                };
                run().map(|rows| rows as u64).map_err(|source| StoreError::Sqlite { store, source })
            }
            Inner::Postgres(transaction) => transaction
                .execute(POSTGRES.text(sql).as_str(), &for_postgres(parameters))
                .map_err(|source| StoreError::Postgres { store, source }),
        }
    }

    /// Runs statements without parameters.
    pub fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        let store = self.store.clone();
        match &mut self.inner {
            Inner::Sqlite(transaction) => {
                transaction.execute_batch(&SQLITE.text(sql)).map_err(|source| StoreError::Sqlite { store, source })
            }
            Inner::Postgres(transaction) => {
                transaction.batch_execute(&POSTGRES.text(sql)).map_err(|source| StoreError::Postgres { store, source })
            }
        }
    }

    /// Reads rows.
    pub fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, StoreError> {
        let store = self.store.clone();
        match &mut self.inner {
            Inner::Sqlite(transaction) => {
                let run = || -> rusqlite::Result<Vec<Row>> {
                    let mut statement = transaction.prepare(&sqlite_text(sql))?;
                    let columns = statement.column_count();
                    let rows = statement.query_map(params_from_iter(parameters), |row| {
                        let values: rusqlite::Result<Vec<_>> =
                            (0..columns).map(|column| row.get_ref(column).map(owned)).collect();
                        Ok(Row(values?.into_iter()))
                    })?;
                    rows.collect()
                };
                run().map_err(|source| StoreError::Sqlite { store, source })
            }
            Inner::Postgres(transaction) => {
                let mut run = || -> Result<Vec<Row>, postgres::Error> {
                    let rows = transaction.query(POSTGRES.text(sql).as_str(), &for_postgres(parameters))?;
                    let values = |row: postgres::Row| -> Result<Row, postgres::Error> {
                        let values: Result<Vec<Value>, _> = (0..row.len()).map(|column| row.try_get(column)).collect();
                        Ok(Row(values?.into_iter()))
                    };
                    rows.into_iter().map(values).collect()
                };
                run().map_err(|source| StoreError::Postgres { store, source })
            }
        }
    }

    /// Reads rows as things.
    pub fn read<T>(
        &mut self,
        sql: &str,
        parameters: &[Value],
        read: impl Fn(&mut Row) -> Result<T, Unlike>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.query(sql, parameters)?;
        let things = rows.into_iter().map(|mut row| read(&mut row)).collect::<Result<_, _>>();
        things.map_err(|Unlike(what)| StoreError::Unexpected { store: self.store.clone(), what })
    }

    /// Reads the first row, if there is one.
    pub fn first<T>(
        &mut self,
        sql: &str,
        parameters: &[Value],
        read: impl Fn(&mut Row) -> Result<T, Unlike>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.read(sql, parameters, read)?.into_iter().next())
    }

    /// The database, for errors.
    pub fn store(&self) -> &Store {
        self.store
    }
}

/// `$1` names a parameter there, `?1` numbers it.
fn sqlite_text(sql: &str) -> String {
    SQLITE.text(sql).replace('$', "?")
}

fn for_postgres(parameters: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    parameters.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

fn owned(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Integer(value as i64),
        ValueRef::Text(value) => Value::Text(String::from_utf8_lossy(value).into_owned()),
        ValueRef::Blob(value) => Value::Bytes(value.to_vec()),
    }
}
