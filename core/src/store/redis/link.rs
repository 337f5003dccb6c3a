//! One connection to the server, made again whenever it is gone.
//!
//! Owns: when a connection is used, tested, given up and made. All requests of a process share
//! one: the server works on one request at a time anyway, and answers come in the order of the
//! requests. Must never know: what is asked.
//!
//! The client's own keeper of connections makes a new one when the old one breaks, but keeps one
//! that is silent: after a function's process was frozen, its connection may be dead without a
//! word, and every request would run into its time limit. Here a time limit ends the connection
//! too, and one that was not heard of for a while is tested before it is used.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, RedisResult,
    ServerErrorKind, Value, aio::MultiplexedConnection,
};
use tokio::time::timeout;

use super::scripts::Code;

/// How long an answer may take.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// How long a new connection may take, with TLS and log-in.
pub(super) const CONNECT: Duration = Duration::from_secs(2);
/// How long the answer to a test may take.
const TEST: Duration = Duration::from_secs(1);
/// A connection that was not heard of for this long is tested before it is used.
const SILENCE: Duration = Duration::from_secs(10);

/// Each waiter drives it: one that stops polling, as a task does that selects among futures, does
/// not hold up the others.
type Connecting = Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>;

pub(super) struct Link {
    client: Client,
    held: Mutex<Held>,
}

struct Held {
    /// Which connection it is, counted from 1.
    number: u64,
    connecting: Option<Connecting>,
    heard: Moment,
}

/// By both clocks: either may stand still while a process is frozen.
#[derive(Clone, Copy)]
pub(super) struct Moment(Instant, SystemTime);

impl Moment {
    pub(super) fn now() -> Self {
        Self(Instant::now(), SystemTime::now())
    }

    pub(super) fn is_over(self, limit: Duration) -> bool {
        // A clock that was set back says nothing.
        self.0.elapsed() > limit || self.1.elapsed().is_ok_and(|elapsed| elapsed > limit)
    }
}

/// How every connection is made.
pub(super) fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(ANSWER))
}

pub(super) async fn connect(
    client: Client,
    config: AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    let late = |_| RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
    timeout(CONNECT, connecting).await.map_err(late)?
}

/// Whether the server still answers on it.
pub(super) async fn answers(connection: &mut MultiplexedConnection) -> bool {
    let ping = redis::cmd("PING");
    matches!(timeout(TEST, connection.send_packed_command(&ping)).await, Ok(Ok(_)))
}

impl Link {
    pub(super) fn new(client: Client) -> Self {
        let held = Held { number: 0, connecting: None, heard: Moment::now() };
        Self { client, held: Mutex::new(held) }
    }

    /// Which connection requests go over now. It changes when the server may have been replaced.
    pub(super) fn number(&self) -> u64 {
        self.lock().number
    }

    /// The answer to each of the commands.
    pub(super) async fn ask_all(&self, commands: &mut Pipeline) -> RedisResult<Vec<Value>> {
        // Else an error is told without its code.
        commands.ignore_errors();
        let (number, mut connection) = self.connection().await?;
        let answers = commands.query_async::<Vec<RedisResult<Value>>>(&mut connection).await;
        self.note(number, answers)?.into_iter().collect()
    }

    pub(super) async fn ask(&self, command: &Cmd) -> RedisResult<Value> {
        let (number, mut connection) = self.connection().await?;
        let answer = connection.send_packed_command(command).await;
        self.note(number, answer)?.extract_error()
    }

    /// A script's answer.
    pub(super) async fn run(
        &self,
        code: &Code,
        keys: &[String],
        arguments: &[Vec<u8>],
    ) -> RedisResult<Value> {
        match self.ask(&code.call(true, keys, arguments)).await {
            // It has not run since the server started; now it is kept.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.ask(&code.call(false, keys, arguments)).await
            }
            answer => answer,
        }
    }

    async fn connection(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        let (number, connecting) = self.connecting();
        Ok((number, self.note(number, connecting.await)?))
    }

    fn connecting(&self) -> (u64, Connecting) {
        let mut held = self.lock();
        match &held.connecting {
            Some(connecting) if !held.heard.is_over(SILENCE) => {
                return (held.number, connecting.clone());
            }
            _ => {}
        }
        let old = held.connecting.take().and_then(|old| old.peek().cloned()?.ok());
        let client = self.client.clone();
        let connecting = async move {
            if let Some(mut old) = old
                && answers(&mut old).await
            {
                return Ok(old);
            }
            connect(client, config()).await
        };
        let connecting = connecting.boxed().shared();
        *held = Held {
            number: held.number + 1,
            connecting: Some(connecting.clone()),
            heard: Moment::now(),
        };
        (held.number, connecting)
    }

    /// Gives up a connection on which a request failed.
    fn note<T>(&self, number: u64, answer: RedisResult<T>) -> RedisResult<T> {
        let mut held = self.lock();
        if held.number == number {
            match &answer {
                Err(error) if error.is_io_error() || error.is_unrecoverable_error() => {
                    held.connecting = None;
                }
                _ => held.heard = Moment::now(),
            }
        }
        answer
    }

    /// Nothing that holds it can panic half-way.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
