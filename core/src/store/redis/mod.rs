//! Journals in Redis 7 or later, or Valkey.
//!
//! Owns: how a journal, its head, its places in lists and its expiry become keys, and that one
//! append is one step. Must never know: states, rules, transports.
//!
//! A journal is a stream whose entries are numbered by hand, so the server itself refuses a slot
//! that is taken. One script appends the entry, sets the head, moves the task in its lists and sets
//! or clears its expiry; an append without a head is one `XADD`. Lists are sorted sets, one for each
//! way to ask (owner, with context, with state, with both): a page costs the same among ten tasks
//! and among a million, and totals are exact. Finished tasks are removed by the server; their rows
//! leave the lists at the next look.
//!
//! # Operating it
//! What Redis acknowledges is in memory. It outlives a restart with `appendonly yes`: with
//! `appendfsync everysec` up to a second of acknowledged appends is lost when the machine dies,
//! with `appendfsync always` none. Set `maxmemory-policy noeviction`: any other lets Redis drop
//! unfinished tasks; with it a full server refuses appends, and callers are told to try again.
//! Replication is asynchronous: a failover may lose what was acknowledged just before it (the
//! store does not `WAIT`: that narrows the window without closing it). Where that must not be, use
//! `DynamoDB` or `PostgreSQL`.
//!
//! In a cluster all keys of one tenant are in one slot. The store speaks to one address: a single
//! server, or a proxy or endpoint that stands for the cluster.

mod announced;
mod failure;
mod hints;
mod keys;
mod link;
mod opening;
mod running;
mod scripts;
mod url;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::StreamExt;
use redis::{ErrorKind, RedisError, Value, cmd, pipe};

use self::{
    announced::Announced,
    failure::{failed, failed_for},
    hints::Hints,
    keys::Keys,
    link::Link,
    scripts::Scripts,
};
use super::{
    AppendError, Change, Journal, ListPage, ListPosition, ListQuery, ReadLimit, Running,
    StoreError, Tail, TaskStore, codec,
    feed::{Feeds, Pauses},
};
use crate::{
    task::{Head, Phase, Slot, TaskKey, Version},
    types::Timestamp,
};

pub(super) use opening::open;

/// An append may be so large. Redis takes more, but nothing else runs on it meanwhile.
const LARGEST: usize = 64 << 20;
/// How often a list may find expired rows to take out, 500 at a time, before it gives up for now.
const PURGES: usize = 200;
/// For hints that are lost.
const PAUSES: Pauses =
    Pauses { shortest: Duration::from_millis(200), longest: Duration::from_millis(800) };

/// A [`TaskStore`] in Redis.
pub(super) struct RedisStore {
    link: Link,
    keys: Keys,
    scripts: Scripts,
    /// None: journals are kept for ever.
    ttl: Option<Duration>,
    feeds: Arc<Feeds>,
    hints: Arc<Hints>,
    /// Not the same in two stores.
    writer: String,
    announced: Announced,
}

#[async_trait]
impl TaskStore for RedisStore {
    async fn append(&self, change: Change) -> Result<(), AppendError> {
        let Some(version) = change.after.checked_add(1) else { return Err(AppendError::Conflict) };
        if change.after == 0 && change.head.is_none() {
            return Err(StoreError::broken("no head at first").into());
        }
        if change.head.as_ref().is_some_and(|head| head.phase == Phase::Running) {
            self.announce(&change.key.tenant).await?;
        }
        if !self.take(&change, version).await? {
            return Err(AppendError::Conflict);
        }
        let Change { key, entries, .. } = change;
        self.feeds.put(&key, Slot { version, entries });
        Ok(())
    }

    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError> {
        self.hints.keep();
        let keys = [self.keys.log(key), self.keys.head(key)];
        let from = after.saturating_add(1);
        let arguments = [from.to_string(), limit.slots.to_string(), limit.bytes.to_string()];
        let arguments = arguments.map(String::into_bytes);
        let answer = self.link.run(&self.scripts.read, &keys, &arguments).await;
        let answer = parts(answer.map_err(|error| failed_for(key, error))?);
        let Some([Value::Array(page), Value::Int(more), head]) = answer else {
            return Err(failed(unexpected()));
        };
        let Value::BulkString(head) = head else { return Ok(None) };
        let head = codec::decode_head(key, &head)?;
        let slots = page.into_iter().zip(from..).map(|(entry, version)| slot(key, version, entry));
        Ok(Some(Journal { head, slots: slots.collect::<Result<_, _>>()?, more: more == 1 }))
    }

    async fn newest(&self, key: &TaskKey) -> Result<Option<(Head, Version)>, StoreError> {
        let mut commands = pipe();
        // Slots never leave alone, so their count is the version; and the head is no older.
        commands.cmd("XLEN").arg(self.keys.log(key));
        commands.cmd("HGET").arg(self.keys.head(key)).arg("head");
        let answers = self.link.ask_all(&mut commands).await;
        let answers = <[Value; 2]>::try_from(answers.map_err(|error| failed_for(key, error))?);
        let Ok([Value::Int(version), Value::BulkString(head)]) = answers else { return Ok(None) };
        Ok(Some((codec::decode_head(key, &head)?, version.unsigned_abs())))
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        let answer = self.link.ask(cmd("HGET").arg(self.keys.head(key)).arg("head")).await;
        match answer.map_err(|error| failed_for(key, error))? {
            Value::BulkString(head) => Ok(Some(codec::decode_head(key, &head)?)),
            _ => Ok(None),
        }
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        let keys = [self.keys.list(query), self.keys.expiring(&query.tenant)];
        let mut arguments = vec![
            self.keys.tag(&query.tenant),
            query.since.map_or_else(|| "+inf".to_owned(), |since| score(since).to_string()),
            query.limit.to_string(),
        ];
        if let Some(after) = &query.after {
            arguments.extend([score(after.at).to_string(), after.id.to_string()]);
        }
        let arguments: Vec<_> = arguments.into_iter().map(String::into_bytes).collect();
        for _ in 0..PURGES {
            let answer = self.link.run(&self.scripts.list, &keys, &arguments).await;
            if let Value::Array(answer) = answer.map_err(failed)? {
                return page(query, answer).ok_or_else(|| failed(unexpected()));
            }
        }
        Err(StoreError::unavailable("Redis is still taking expired tasks out of its lists"))
    }

