//! PostgreSQL.
//!
//! Three tables in a schema: `grappe_states` (a row for each state: its token, who holds it, its snapshot), `grappe_journal` (a row for each write) and
//! `grappe_snapshots` (of earlier runs). Times are the server's. Who takes a lock holds an advisory lock meanwhile, so that one at a time makes the
//! tables and decides; who writes locks the state's row and finds its own token in it, or writes nothing: a later taking waits for a write that is
//! under way, and a write that comes later finds another token.

mod connect;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use grappe_state::Holder;
use grappe_state::storage::{BACKUPS, StoreError, Stored};
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

pub use connect::{Connection, Wrong};

use crate::server::{Asking, Kept, Old, Server, Taking, Trouble};

/// Where in the database, and what may be made there.
#[derive(Clone, Debug)]
pub struct Options {
    /// The schema.
    pub schema: String,
    /// The state's name among those of the schema.
    pub name: String,
    /// The schema is there already: it is not made.
    pub skip_schema_creation: bool,
    /// The tables are there already.
    pub skip_table_creation: bool,
}

/// A state in a database.
#[derive(Debug)]
pub struct Postgres {
    connection: Connection,
    options: Options,
    client: Mutex<Option<Client>>,
}

type Result<T> = std::result::Result<T, Trouble>;

impl Postgres {
    /// The state of this name. Nothing is connected yet.
    #[must_use]
    pub fn new(connection: Connection, options: Options) -> Self {
        Postgres { connection, options, client: Mutex::new(None) }
    }

    /// The connection, made where there is none that works.
    async fn client(&self) -> Result<Guard<'_>> {
        let mut client = self.client.lock().await;
        if client.as_ref().is_none_or(Client::is_closed) {
            let made = self.connection.open().await.map_err(|e| self.trouble("connect to", &e))?;
            // An answer says that the write outlasts a crash, whatever the server does by default.
            let session = "SET synchronous_commit = on; SET client_min_messages = warning";
            made.batch_execute(session).await.map_err(|e| self.trouble("connect to", &Wrong::from(e)))?;
            *client = Some(made);
        }
        Ok(Guard { client, keep: false })
    }

    /// `"schema"."table"`
    fn table(&self, name: &str) -> String {
        format!("{}.grappe_{name}", self.schema())
    }

    fn schema(&self) -> String {
        format!("\"{}\"", self.options.schema.replace('"', "\"\""))
    }

    fn trouble(&self, doing: &'static str, wrong: &Wrong) -> Trouble {
        let hint = wrong.hint(&self.options.schema);
        let place = self.place().display().to_string();
        let error = StoreError::Remote { doing, place, why: wrong.to_string(), hint };
        if wrong.is_passing() { Trouble::Passing(error) } else { Trouble::Final(error) }
    }

    fn of(&self, doing: &'static str) -> impl Fn(tokio_postgres::Error) -> Trouble {
        move |error| self.trouble(doing, &Wrong::from(error))
    }

    /// Makes what is missing.
    async fn make(&self, tx: &Transaction<'_>) -> Result<()> {
        let Options { skip_schema_creation, skip_table_creation, .. } = self.options;
        let (states, journal) = (self.table("states"), self.table("journal"));
        let there = "SELECT to_regclass($1) IS NOT NULL";
        let there: bool = tx.query_one(there, &[&states]).await.map_err(self.of("look into"))?.get(0);
        if there || skip_table_creation {
            return Ok(());
        }
        if !skip_schema_creation {
            let sql = format!("CREATE SCHEMA IF NOT EXISTS {}", self.schema());
            tx.batch_execute(&sql).await.map_err(self.of("make the schema of"))?;
        }
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {states} (name text PRIMARY KEY, token bigint NOT NULL, lock_id text, holder text, \
             renewed timestamptz, lease_ms bigint, snapshot_name text, snapshot bytea, written timestamptz);
             CREATE TABLE IF NOT EXISTS {journal} (name text, number bigint, token bigint NOT NULL, lines bytea NOT NULL, PRIMARY KEY (name, number));
             CREATE TABLE IF NOT EXISTS {} (name text, serial bigint, written timestamptz, snapshot bytea NOT NULL, PRIMARY KEY (name, serial))",
            self.table("snapshots")
        );
        tx.batch_execute(&sql).await.map_err(self.of("make the tables of"))
    }

    /// Locks the state's row, which must have this token.
    async fn mine(&self, tx: &Transaction<'_>, token: u64) -> Result<()> {
        let sql =
            format!("SELECT token, lock_id, holder FROM {} WHERE name = $1 FOR UPDATE", self.table("states"));
        let row = tx.query_opt(&sql, &[&self.options.name]).await.map_err(self.of("write"))?;
        let Some(row) = row else { return Err(Trouble::Fenced(None)) };
        let is_held = row.get::<_, Option<String>>(1).is_some();
        match row.get::<_, i64>(0) == number(token) && is_held {
            true => Ok(()),
            false => Err(Trouble::Fenced(holder(row.get(2)))),
        }
    }

    async fn kept(&self, tx: &Transaction<'_>, for_update: &str) -> Result<Option<(i64, Option<Kept>)>> {
        let sql = format!(
            "SELECT token, lock_id, holder, renewed + lease_ms * interval '1 millisecond' < clock_timestamp() FROM {} WHERE name = $1 {for_update}",
            self.table("states")
        );
        let row = match tx.query_opt(&sql, &[&self.options.name]).await {
            Err(e) if is_missing(&e) => None,
            other => other.map_err(self.of("look into"))?,
        };
        Ok(row.map(|row| {
            let kept = row.get::<_, Option<String>>(1).map(|id| Kept {
                id,
                holder: holder(row.get(2)).unwrap_or_default(),
                is_over: row.get::<_, Option<bool>>(3).unwrap_or(true),
            });
            (row.get(0), kept)
        }))
    }
}

