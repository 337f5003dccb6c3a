//! One agent at work: its handler, and a transport on each side of it.
//!
//! Owns: starting and stopping what serves one agent. Must never know: which other agents are
//! served, and how the store and the broker were found.

use std::{net::SocketAddr, time::Duration};

use a2a_core::{
    AgentCard, DefaultRequestHandler,
    http::{HttpEndpoint, Origins},
};
use a2a_kafka::RecordHandler;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    consumer::Source,
    health::Health,
    http,
    kafka::{self, Work},
    register,
};

/// An agent that is served.
pub struct Serving {
    /// Where HTTP listens.
    pub address: SocketAddr,
    handler: DefaultRequestHandler,
    stop: CancellationToken,
    http: JoinHandle<()>,
    sweeper: JoinHandle<()>,
    kafka: Option<JoinHandle<Result<(), String>>>,
    registered: Option<JoinHandle<()>>,
    drain: Duration,
}

impl Serving {
    /// Serves this handler's agent: over HTTP at that listener, and over Kafka where there is one.
    pub(crate) fn start(
        handler: DefaultRequestHandler,
        (listener, address): (TcpListener, SocketAddr),
        health: Health,
        kafka: Option<(Source, RecordHandler, Work)>,
        drain: Duration,
        origins: Origins,
    ) -> Result<Self, String> {
        let stop = CancellationToken::new();
        let endpoint = HttpEndpoint::new(handler.clone()).map_err(|error| error.to_string())?;
        let endpoint = endpoint.shared_with(origins);
        let http = tokio::spawn(http::serve(listener, endpoint, health, stop.clone()));
        let sweeper = tokio::spawn(handler.sweeper().run(stop.clone()));
        let registered = kafka.as_ref().map(|(source, ..)| {
            let (brokers, card) = (source.brokers.clone(), AgentCard::clone(handler.card()));
            tokio::spawn(register::keep(brokers, card, stop.clone()))
        });
        let consume = |(source, records, work)| kafka::consume(source, records, work, stop.clone());
        let kafka = kafka.map(|kafka| tokio::spawn(consume(kafka)));
        Ok(Self { address, handler, stop, http, sweeper, kafka, registered, drain })
    }

    /// Its card.
    pub fn card(&self) -> &AgentCard {
        self.handler.card()
    }

    /// Ends when Kafka can no longer be consumed; never without Kafka.
    pub(crate) async fn failure(&mut self) -> String {
        match &mut self.kafka {
            Some(kafka) => match kafka.await {
                Ok(Err(sentence)) => sentence,
                Ok(Ok(())) => "Kafka is no longer consumed.".to_owned(),
                Err(error) => format!("The Kafka consumer broke: {error}."),
            },
            None => std::future::pending().await,
        }
    }

    /// Takes nothing new, finishes what is in flight, and ends. What is not done when the drain's time
    /// is over is released for the next attempt.
    pub(crate) async fn stop(self) -> Result<(), String> {
        self.stop.cancel();
        self.handler.shut_down();
        let (handler, drain) = (self.handler.clone(), self.drain);
        let release = tokio::spawn(async move {
            tokio::time::sleep(drain).await;
            handler.release();
        });
        let _ = self.http.await;
        let _ = self.sweeper.await;
        self.handler.settled().await;
        if let Some(registered) = self.registered {
            let _ = registered.await;
        }
        let ended = match self.kafka {
            Some(kafka) => {
                kafka.await.map_err(|error| format!("The Kafka consumer broke: {error}."))?
            }
            None => Ok(()),
        };
        release.abort();
        ended
    }
}