    async fn running(
        &self,
        after: Option<&Running>,
        limit: u32,
        _: &[Arc<str>],
    ) -> Result<Vec<Running>, StoreError> {
        let found = self.find_running(after.map(|after| &after.key), limit as usize).await;
        let running = |key| Running { key, host: None };
        Ok(found.map_err(failed)?.into_iter().map(running).collect())
    }

    fn tail(self: Arc<Self>, key: TaskKey, after: Version) -> Tail {
        let following = self.hints.follow(&key, self.keys.log(&key));
        let slots = self.feeds.tail(Arc::clone(&self), key, after);
        // It is followed for as long as this stream is held.
        slots.inspect(move |_| _ = &following).boxed()
    }
}

impl RedisStore {
    /// Takes that slot; false when it is taken already.
    async fn take(&self, change: &Change, version: Version) -> Result<bool, AppendError> {
        let (key, tenant) = (&change.key, &change.key.tenant);
        let keys = [
            self.keys.log(key),
            self.keys.head(key),
            self.keys.expiring(tenant),
            self.keys.running(tenant),
        ];
        let mut arguments = vec![
            self.keys.tag(tenant).into_bytes(),
            change.after.to_string().into_bytes(),
            slot_id(version).into_bytes(),
            codec::encode_entries(&change.entries)?,
            self.writer.clone().into_bytes(),
        ];
        if let Some(head) = &change.head {
            arguments.extend(self.facts(key, head)?);
        }
        if arguments.iter().map(Vec::len).sum::<usize>() > LARGEST {
            return Err(AppendError::TooLarge);
        }
        match self.link.run(&self.scripts.append, &keys, &arguments).await {
            Ok(Value::Int(taken)) => Ok(taken == 1),
            Ok(_) => Err(failed(unexpected()).into()),
            // A server that is configured for less.
            Err(error) if error.to_string().contains("invalid bulk length") => {
                Err(AppendError::TooLarge)
            }
            Err(error) => Err(failed_for(key, error).into()),
        }
    }

    /// What the script needs to know of a head.
    fn facts(&self, key: &TaskKey, head: &Head) -> Result<[Vec<u8>; 6], StoreError> {
        let flag = |flag| if flag { "1".into() } else { Vec::new() };
        let at = head.status.timestamp;
        let expires = self.ttl.filter(|_| head.phase.may_expire()).and_then(|ttl| {
            // Without a time it would be long over.
            let at = u64::try_from(at?.as_millis()).unwrap_or_default();
            Some(at.saturating_add(millis(ttl)).to_string().into_bytes())
        });
        Ok([
            codec::encode_head(head)?,
            keys::row(&key.id, head).into_bytes(),
            score(at.unwrap_or_default()).to_string().into_bytes(),
            flag(head.phase.is_listed()),
            flag(head.phase == Phase::Running),
            expires.unwrap_or_default(),
        ])
    }
}

/// Sorted sets ascend, by score and then by bytes; lists begin with the newest, ties by id. A score
/// is a double, and every time's milliseconds fit.
fn score(at: Timestamp) -> i64 {
    -at.as_millis()
}

fn slot_id(version: Version) -> String {
    format!("{version}-1")
}

fn parts<const N: usize>(value: Value) -> Option<[Value; N]> {
    if let Value::Array(parts) = value { parts.try_into().ok() } else { None }
}

/// An entry of the stream: its id, and a field with its value.
fn slot(key: &TaskKey, version: Version, entry: Value) -> Result<Slot, StoreError> {
    if let Some([Value::BulkString(id), fields]) = parts(entry)
        && id == slot_id(version).as_bytes()
        && let Some([_, Value::BulkString(entries)]) = parts(fields)
    {
        return Ok(Slot { version, entries: codec::decode_entries(key, version, &entries)? });
    }
    Err(codec::corrupt(key, &format!("slot {version}")))
}

/// What the script says of a page.
fn page(query: &ListQuery, answer: Vec<Value>) -> Option<ListPage> {
    let [Value::Int(total), Value::Int(more), Value::Array(ids), Value::Array(heads), last] =
        <[Value; 5]>::try_from(answer).ok()?
    else {
        return None;
    };
    let mut page = ListPage { total: total.try_into().ok()?, ..ListPage::default() };
    let mut last_id = None;
    for (id, head) in ids.into_iter().zip(heads) {
        let id: Arc<str> = text(id)?.into();
        let Value::BulkString(head) = head else { return None };
        let key = TaskKey { tenant: Arc::clone(&query.tenant), id: Arc::clone(&id) };
        let head = codec::readable(&key, codec::decode_head(&key, &head));
        page.rows.extend(head.map(|head| (Arc::clone(&id), head)));
        last_id = Some(id);
    }
    if more == 1
        && let Some(id) = last_id
    {
        let score: f64 = text(last)?.parse().ok()?;
        page.next = Some(ListPosition { at: Timestamp::from_millis(-score as i64), id });
    }
    Some(page)
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn unexpected() -> RedisError {
    (ErrorKind::UnexpectedReturnType, "the answer has another form").into()
}
