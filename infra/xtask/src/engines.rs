//! Every engine that the project runs on, real ones, without Docker: Kafka, two that speak
//! DynamoDB, Redis, PostgreSQL.
//!
//! Owns: which there are, their common start, and the variables that tell tests where they are.
//! Each engine's own module knows where its program comes from and how it is started; [`program`]
//! what all have in common. Must never know: who wants them.

mod dynoxide;
mod moto;
mod postgres;
mod probe;
mod program;
mod redis;

use std::env;
use std::thread::{self, ScopedJoinHandle};

use crate::kafka::{Desk, Engine as Kafka};
use program::Running;

/// The engines, running. Dropping this stops them and removes their data.
pub(crate) struct Engines {
    _kafka: Kafka,
    _stores: [Running; 4],
    variables: Vec<(&'static str, String)>,
}

impl Engines {
    /// Starts all at once, and tells of every one that does not start.
    pub(crate) fn start() -> Result<Self, String> {
        let (kafka, stores) = thread::scope(|scope| {
            let kafka = scope.spawn(Kafka::start);
            let starts = [dynoxide::start, moto::start, redis::start, postgres::start];
            let stores = starts.map(|start| scope.spawn(start));
            (joined(kafka), stores.map(joined))
        });
        let mut missing: Vec<&str> = kafka.as_ref().err().map(String::as_str).into_iter().collect();
        missing.extend(stores.iter().filter_map(|store| Some(store.as_ref().err()?.as_str())));
        if !missing.is_empty() {
            return Err(missing.join("\n"));
        }
        let [dynoxide, moto, redis, postgres] = stores;
        let (kafka, stores) = (kafka?, [dynoxide?, moto?, redis?, postgres?]);
        let [dynamodb, moto, redis, postgres] = stores.each_ref().map(Running::port);
        let ports = Ports { dynamodb, moto, redis, postgres };
        // Its other listeners are for tests alone; the clear one is named with the stores.
        let desk = Desk::open()?;
        let listeners = kafka.variables().map(|(name, value)| (name, value.to_owned()));
        let mut variables = variables(kafka.address(), &ports);
        variables.extend(listeners.into_iter().skip(1));
        variables.push(("A2A_TEST_BROKERS", desk.address().to_owned()));
        Ok(Self { _kafka: kafka, _stores: stores, variables })
    }

    /// What tests and benchmarks find in their environment.
    pub(crate) fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}

/// Where the stores listen, all on 127.0.0.1.
pub(crate) struct Ports {
    pub(crate) dynamodb: u16,
    pub(crate) moto: u16,
    pub(crate) redis: u16,
    pub(crate) postgres: u16,
}

/// What tells a test where the engines are, and the credentials that their clients want.
pub(crate) fn variables(kafka: &str, stores: &Ports) -> Vec<(&'static str, String)> {
    let Ports { dynamodb, moto, redis, postgres } = stores;
    let mut variables = vec![
        ("A2A_TEST_KAFKA", kafka.to_owned()),
        ("A2A_TEST_DYNAMODB", format!("http://127.0.0.1:{dynamodb}")),
        ("A2A_TEST_MOTO", format!("http://127.0.0.1:{moto}")),
        ("A2A_TEST_REDIS", format!("redis://127.0.0.1:{redis}")),
        ("A2A_TEST_POSTGRES", format!("postgres://postgres@127.0.0.1:{postgres}/postgres")),
    ];
    variables.extend(credentials(|name| env::var_os(name).is_some()));
    variables
}

/// The engines take any credentials, but the clients want some. Whoever has set their own, for the
/// service itself, keeps them: half of a pair would fit nothing, so both or neither are made up.
fn credentials(is_set: impl Fn(&str) -> bool) -> Vec<(&'static str, String)> {
    let (id, secret, region) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION");
    let mut made_up = Vec::with_capacity(3);
    if !is_set(id) && !is_set(secret) {
        made_up.extend([id, secret].map(|name| (name, "test".to_owned())));
    }
    if !is_set(region) {
        made_up.push((region, "eu-central-1".to_owned()));
    }
    made_up
}

fn joined<T>(thread: ScopedJoinHandle<'_, Result<T, String>>) -> Result<T, String> {
    thread.join().unwrap_or_else(|_| Err("a thread that starts an engine has panicked".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_are_what_clients_take() {
        let stores = Ports { dynamodb: 1, moto: 2, redis: 3, postgres: 4 };
        let variables = variables("127.0.0.1:9", &stores);
        let values: Vec<&str> = variables.iter().map(|(_, value)| value.as_str()).take(5).collect();
        assert_eq!(values[..3], ["127.0.0.1:9", "http://127.0.0.1:1", "http://127.0.0.1:2"]);
        assert_eq!(values[3..], ["redis://127.0.0.1:3", POSTGRES_4]);
    }

    const POSTGRES_4: &str = "postgres://postgres@127.0.0.1:4/postgres";

    #[test]
    fn credentials_of_the_callers_own_are_left_alone() {
        let names = |own: &[&str]| {
            let made_up = credentials(|name| own.contains(&name));
            made_up.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"]);
        assert_eq!(names(&["AWS_ACCESS_KEY_ID"]), ["AWS_REGION"]);
        assert_eq!(names(&["AWS_REGION", "AWS_SECRET_ACCESS_KEY"]), [""; 0]);
    }
}
