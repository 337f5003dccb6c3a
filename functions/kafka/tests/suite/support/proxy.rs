//! A way to a Kafka broker that can be cut.
//!
//! Owns: the connections through it. Must never know: what Kafka's messages mean, but for one
//! thing: a broker tells its clients where to connect, and they would go there, past the proxy.
//! So its address is replaced by the proxy's wherever it passes. Both are on the same host, so the
//! two texts are equally long, and no message changes its size.

use std::{
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

/// The host of both addresses, as the broker names itself.
const HOST: &str = "127.0.0.1";

/// A proxy in front of one broker. It ends, with every connection, when dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: String,
    newest: Newest,
    _accepting: AbortOnDropHandle<()>,
}

/// What befalls the connections since the last time anything did.
type Newest = Arc<Mutex<watch::Sender<Fate>>>;

/// What has befallen a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Served,
    Forgotten,
    Swallowed,
    Cut,
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
    pub(crate) async fn start(broker: &str) -> io::Result<Self> {
        let port = broker.strip_prefix(HOST).and_then(|rest| rest.strip_prefix(':')?.parse().ok());
        let port: u16 = port.ok_or_else(|| {
            let sentence = format!("the broker {broker:?} is not at {HOST}:PORT");
            io::Error::new(io::ErrorKind::InvalidInput, sentence)
        })?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let own = listener.local_addr()?.port();
        let form = |port: u16| [HOST.as_bytes(), &u32::from(port).to_be_bytes()].concat();
        let rewrite = Rewrite { broker: form(port), proxy: form(own) };
        let newest = Arc::new(Mutex::new(watch::Sender::new(Fate::Served)));
        let accepting = tokio::spawn(accept(listener, port, rewrite, Arc::clone(&newest)));
        let _accepting = AbortOnDropHandle::new(accepting);
        Ok(Self { address: format!("{HOST}:{own}"), newest, _accepting })
    }

    /// Where it listens, `HOST:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Ends every connection, as a broker ends those that are idle. New ones are taken.
    pub(crate) fn cut(&self) {
        self.befall(Fate::Cut, Fate::Served);
    }

    /// Forgets every connection without a word, as the network between does after a time: it is
    /// reset when its client next uses it. New ones are taken.
    pub(crate) fn forget(&self) {
        self.befall(Fate::Forgotten, Fate::Served);
    }

    /// Takes what comes over every connection and passes none of it on, for ever. New ones are
    /// served.
    pub(crate) fn swallow(&self) {
        self.befall(Fate::Swallowed, Fate::Served);
    }

    /// Ends every connection, and each new one at once: the broker is unavailable.
    pub(crate) fn leave(&self) {
        self.befall(Fate::Cut, Fate::Cut);
    }

    /// The broker is back.
    pub(crate) fn come_back(&self) {
        self.befall(Fate::Cut, Fate::Served);
    }

    /// Whether there is a connection that nothing has befallen.
    pub(crate) fn is_used(&self) -> bool {
        lock(&self.newest).receiver_count() > 0
    }

    fn befall(&self, connections: Fate, new: Fate) {
        let before = std::mem::replace(&mut *lock(&self.newest), watch::Sender::new(new));
        before.send_replace(connections);
    }
}

fn lock(newest: &Newest) -> MutexGuard<'_, watch::Sender<Fate>> {
    newest.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connections end with this.
async fn accept(listener: TcpListener, port: u16, rewrite: Rewrite, newest: Newest) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let fate = lock(&newest).subscribe();
        // However it ends, both its sockets end with it; that is all there is to say.
        connections.spawn(connect(client, port, rewrite.clone(), fate));
        while connections.try_join_next().is_some() {}
    }
}

async fn connect(
    mut client: TcpStream,
    port: u16,
    rewrite: Rewrite,
    fate: watch::Receiver<Fate>,
) -> io::Result<()> {
    let mut broker = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let mut watched = fate.clone();
    let (from_client, to_client) = client.split();
    let (from_broker, to_broker) = broker.split();
    let forgotten = tokio::select! {
        biased;
        Ok(_) = watched.wait_for(|fate| *fate == Fate::Cut) => false,
        forgotten = requests(from_client, to_broker, &fate) => forgotten?,
        ended = answers(from_broker, to_client, &rewrite, &fate) => ended.map(|()| false)?,
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
    fate: &watch::Receiver<Fate>,
) -> io::Result<bool> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        let now = *fate.borrow();
        match now {
            _ if read == 0 => return Ok(false),
            Fate::Forgotten => return Ok(true),
            Fate::Swallowed => {}
            Fate::Served | Fate::Cut => to.write_all(&buffer[..read]).await?,
        }
    }
}

/// Passes on what the broker answers, message by message, so that no address is cut in two.
async fn answers(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    rewrite: &Rewrite,
    fate: &watch::Receiver<Fate>,
) -> io::Result<()> {
    loop {
        let mut size = [0; 4];
        if let Err(error) = from.read_exact(&mut size).await {
            let heard = matches!(*fate.borrow(), Fate::Served | Fate::Cut);
            // Of another connection's end the client hears nothing.
            return if heard { Err(error) } else { std::future::pending().await };
        }
        let mut message = vec![0; u32::from_be_bytes(size) as usize];
        from.read_exact(&mut message).await?;
        rewrite.apply(&mut message);
        to.write_all(&[&size[..], &message].concat()).await?;
    }
}

impl Rewrite {
    fn apply(&self, message: &mut [u8]) {
        for at in 0..message.len() {
            if message[at..].starts_with(&self.broker) {
                message[at..][..self.proxy.len()].copy_from_slice(&self.proxy);
            }
        }
    }
}

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