/// A connection in use. One whose use was broken off in the middle is closed: what it would answer next belongs to something else.
struct Guard<'a> {
    client: MutexGuard<'a, Option<Client>>,
    keep: bool,
}

impl Guard<'_> {
    async fn begin(&mut self, of: impl Fn(tokio_postgres::Error) -> Trouble) -> Result<Transaction<'_>> {
        match &mut *self.client {
            Some(client) => client.transaction().await.map_err(of),
            None => Err(Trouble::Final(StoreError::Fenced { by: None })),
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.keep {
            *self.client = None;
        }
    }
}

/// Does a transaction over a connection.
macro_rules! transaction {
    ($self:ident, $doing:literal, |$tx:ident| $work:expr) => {{
        let mut guard = $self.client().await?;
        let $tx = guard.begin($self.of($doing)).await?;
        let done = $work;
        let committed = match &done {
            Ok(_) => $tx.commit().await,
            Err(_) => $tx.rollback().await,
        };
        guard.keep = committed.is_ok();
        let value = done?;
        committed.map_err($self.of($doing))?;
        Ok(value)
    }};
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}

fn holder(text: Option<String>) -> Option<Holder> {
    serde_json::from_str(&text?).ok()
}

/// Whether nobody has stored anything yet.
fn is_missing(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME))
}

#[async_trait]
impl Server for Postgres {
    fn place(&self) -> PathBuf {
        let Options { schema, name, .. } = &self.options;
        format!("{}?schema={schema}&state={name}", self.connection.place()).into()
    }

    async fn load(&self) -> Result<Stored> {
        // One statement sees one instant.
        let sql = format!(
            "SELECT s.snapshot, (SELECT string_agg(j.lines, ''::bytea ORDER BY j.number) FROM {} j WHERE j.name = s.name) FROM {} s WHERE s.name = $1",
            self.table("journal"),
            self.table("states")
        );
        transaction!(self, "read", |tx| match tx.query_opt(&sql, &[&self.options.name]).await {
            Ok(Some(row)) => Ok(Stored { snapshot: row.get(0), journal: row.get(1) }),
            Ok(None) => Ok(Stored::default()),
            Err(e) if is_missing(&e) => Ok(Stored::default()),
            Err(e) => Err(self.of("read")(e)),
        })
    }

    async fn backups(&self) -> Result<Vec<Old>> {
        let sql = format!(
            "SELECT serial, written, snapshot FROM {} WHERE name = $1 ORDER BY serial DESC",
            self.table("snapshots")
        );
        let old = |row: tokio_postgres::Row| Old {
            serial: unsigned(row.get(0)),
            written: row.get::<_, Option<SystemTime>>(1).unwrap_or(SystemTime::UNIX_EPOCH),
            bytes: row.get(2),
        };
        transaction!(self, "read", |tx| match tx.query(&sql, &[&self.options.name]).await {
            Ok(rows) => Ok(rows.into_iter().map(old).collect()),
            Err(e) if is_missing(&e) => Ok(Vec::new()),
            Err(e) => Err(self.of("read")(e)),
        })
    }

    async fn lock(&self) -> Result<Option<Kept>> {
        transaction!(self, "look into", |tx| self
            .kept(&tx, "")
            .await
            .map(|row| row.and_then(|(_, kept)| kept)))
    }

    async fn take(&self, asking: &Asking<'_>) -> Result<Taking> {
        transaction!(self, "lock", |tx| self.take_in(&tx, asking).await)
    }

    async fn renew(&self, token: u64) -> Result<()> {
        let sql = format!("UPDATE {} SET renewed = clock_timestamp() WHERE name = $1", self.table("states"));
        transaction!(self, "renew the lock of", |tx| match self.mine(&tx, token).await {
            Ok(()) =>
                tx.execute(&sql, &[&self.options.name]).await.map(drop).map_err(self.of("renew the lock of")),
            lost => lost,
        })
    }

