//! Journals in PostgreSQL, 13 or later.
//!
//! Owns: which statement does what the contract asks, and when what ended expires. Must never know:
//! states' rules, transports, what an entry means.
//!
//! The primary key of a slot is the lock. An append is one statement in one round trip, with the
//! head in it when that changes; so is a read, whose head and slots are of one moment. Nothing is
//! locked that another reader or another task's writer could want, so there is nothing to deadlock
//! on.
//!
//! The client is sqlx: a bounded pool, a listener and versioned migrations in one well-kept crate;
//! with tokio-postgres they would be three more. Statements are prepared once per connection.
//! Behind PgBouncer in transaction mode give it `max_prepared_statements` and let it
//! `ignore_startup_parameters = extra_float_digits, options`; LISTEN does not work there, so
//! followers in other processes learn of something within a second instead of milliseconds.

mod address;
mod database;
mod error;
mod list;
mod notify;
mod schema;
mod statements;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt;
use sqlx::{
    Decode, Postgres, Row, SqlStr, Type,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use self::{
    address::DatabaseAddress,
    database::Database,
    error::{append_failed, failed},
    notify::Notifications,
    statements::{Key, Statements, context_list, journal_key, owner_list, phase},
};
use super::{
    AppendError, Change, Journal, ListPage, ListQuery, ReadLimit, Running, StoreError, Tail,
    TaskStore,
    codec::{corrupt, decode_entries, decode_head, encode_entries, encode_head},
    feed::{Feeds, Pauses},
    now_millis,
    totals::Totals,
};
use crate::task::{Head, Slot, TaskKey, Version};

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// How long followers wait before they ask by themselves. Notifications are the rule.
const PAUSES: Pauses =
    Pauses { shortest: Duration::from_millis(250), longest: Duration::from_secs(1) };
/// How many expired journals are removed when another one ends: more than one, so that the work is
/// done some time, and few, so that it is never much.
const SWEPT: i64 = 8;

/// A [`TaskStore`] in a schema of a PostgreSQL database.
#[derive(Debug)]
pub struct PostgresStore {
    database: Database,
    statements: Arc<Statements>,
    feeds: Arc<Feeds>,
    notifications: Notifications,
    /// Milliseconds until what ended expires.
    ttl: Option<i64>,
    sweeping: Arc<AtomicBool>,
    totals: Totals,
}

impl PostgresStore {
    /// The store at `postgres://user:password@host:port/database`. Its parameters: `schema` (a2a),
    /// `ttl` in seconds after which what ended is forgotten (30 days; 0 for never), `pool`, the most
    /// connections (10), and those of libpq that sqlx knows (`sslmode`, `sslrootcert`, ...).
    ///
    /// # Errors
    /// One sentence for the user when the URL is wrong, there is no answer within 5 seconds, or
    /// the schema is not the one that this version [prepares](Self::prepare).
    pub async fn open(url: &str) -> Result<Self, String> {
        let address: DatabaseAddress = url.parse()?;
        let statements = Statements::new(&address.schema);
        let mut connection = schema::connect(&address.options, &address.host).await?;
        schema::check(&mut connection, &address, &statements).await?;
        let database = Database::new(address.options.clone(), address.pool);
        let feeds = Arc::new(Feeds::new(PAUSES));
        let notifications = Notifications::new(
            database.clone(),
            address.options,
            &address.schema,
            Arc::clone(&feeds),
        );
        let (ttl, statements) = (address.ttl, Arc::new(statements));
        let (sweeping, totals) = (Arc::default(), Totals::default());
        Ok(Self { database, statements, feeds, notifications, ttl, sweeping, totals })
    }

    /// Makes the schema, or brings it up to date.
    ///
    /// # Errors
    /// One sentence for the user when it cannot be made.
    pub async fn prepare(url: &str) -> Result<(), String> {
        schema::prepare(&url.parse()?).await
    }

    /// How many rows were written: none when the slot is taken.
    async fn write(&self, change: &Change) -> Result<u64, AppendError> {
        let Change { key, after, entries, head } = change;
        let (id, entries) = (journal_key(key), text(encode_entries(entries)?)?);
        let row = head.as_ref().map(|head| HeadRow::new(key, head, self.ttl)).transpose()?;
        let of = |sql: &SqlStr| sqlx::query(sql.clone()).bind(id).bind(&*entries);
        let Ok(version) = i64::try_from(*after) else { return Ok(0) };
        let written = match (version, &row) {
            (0, None) => return Err(StoreError::broken("no head at first").into()),
            (0, Some(row)) => {
                let of = || of(&self.statements.begin).bind(key.tenant.as_bytes());
                let begin = || row.bind(of().bind(key.id.as_bytes()));
                match self.database.changed(begin()).await {
                    // Perhaps one stands there that has expired.
                    Ok(0) if self.remove(id).await.map_err(append_failed)? => {
                        self.database.changed(begin()).await
                    }
                    begun => begun,
                }
            }
            (_, None) => {
                self.database
                    .changed(of(&self.statements.append).bind(version).bind(now_millis()))
                    .await
            }
            (_, Some(row)) => {
                let query = of(&self.statements.append_with_head).bind(version).bind(now_millis());
                self.database.changed(row.bind(query)).await
            }
        };
        written.map_err(append_failed)
    }

    /// Removes that journal if it has expired.
    async fn remove(&self, id: Key) -> Result<bool, sqlx::Error> {
        let query = sqlx::query(self.statements.remove.clone()).bind(id).bind(now_millis());
        Ok(self.database.changed(query).await? > 0)
    }

    /// Removes some of what has expired, beside the append that calls for it. Whatever becomes of
    /// that, nothing of it is shown any more.
    fn sweep(&self) {
        if self.ttl.is_none() || self.sweeping.swap(true, Ordering::Relaxed) {
            return;
        }
        let (database, sweeping) = (self.database.clone(), Arc::clone(&self.sweeping));
        let sql = self.statements.sweep.clone();
        tokio::spawn(async move {
            let swept = database.changed(sqlx::query(sql).bind(now_millis()).bind(SWEPT)).await;
            if let Err(error) = swept {
                tracing::debug!(%error, "expired tasks were not removed");
            }
            sweeping.store(false, Ordering::Relaxed);
        });
    }

    async fn rows(&self, query: Statement<'_>) -> Result<Vec<PgRow>, StoreError> {
        self.database.rows(query).await.map_err(failed)
    }
}

#[async_trait]
impl TaskStore for PostgresStore {
    async fn append(&self, change: Change) -> Result<(), AppendError> {
        let written = self.write(&change).await;
        // Also after an error: it may have been written.
        if let Some(head) = &change.head {
            self.totals.forget(&change.key.tenant, &head.owner);
        }
        match written {
            Ok(0) => return Err(AppendError::Conflict),
            Ok(_) => {}
            Err(error) => {
                // It may have landed.
                self.feeds.wake(&change.key);
                return Err(error);
            }
        }
        let Change { key, after, entries, head } = change;
        self.feeds.put(&key, Slot { version: after + 1, entries });
        self.notifications.tell(&key);
        if head.is_some_and(|head| head.phase.may_expire()) {
            self.sweep();
        }
        Ok(())
    }

    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError> {
        let number = |limit| i64::try_from(limit).unwrap_or(i64::MAX);
        let query = sqlx::query(self.statements.read.clone());
        let query = query.bind(journal_key(key)).bind(now_millis());
        let query = query.bind(i64::try_from(after).unwrap_or(i64::MAX));
        let rows = self.rows(query.bind(number(limit.slots)).bind(number(limit.bytes))).await?;
        let (mut head, mut slots, mut newest) = (None, Vec::new(), 0);
        for row in &rows {
            let (version, content): (i64, &[u8]) = (column(row, 0)?, raw(row, 1)?);
            match Version::try_from(version).map_err(|_| corrupt(key, "version"))? {
                0 => {
                    head = Some(decode_head(key, content)?);
                    newest = column::<i64>(row, 2)?;
                }
                version => {
                    slots.push(Slot { version, entries: decode_entries(key, version, content)? });
                }
            }
        }
        // They come in order, but nothing promises it, and asking for it would sort the texts.
        slots.sort_by_key(|slot| slot.version);
        let more = slots.last().is_some_and(|slot: &Slot| slot.version < newest.unsigned_abs());
        Ok(head.map(|head| Journal { head, slots, more }))
    }

    async fn newest(&self, key: &TaskKey) -> Result<Option<(Head, Version)>, StoreError> {
        let query = sqlx::query(self.statements.newest.clone());
        let rows = self.rows(query.bind(journal_key(key)).bind(now_millis())).await?;
        let newest = |row| {
            let version = column::<Option<i64>>(row, 1)?.unwrap_or_default();
            Ok((decode_head(key, raw(row, 0)?)?, version.unsigned_abs()))
        };
        rows.first().map(newest).transpose()
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        let query =
            sqlx::query(self.statements.head.clone()).bind(journal_key(key)).bind(now_millis());
        let rows = self.rows(query).await?;
        rows.first().map(|row| decode_head(key, raw(row, 0)?)).transpose()
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        self.page(query).await
    }

    async fn running(
        &self,
        after: Option<&Running>,
        limit: u32,
        except: &[Arc<str>],
    ) -> Result<Vec<Running>, StoreError> {
        // Every key is longer than the empty one.
        let after = after.map_or(Vec::new(), |after| journal_key(&after.key).to_vec());
        // As it stands in a head, and in no text of one, where quotes are escaped.
        let member = |host: &Arc<str>| format!("\"host\":{}", serde_json::Value::from(&**host));
        let except = Vec::from_iter(except.iter().map(member));
        let query = sqlx::query(self.statements.running.clone()).bind(after).bind(now_millis());
        let rows = self.rows(query.bind(i64::from(limit)).bind(except)).await?;
        let running = |row| {
            let key = TaskKey { tenant: id_of(column(row, 0)?)?, id: id_of(column(row, 1)?)? };
            let head = decode_head(&key, raw(row, 2)?).ok();
            Ok(Running { key, host: head.and_then(|head| head.host) })
        };
        rows.iter().map(running).collect()
    }

    fn tail(self: Arc<Self>, key: TaskKey, after: Version) -> Tail {
        let followed = self.notifications.follow(&key);
        let feeds = Arc::clone(&self.feeds);
        let slots = feeds.tail(self, key, after);
        // It is followed for as long as this stream is held.
        slots.inspect(move |_| _ = &followed).boxed()
    }
}

/// A head as its row.
struct HeadRow {
    owner_list: Key,
    context_list: Key,
    state: &'static str,
    phase: &'static str,
    at: i64,
    expires_at: Option<i64>,
    content: String,
}

impl HeadRow {
    fn new(key: &TaskKey, head: &Head, ttl: Option<i64>) -> Result<Self, StoreError> {
        let Head { owner, context_id, status, phase: of, .. } = head;
        let at = status.timestamp.unwrap_or_default().as_millis();
        Ok(Self {
            owner_list: owner_list(&key.tenant, owner),
            context_list: context_list(&key.tenant, owner, context_id),
            state: status.state.name(),
            phase: phase(*of),
            at,
            expires_at: ttl.filter(|_| of.may_expire()).map(|ttl| at.saturating_add(ttl)),
            content: text(encode_head(head)?)?,
        })
    }

    /// As the parameters 5 to 11.
    fn bind<'q>(&'q self, query: Statement<'q>) -> Statement<'q> {
        let query = query.bind(self.owner_list).bind(self.context_list).bind(self.state);
        let query = query.bind(self.phase).bind(self.at).bind(self.expires_at);
        query.bind(&*self.content)
    }
}

fn text(json: Vec<u8>) -> Result<String, StoreError> {
    String::from_utf8(json).map_err(|error| StoreError::broken("JSON is text").with_source(error))
}

fn column<'r, T>(row: &'r PgRow, at: usize) -> Result<T, StoreError>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(at).map_err(failed)
}

/// A json column's text, as it is: the driver would read it into a value.
fn raw(row: &PgRow, at: usize) -> Result<&[u8], StoreError> {
    row.try_get_unchecked(at).map_err(failed)
}

fn id_of(bytes: &[u8]) -> Result<Arc<str>, StoreError> {
    let id = str::from_utf8(bytes);
    id.map(Arc::from).map_err(|error| StoreError::broken("an id is no text").with_source(error))
}
