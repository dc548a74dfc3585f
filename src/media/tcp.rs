//! ICE-TCP (RFC 6544), passive: browsers behind walls that let no UDP through connect to us. Frames have two bytes of
//! length before them (RFC 4571).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::demux::canonical;
use super::worker::Command;

/// STUN, DTLS and RTP keep to the size of a datagram.
const FRAME_BYTES_MAX: usize = 2_048;
/// Frames that wait on either way.
const WAITING_MAX: usize = 64;

/// The engine's half of a connection; when it is dropped, the connection is closed.
pub type ToPeer = mpsc::Sender<Vec<u8>>;

/// One connection's way into the engine.
struct Peer {
    from: SocketAddr,
    commands: mpsc::UnboundedSender<Command>,
    waiting: Arc<AtomicUsize>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::TcpEnded(self.from));
    }
}

/// Takes connections until the engine stops; no more than `connections_max` at the same time.
pub async fn listen(
    listener: TcpListener,
    commands: mpsc::WeakUnboundedSender<Command>,
    connections_max: usize,
) {
    let open = Arc::new(tokio::sync::Semaphore::new(connections_max));
    loop {
        let Ok(permit) = open.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                let Some(commands) = commands.upgrade() else { return };
                tokio::spawn(async move {
                    serve(stream, canonical(from), commands).await;
                    drop(permit);
                });
            }
            // Out of file handles, most likely; others may close theirs.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

async fn serve(stream: TcpStream, from: SocketAddr, commands: mpsc::UnboundedSender<Command>) {
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    let (to_peer, frames) = mpsc::channel(WAITING_MAX);
    let waiting = Arc::new(AtomicUsize::new(0));
    if commands.send(Command::TcpOpened(from, to_peer, waiting.clone())).is_err() {
        return;
    }
    let peer = Peer { from, commands, waiting };
    tokio::select! {
        () = read(reader, &peer) => {}
        () = write(writer, frames) => {}
    }
}

async fn read(mut reader: OwnedReadHalf, peer: &Peer) {
    loop {
        let Ok(length) = reader.read_u16().await else { return };
        let length = usize::from(length);
        if length > FRAME_BYTES_MAX {
            return;
        }
        let mut frame = vec![0; length];
        if reader.read_exact(&mut frame).await.is_err() {
            return;
        }
        if peer.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            peer.waiting.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        if peer.commands.send(Command::TcpFrame(peer.from, frame)).is_err() {
            return;
        }
    }
}

async fn write(mut writer: OwnedWriteHalf, mut frames: mpsc::Receiver<Vec<u8>>) {
    while let Some(frame) = frames.recv().await {
        // One write for length and content, so that it leaves as one segment.
        let Ok(length) = u16::try_from(frame.len()) else { continue };
        let mut framed = Vec::with_capacity(frame.len() + 2);
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&frame);
        if writer.write_all(&framed).await.is_err() {
            return;
        }
    }
}