    async fn give_back(&self, token: u64) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET lock_id = NULL, holder = NULL, renewed = NULL WHERE name = $1 AND token = $2",
            self.table("states")
        );
        transaction!(self, "unlock", |tx| tx
            .execute(&sql, &[&self.options.name, &number(token)])
            .await
            .map(drop)
            .map_err(self.of("unlock")))
    }

    async fn begin(&self, token: u64, anew: bool) -> Result<u64> {
        let last = format!("SELECT coalesce(max(number), 0) FROM {} WHERE name = $1", self.table("journal"));
        if anew {
            self.drop_journal(token).await?;
        }
        transaction!(self, "write", |tx| match self.mine(&tx, token).await {
            Ok(()) => tx
                .query_one(&last, &[&self.options.name])
                .await
                .map(|row| unsigned(row.get(0)) + 1)
                .map_err(self.of("write")),
            Err(lost) => Err(lost),
        })
    }

    async fn append(&self, token: u64, at: u64, bytes: &[u8]) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (name, number, token, lines) VALUES ($1, $2, $3, $4) ON CONFLICT (name, number) DO NOTHING",
            self.table("journal")
        );
        // What is there under this number was written by this token: by a try whose answer did not come.
        transaction!(self, "write", |tx| match self.mine(&tx, token).await {
            Ok(()) => tx
                .execute(&sql, &[&self.options.name, &number(at), &number(token), &bytes])
                .await
                .map(drop)
                .map_err(self.of("write")),
            lost => lost,
        })
    }

    async fn replace(&self, token: u64, name: &str, bytes: &[u8], old: u64) -> Result<()> {
        transaction!(self, "write", |tx| self.replace_in(&tx, token, name, bytes, old).await)
    }

    async fn drop_journal(&self, token: u64) -> Result<()> {
        let sql = format!("DELETE FROM {} WHERE name = $1", self.table("journal"));
        transaction!(self, "write", |tx| match self.mine(&tx, token).await {
            Ok(()) => tx.execute(&sql, &[&self.options.name]).await.map(drop).map_err(self.of("write")),
            lost => lost,
        })
    }
}

impl Postgres {
    async fn take_in(&self, tx: &Transaction<'_>, asking: &Asking<'_>) -> Result<Taking> {
        let of = self.of("lock");
        // Held until the transaction ends: one at a time makes the tables and decides.
        let sql = "SELECT pg_advisory_xact_lock(hashtext('grappe'), hashtext($1))";
        tx.query(sql, &[&format!("{}/{}", self.options.schema, self.options.name)]).await.map_err(&of)?;
        self.make(tx).await?;
        let states = self.table("states");
        let sql = format!("INSERT INTO {states} (name, token) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING");
        tx.execute(&sql, &[&self.options.name]).await.map_err(&of)?;
        let (token, kept) = self.kept(tx, "FOR UPDATE").await?.unwrap_or((0, None));
        let before = match kept {
            // By a try whose answer did not come.
            Some(kept) if kept.id == asking.id => {
                return Ok(Taking::Taken { token: unsigned(token), before: None });
            }
            Some(kept) if !(asking.may_take)(&kept) => return Ok(Taking::Held(kept.holder)),
            kept => kept.map(|kept| kept.holder),
        };
        let sql = format!(
            "UPDATE {states} SET token = $2, lock_id = $3, holder = $4, renewed = clock_timestamp(), lease_ms = $5 WHERE name = $1"
        );
        let me = serde_json::to_string(asking.me).unwrap_or_default();
        let lease = i64::try_from(asking.lease.as_millis()).unwrap_or(i64::MAX);
        tx.execute(&sql, &[&self.options.name, &(token + 1), &asking.id, &me, &lease]).await.map_err(&of)?;
        Ok(Taking::Taken { token: unsigned(token + 1), before })
    }

    async fn replace_in(
        &self,
        tx: &Transaction<'_>,
        token: u64,
        name: &str,
        bytes: &[u8],
        old: u64,
    ) -> Result<()> {
        self.mine(tx, token).await?;
        let of = self.of("write");
        let (states, snapshots) = (self.table("states"), self.table("snapshots"));
        let sql = format!("SELECT snapshot_name FROM {states} WHERE name = $1");
        let have: Option<String> = tx.query_one(&sql, &[&self.options.name]).await.map_err(&of)?.get(0);
        if have.as_deref() == Some(name) {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO {snapshots} (name, serial, written, snapshot) SELECT name, $2, written, snapshot FROM {states} \
             WHERE name = $1 AND snapshot IS NOT NULL \
             ON CONFLICT (name, serial) DO UPDATE SET written = excluded.written, snapshot = excluded.snapshot"
        );
        tx.execute(&sql, &[&self.options.name, &number(old)]).await.map_err(&of)?;
        let sql = format!(
            "DELETE FROM {snapshots} WHERE name = $1 AND serial NOT IN (SELECT serial FROM {snapshots} WHERE name = $1 ORDER BY serial DESC LIMIT {BACKUPS})"
        );
        tx.execute(&sql, &[&self.options.name]).await.map_err(&of)?;
        let sql = format!(
            "UPDATE {states} SET snapshot_name = $2, snapshot = $3, written = clock_timestamp() WHERE name = $1"
        );
        tx.execute(&sql, &[&self.options.name, &name, &bytes]).await.map_err(&of)?;
        let sql = format!("DELETE FROM {} WHERE name = $1", self.table("journal"));
        tx.execute(&sql, &[&self.options.name]).await.map(drop).map_err(&of)
    }
}

/// How long a connection may take.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);
