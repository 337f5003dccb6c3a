//! A way to a Kafka broker that can be cut.
//!
//! Owns: the connections through it. Must never know: what Kafka's messages mean, but for one
//! thing: a broker tells its clients where to connect, and they would go there, past the proxy.
//! So its address is replaced by the proxy's wherever it passes. Both are on the same host, so the
//! two texts are equally long, and no message changes its size.

use std::{
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::AbortHandle,
};

/// The host of both addresses, as the broker names itself.
const HOST: &str = "127.0.0.1";

/// A proxy in front of one broker. It ends, with every connection, when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    state: watch::Sender<State>,
    connections: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

/// What has been done to the connections so far, by count: one that came later is not meant.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    cuts: u64,
    forgotten: u64,
    swallowed: u64,
    away: bool,
}

/// The two forms of a broker's address within its messages: the host's text, then the port.
#[derive(Clone, Debug)]
struct Rewrite {
    broker: Vec<u8>,
    proxy: Vec<u8>,
}

impl Proxy {
    /// A proxy on a free port, in front of the broker at `127.0.0.1:PORT`.
    ///
    /// # Errors
    /// When the broker is elsewhere, since its messages could not be rewritten, or no port is free.
    pub async fn start(broker: &str) -> io::Result<Self> {
        let port = broker.strip_prefix(HOST).and_then(|rest| rest.strip_prefix(':')?.parse().ok());
        let port: u16 = port.ok_or_else(|| {
            let sentence = format!("the broker {broker:?} is not at {HOST}:PORT");
            io::Error::new(io::ErrorKind::InvalidInput, sentence)
        })?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let own = listener.local_addr()?.port();
        let form = |port: u16| [HOST.as_bytes(), &u32::from(port).to_be_bytes()].concat();
        let rewrite = Rewrite { broker: form(port), proxy: form(own) };
        let state = watch::Sender::new(State::default());
        let connections = Arc::default();
        let accepting =
            accept(listener, port, rewrite, state.subscribe(), Arc::clone(&connections));
        let accepting = tokio::spawn(accepting).abort_handle();
        Ok(Self { address: format!("{HOST}:{own}"), state, connections, accepting })
    }

    /// Where it listens, `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends every connection, as a broker ends those that are idle. New ones are taken.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Forgets every connection without a word, as the network between does after a time: it is
    /// reset when its client next uses it. New ones are taken.
    pub fn forget(&self) {
        self.state.send_modify(|state| state.forgotten += 1);
    }

    /// Takes what comes over every connection and passes none of it on, for ever. New ones are
    /// served.
    pub fn swallow(&self) {
        self.state.send_modify(|state| state.swallowed += 1);
    }

    /// Ends every connection, and each new one at once: the broker is away.
    pub fn leave(&self) {
        self.state.send_modify(|state| state.away = true);
    }

    /// The broker is back.
    pub fn come_back(&self) {
        self.state.send_modify(|state| state.away = false);
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    port: u16,
    rewrite: Rewrite,
    state: watch::Receiver<State>,
    connections: Arc<AtomicUsize>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (rewrite, mut state) = (rewrite.clone(), state.clone());
        let connections = Arc::clone(&connections);
        tokio::spawn(async move {
            connections.fetch_add(1, Ordering::SeqCst);
            let born = *state.borrow_and_update();
            if !born.away {
                // However it ends, both its sockets end with it; that is all there is to say.
                let _ = connect(client, port, &rewrite, born, state).await;
            }
            connections.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn connect(
    mut client: TcpStream,
    port: u16,
    rewrite: &Rewrite,
    born: State,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let mut broker = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let watched = state.clone();
    let (from_client, to_client) = client.split();
    let (from_broker, to_broker) = broker.split();
    let forgotten = tokio::select! {
        forgotten = requests(from_client, to_broker, born, &watched) => forgotten?,
        ended = answers(from_broker, to_client, rewrite, born, &watched) => ended.map(|()| false)?,
        // The proxy is gone, or this connection is to go.
        _ = state.wait_for(|now| now.away || now.cuts > born.cuts) => false,
    };
    if forgotten {
        client.set_zero_linger()?;
    }
    Ok(())
}

/// Passes on what the client sends. Answers true when it uses a connection that is forgotten.
async fn requests(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    born: State,
    state: &watch::Receiver<State>,
) -> io::Result<bool> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(false);
        }
        let now = *state.borrow();
        if now.forgotten > born.forgotten {
            return Ok(true);
        }
        if now.swallowed == born.swallowed {
            to.write_all(&buffer[..read]).await?;
        }
    }
}

/// Passes on what the broker answers, message by message, so that no address is cut in two.
async fn answers(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    rewrite: &Rewrite,
    born: State,
    state: &watch::Receiver<State>,
) -> io::Result<()> {
    loop {
        let mut size = [0; 4];
        if let Err(error) = from.read_exact(&mut size).await {
            let now = *state.borrow();
            if now.forgotten > born.forgotten || now.swallowed > born.swallowed {
                // Of such a connection's end the client hears nothing.
                return std::future::pending().await;
            }
            return Err(error);
        }
        let mut message = vec![0; u32::from_be_bytes(size) as usize];
        from.read_exact(&mut message).await?;
        rewrite.apply(&mut message);
        to.write_all(&size).await?;
        to.write_all(&message).await?;
    }
}

impl Rewrite {
    fn apply(&self, message: &mut [u8]) {
        let length = self.broker.len();
        let mut at = 0;
        while at + length <= message.len() {
            if message[at..at + length] == self.broker[..] {
                message[at..at + length].copy_from_slice(&self.proxy);
                at += length;
            } else {
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_brokers_own_address_is_replaced() {
        let rewrite = Rewrite {
            broker: b"127.0.0.1\0\0\x24\x04".to_vec(),
            proxy: b"127.0.0.1\0\0\x80\x01".to_vec(),
        };
        let mut message = b"xx127.0.0.1\0\0\x24\x04y127.0.0.1\0\0\x24\x05127.0.0.1".to_vec();
        rewrite.apply(&mut message);
        assert_eq!(message, b"xx127.0.0.1\0\0\x80\x01y127.0.0.1\0\0\x24\x05127.0.0.1");
    }

    #[tokio::test]
    async fn a_broker_elsewhere_is_refused() {
        for broker in ["localhost:9092", "10.0.0.1:9092", "127.0.0.1", "127.0.0.1:x"] {
            let error = Proxy::start(broker).await.unwrap_err();
            assert!(error.to_string().contains(broker), "{error}");
        }
    }
}
