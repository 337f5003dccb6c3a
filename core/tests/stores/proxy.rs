//! A TCP proxy in front of an engine, so that a test can take the engine away and give it back.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What happens to bytes, at once and on every connection. A connection of which bytes were lost is
/// dropped as soon as bytes would flow that way again: what follows them would be nonsense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// They pass.
    Open,
    /// Connections are dropped, and new ones are as soon as they are made.
    Cut,
    /// Connections are kept and accepted, and what comes over them is swallowed: a host that is
    /// silently dead, or a socket that died while the process was frozen.
    Stalled,
    /// Requests pass and their answers are swallowed: acknowledgements are lost.
    Mute,
}

/// It ends, and its connections with it, when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
}

impl Proxy {
    /// A proxy before the engine at that `host:port`.
    pub(crate) async fn before(engine: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (line, watched) = watch::channel(Line::Open);
        tokio::spawn(accept(listener, engine.to_owned(), watched));
        Self { address, line }
    }

    /// Where clients find it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

async fn accept(listener: TcpListener, engine: String, mut line: watch::Receiver<Line>) {
    loop {
        let client = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            changed = line.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let (engine, mut line) = (engine.clone(), line.clone());
        tokio::spawn(async move {
            let cut = line.clone();
            tokio::select! {
                () = connection(client, &engine, &mut line) => {}
                () = dropped(cut) => {}
            }
        });
    }
}

/// Until connections are to be dropped.
async fn dropped(mut line: watch::Receiver<Line>) {
    // An error says that the proxy was dropped, which is the same.
    let _ = line.wait_for(|line| *line == Line::Cut).await;
}

async fn connection(mut client: TcpStream, engine: &str, line: &mut watch::Receiver<Line>) {
    // While the line is stalled no connection is made to the engine; a client cannot tell.
    if line.wait_for(|line| *line != Line::Stalled).await.is_err() {
        return;
    }
    let Ok(mut engine) = TcpStream::connect(engine).await else { return };
    // The proxy must not be what delivery waits for.
    client.set_nodelay(true).unwrap();
    engine.set_nodelay(true).unwrap();
    let ((from_client, to_client), (from_engine, to_engine)) = (client.split(), engine.split());
    tokio::select! {
        () = carry(from_client, to_engine, line.clone(), &[Line::Stalled]) => {}
        () = carry(from_engine, to_client, line.clone(), &[Line::Stalled, Line::Mute]) => {}
    }
}

/// Carries bytes until one end is closed; swallows them while the line is one of those.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut line: watch::Receiver<Line>,
    swallows: &[Line],
) {
    let (mut lost, mut buffer) = (false, vec![0; 64 << 10]);
    loop {
        let read = tokio::select! {
            biased;
            changed = line.changed() => if changed.is_ok() { None } else { return },
            read = from.read(&mut buffer) => Some(read),
        };
        let swallowed = swallows.contains(&line.borrow_and_update());
        if lost && !swallowed {
            return;
        }
        match read {
            None => {}
            Some(Ok(0) | Err(_)) => return,
            Some(Ok(_)) if swallowed => lost = true,
            Some(Ok(read)) => {
                let written = to.write_all(&buffer[..read]).await;
                if written.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn the_proxy_passes_swallows_and_drops() {
    /// An engine that answers each byte with itself.
    async fn echo(listener: TcpListener) {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = client.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    }
    async fn answer(client: &mut TcpStream, byte: u8) -> Option<std::io::Result<u8>> {
        client.write_all(&[byte]).await.unwrap();
        let limit = std::time::Duration::from_millis(200);
        tokio::time::timeout(limit, client.read_u8()).await.ok()
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::before(&listener.local_addr().unwrap().to_string()).await;
    tokio::spawn(echo(listener));
    let connect = || TcpStream::connect(proxy.address());

    let mut client = connect().await.unwrap();
    assert!(matches!(answer(&mut client, 1).await, Some(Ok(1))));
    for line in [Line::Stalled, Line::Mute] {
        proxy.set(line);
        assert!(answer(&mut client, 2).await.is_none(), "{line:?}");
        proxy.set(Line::Open);
        assert!(client.read_u8().await.is_err(), "it lost bytes, so it is dropped");
        client = connect().await.unwrap();
        assert!(matches!(answer(&mut client, 3).await, Some(Ok(3))), "{line:?}");
    }
    proxy.set(Line::Cut);
    assert!(client.read_u8().await.is_err());
    assert!(connect().await.unwrap().read_u8().await.is_err());
}
