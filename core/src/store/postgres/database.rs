//! The connections.
//!
//! Owns: how many there are, how long a call may take, and which of them are still to be trusted.
//! Must never know: what is asked over them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use sqlx::{
    Connection, Error, PgConnection, PgPool, Postgres,
    pool::{PoolConnection, PoolConnectionMetadata},
    postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow},
    query::Query,
};
use tokio::time::{Instant, error::Elapsed, timeout, timeout_at};

/// What a whole call may take, with the wait for a connection; the writer above retries.
const CALL: Duration = Duration::from_secs(5);
/// What a call waits for a connection, while all are busy or the engine is unavailable.
const ACQUIRE: Duration = Duration::from_secs(3);
/// How long a healthy engine takes at most to say that it is there.
const ALIVE: Duration = Duration::from_millis(500);
/// A connection that was idle that long is asked first whether it still is one: a function's
/// process may have been frozen meanwhile, and was not told that its sockets died.
const IDLE: Duration = Duration::from_secs(1);
/// Idle connections are given back: a thousand function instances must not hold ten each.
const MAX_IDLE: Duration = Duration::from_secs(300);
const MAX_LIFETIME: Duration = Duration::from_secs(1_800);

/// What the engine itself ends, in case this process no longer can. Read committed is the isolation
/// that the statements are written for, whatever the database's default.
const SETTINGS: [(&str, &str); 4] = [
    ("statement_timeout", "5s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("default_transaction_isolation", "read committed"),
];

/// A bounded pool, each call with a time limit.
#[derive(Clone, Debug)]
pub(super) struct Database {
    pool: PgPool,
    distrust: Arc<Distrust>,
}

impl Database {
    /// Connects when it is first needed.
    pub(super) fn new(options: PgConnectOptions, connections: u32) -> Self {
        let distrust = Arc::<Distrust>::default();
        let asked = Arc::clone(&distrust);
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(MAX_IDLE)
            .max_lifetime(MAX_LIFETIME)
            .test_before_acquire(false)
            .before_acquire(move |connection, metadata| {
                Arc::clone(&asked).is_usable(connection, metadata)
            })
            // The client itself would wait without end for one that is dead, and never replace it.
            .after_release(|connection, _| Box::pin(is_alive(connection)))
            .connect_lazy_with(options.options(SETTINGS));
        Self { pool, distrust }
    }

    /// The rows that a statement gives.
    pub(super) async fn rows(
        &self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, Error> {
        let (mut connection, end) = self.connection().await?;
        let rows = timeout_at(end, query.fetch_all(&mut *connection)).await;
        self.outcome(rows)
    }

    /// How many rows a statement changed.
    pub(super) async fn changed(
        &self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<u64, Error> {
        let (mut connection, end) = self.connection().await?;
        let result = timeout_at(end, query.execute(&mut *connection)).await;
        Ok(self.outcome(result)?.rows_affected())
    }

    async fn connection(&self) -> Result<(PoolConnection<Postgres>, Instant), Error> {
        let end = Instant::now() + CALL;
        let connection = timeout_at(end, self.pool.acquire()).await;
        Ok((connection.map_err(|_| Error::PoolTimedOut)??, end))
    }

    fn outcome<T>(&self, outcome: Result<Result<T, Error>, Elapsed>) -> Result<T, Error> {
        let outcome =
            outcome.unwrap_or_else(|_| Err(Error::Io(std::io::ErrorKind::TimedOut.into())));
        if let Err(Error::Io(_)) = outcome {
            self.distrust.all();
        }
        outcome
    }
}

/// Until when connections were made that are not to be trusted: where one has died, those that are
/// as old have most likely died with it, and each would be waited for.
#[derive(Debug, Default)]
struct Distrust(Mutex<Option<std::time::Instant>>);

impl Distrust {
    fn all(&self) {
        *self.lock() = Some(std::time::Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, Option<std::time::Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_usable(
        self: Arc<Self>,
        connection: &mut PgConnection,
        metadata: PoolConnectionMetadata,
    ) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async move {
            let made = std::time::Instant::now().checked_sub(metadata.age);
            if made < *self.lock() {
                return Ok(false);
            }
            if metadata.idle_for < IDLE {
                return Ok(true);
            }
            let alive = is_alive(connection).await?;
            if !alive {
                self.all();
            }
            Ok(alive)
        })
    }
}

/// Whether the engine answers in time. Where a call timed out, its answer comes first.
async fn is_alive(connection: &mut PgConnection) -> Result<bool, Error> {
    Ok(matches!(timeout(ALIVE, connection.ping()).await, Ok(Ok(()))))
}
