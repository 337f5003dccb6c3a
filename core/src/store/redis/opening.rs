//! Whether the store can be used: asked once, at the start.
//!
//! Owns: what is checked, and what the user is told of it. Must never say the password.

use std::{collections::HashMap, sync::Arc, time::Duration};

use redis::{Client, RedisError, Value, cmd, from_redis_value, from_redis_value_ref};
use tokio::time::timeout;

use super::{
    PAUSES, RedisStore, announced::Announced, failure, hints::Hints, keys::Keys, link::Link,
    scripts::Scripts, unexpected, url::ServerAddress,
};
use crate::{
    store::{TaskStore, feed::Feeds},
    task::TaskKey,
};

const LIMIT: Duration = Duration::from_secs(5);
/// Of which Redis: with scripts that say what they do.
const VERSION: u32 = 7;

/// The store at that URL.
///
/// # Errors
/// One sentence for the user when it cannot be used.
pub(in crate::store) async fn open(url: &str) -> Result<Arc<dyn TaskStore>, String> {
    let address = ServerAddress::parse(url)?;
    // TLS takes the process's provider of cryptography, and which that is would depend on what else
    // is in the build. One that was set before stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::open(address.server.clone())
        .map_err(|error| failure::unusable(&address.host, &error))?;
    let store = RedisStore::new(client, &address);
    match timeout(LIMIT, store.check(&address.host)).await {
        Ok(checked) => checked.map(|()| Arc::new(store) as _),
        Err(_) => Err(format!("Redis at {} does not answer.", address.host)),
    }
}

impl RedisStore {
    fn new(client: Client, address: &ServerAddress) -> Self {
        let feeds = Arc::new(Feeds::new(PAUSES));
        let writer = uuid::Uuid::new_v4().simple().to_string();
        let hints = Hints::new(client.clone(), Arc::clone(&feeds), writer.clone());
        Self {
            link: Link::new(client),
            keys: Keys::new(address.prefix.clone()),
            scripts: Scripts::new(),
            ttl: address.ttl,
            feeds,
            hints: Arc::new(hints),
            writer,
            announced: Announced::default(),
        }
    }

    async fn check(&self, address: &str) -> Result<(), String> {
        let unusable = |error: RedisError| failure::unusable(address, &error);
        let server = self.link.ask(&cmd("HELLO")).await.map_err(unusable)?;
        let server: HashMap<String, Value> =
            from_redis_value(server).map_err(|_| unusable(unexpected()))?;
        let fact = |name| from_redis_value_ref::<String>(server.get(name)?).ok();
        let version = fact("version").unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < VERSION) {
            return Err(failure::too_old(address, &version));
        }
        if fact("mode").as_deref() == Some("sentinel") {
            return Err(format!("Redis at {address} is a sentinel: name the server it watches."));
        }
        if fact("role").as_deref() == Some("replica") {
            return Err(format!("Redis at {address} is a read-only replica: name its primary."));
        }
        let sample = TaskKey { tenant: "".into(), id: "".into() };
        let keys = [self.keys.log(&sample), self.keys.head(&sample), self.keys.running("")];
        match self.link.run(&self.scripts.allowed, &keys, &[]).await.map_err(unusable)? {
            Value::BulkString(command) if command.is_empty() => Ok(()),
            Value::BulkString(command) => Err(format!(
                "Redis at {address} does not allow this user the command {}.",
                String::from_utf8_lossy(&command)
            )),
            _ => Err(unusable(unexpected())),
        }
    }
}
