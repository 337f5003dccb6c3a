//! Free loopback ports.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// `N` different ports of 127.0.0.1 that nothing listens on. All are held until the last is known,
/// so none repeats; another process may still take one before its user binds it, so a user that
/// fails to bind tries again.
pub(crate) fn free<const N: usize>() -> Result<[u16; N], String> {
    let ports = || -> io::Result<[u16; N]> {
        let mut ports = [0; N];
        let mut held = Vec::with_capacity(N);
        for port in &mut ports {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            *port = listener.local_addr()?.port();
            held.push(listener);
        }
        Ok(ports)
    };
    ports().map_err(|error| format!("no free port on 127.0.0.1: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_can_be_bound() {
        let bindable = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
        // Another test may take one meanwhile, but not every time.
        let all_free = (0..20).any(|_| {
            let ports = free::<4>().expect("four ports");
            for (index, port) in ports.iter().enumerate() {
                assert!(!ports[..index].contains(port), "{ports:?}");
            }
            ports.iter().all(bindable)
        });
        assert!(all_free);
    }
}
