//! What threads do that send an answer.

use std::io::{self, Write};

use crate::body::{CHUNK, Sink};
use crate::car::{BrokenCar, Car};
use crate::piece::Piece;

/// Sends bytes of a piece. They break off where the piece does.
pub fn send_piece(piece: &Piece, first: u64, length: u64, sink: Sink) {
    match copy(piece, first, length, sink) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => tracing::debug!("a client left before the end"),
        Err(error) => tracing::warn!(%error, "a piece breaks off while it is sent"),
    }
}

fn copy(piece: &Piece, first: u64, length: u64, mut sink: Sink) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    let mut done = 0;
    while done < length {
        let count = (length - done).min(CHUNK as u64) as usize;
        piece.bytes.read_all(&mut chunk[..count], first + done)?;
        sink.write_all(&chunk[..count])?;
        done += count as u64;
    }
    sink.flush()
}

/// Sends a CAR. It breaks off where something is missing.
pub fn send_car(car: Car, sink: Sink, address: &str) {
    match car.send(sink) {
        Ok(()) => {}
        Err(error) if is_left(&error) => tracing::debug!("a client left before the end"),
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(address, source, "a CAR breaks off while it is sent: {error}");
        }
    }
}

/// Whether nobody reads any more. That comes back through what reads blocks, too.
fn is_left(error: &BrokenCar) -> bool {
    let mut error: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(here) = error {
        if here.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            return true;
        }
        error = here.source();
    }
    false
}
