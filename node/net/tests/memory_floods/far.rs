//! A long way to somebody: what goes there and back comes a while later, as much of it as may be on the way.

use std::net::SocketAddr;
use std::time::Duration;

use filecash_net::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// How long anything is on the way.
const AWAY: Duration = Duration::from_millis(250);
/// Reads that may be on the way, of 64 KiB at the most each.
const ON_THE_WAY: usize = 1024;

/// An address by which a peer at an address of TCP is far away, as long as the task is there.
pub async fn away(address: &Multiaddr) -> (Multiaddr, JoinHandle<()>) {
    let mut parts = address.iter();
    let (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) = (parts.next(), parts.next()) else {
        panic!("no address of TCP: {address}");
    };
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let near = Multiaddr::from(ip).with(Protocol::Tcp(listener.local_addr().unwrap().port()));
    let task = tokio::spawn(async move {
        while let Ok((there, _)) = listener.accept().await {
            tokio::spawn(relay(there, (ip, port).into()));
        }
    });
    (parts.fold(near, Multiaddr::with), task)
}

async fn relay(mut one: TcpStream, to: SocketAddr) {
    let Ok(mut other) = TcpStream::connect(to).await else { return };
    let ((from, into), (back, onto)) = (one.split(), other.split());
    tokio::join!(late(from, onto), late(back, into));
}

/// Hands on what is read, a while later and in its order, until either side ends.
async fn late(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let (sender, mut line) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let read = async move {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            if sender.send((Instant::now() + AWAY, bytes[..count].to_vec())).await.is_err() {
                break;
            }
        }
    };
    let write = async move {
        while let Some((when, bytes)) = line.recv().await {
            sleep_until(when).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // The other side may have ended already.
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
