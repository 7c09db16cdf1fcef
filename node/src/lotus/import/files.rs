//! The files of a sector as a miner downloads them.
//!
//! Source: `spec/attach.md` B.10, B.15; RLE+ as in `spec/chain.md`, bit fields.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use axum::body::{Body, Bytes};
use filecash_engine::sector::{SealProof, geometry::Geometry};
use filecash_engine::store::files::{P_AUX, T_AUX, tree_r_last};
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::spawn_blocking;
use tokio_stream::wrappers::ReceiverStream;

use crate::folder::Folder;
use crate::lotus::leb128;

/// Bytes that go out at a time.
const CHUNK: usize = 1 << 20;
/// Chunks that wait for a slow reader.
const AHEAD: usize = 2;

/// What is written becomes a body, as fast as that is read.
struct Pipe {
    sender: Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Pipe {
    fn send(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        if chunk.is_empty() {
            return Ok(());
        }
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.sender.blocking_send(Ok(chunk.into())).map_err(gone)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == CHUNK {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

/// A body that is written by somebody else; one that fails is cut off, so that nobody takes it for whole.
fn written(write: impl FnOnce(&mut Pipe) -> io::Result<()> + Send + 'static) -> Body {
    let (sender, receiver) = channel(AHEAD);
    spawn_blocking(move || {
        let mut pipe = Pipe { sender, buffer: Vec::with_capacity(CHUNK) };
        if let Err(error) = write(&mut pipe).and_then(|()| pipe.flush()) {
            // Who is gone does not hear it.
            drop(pipe.sender.blocking_send(Err(error)));
        }
    });
    Body::from_stream(ReceiverStream::new(receiver))
}

/// So many bytes of a file, and bytes after them, with the length of the whole.
pub fn file(path: &Path, bytes: u64, after: Vec<u8>) -> io::Result<(u64, Body)> {
    let file = File::open(path)?;
    let actual = file.metadata()?.len();
    if actual < bytes {
        let message = format!("{} has {actual} bytes, expected {bytes}", path.display());
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
    }
    let length = bytes + after.len() as u64;
    let body = written(move |pipe| {
        let copied = io::copy(&mut file.take(bytes), pipe)?;
        if copied != bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        pipe.write_all(&after)
    });
    Ok((length, body))
}

/// What a cache holds that is finalized: the files that proofs of space-time need, as an archive.
pub fn cache(folder: &Folder, proof: &SealProof) -> io::Result<Body> {
    let cache = folder.cache();
    let trees = tree_r_last(&cache, Geometry::of(proof.config().params).base_trees());
    let files = [P_AUX, T_AUX].map(|name| cache.join(name)).into_iter().chain(trees);
    // One that is missing is noticed before the answer begins.
    let files = files.map(|path| Ok((File::open(&path)?, path))).collect::<io::Result<Vec<_>>>()?;
    Ok(written(move |pipe| {
        let mut archive = tar::Builder::new(pipe);
        for (mut file, path) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(file.metadata()?.len());
            header.set_mode(0o644);
            header.set_mtime(0);
            let name = path.file_name().unwrap_or_default();
            archive.append_data(&mut header, name, &mut file)?;
        }
        archive.finish()
    }))
}

/// What stands after the data of an unsealed file all of which is there: the run-length list of its one range, and that list's length.
pub fn trailer(size_bytes: u64) -> Vec<u8> {
    // Version 00, the first run is of ones, then a run: 1 for one, 01 and 4 bits for less than 16, 00 and a varint.
    let mut bits = vec![false, false, true, false, false];
    for byte in leb128(size_bytes) {
        bits.extend((0..8).map(|bit| byte >> bit & 1 == 1));
    }
    let byte = |bits: &[bool]| bits.iter().enumerate().fold(0, |byte, (place, bit)| byte | u8::from(*bit) << place);
    let mut list: Vec<u8> = bits.chunks(8).map(byte).collect();
    // Zeros at the end say nothing.
    while list.last() == Some(&0) {
        list.pop();
    }
    let length = list.len() as u32;
    list.extend(length.to_le_bytes());
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read back by hand: bits from the lowest of each byte on.
    fn ranges(trailer: &[u8]) -> Vec<(bool, u64)> {
        let (list, length) = trailer.split_at(trailer.len() - 4);
        assert_eq!(u32::from_le_bytes(length.try_into().unwrap()) as usize, list.len());
        let mut bits = list.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1)).chain([0; 64]);
        let mut next = || bits.next().unwrap();
        assert_eq!((next(), next()), (0, 0));
        let mut is_set = next() == 1;
        let (mut runs, mut read) = (Vec::new(), 0);
        while read == 0 {
            assert_eq!((next(), next()), (0, 0));
            let (mut number, mut shift) = (0, 0);
            loop {
                let byte = (0..8).fold(0, |byte, bit| byte | next() << bit);
                number |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            runs.push((is_set, number));
            is_set = !is_set;
            read += 1;
        }
        runs
    }

    #[test]
    fn trailer_says_that_all_is_there() {
        assert_eq!(trailer(2048), [0x04, 0x10, 0x02, 3, 0, 0, 0]);
        for size in [2048, 8 << 20, 512 << 20, 32 << 30, 64 << 30] {
            assert_eq!(ranges(&trailer(size)), [(true, size)]);
        }
    }
}
