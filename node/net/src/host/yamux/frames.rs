//! Long frames of others, each as several.
//!
//! The yamux specification sets no limit to a frame but the window of its stream. js-libp2p sends frames as long as that is, and the crate
//! ends a connection at one of more than 1 MiB, so that files of Helia broke off. So what comes is handed on with long frames of data cut:
//! each part is a frame of its own, as if the other side had sent it so. A header is 12 bytes: version, type, flags (2), stream (4), length
//! (4), big-endian. Source: the specification of hashicorp/yamux, "Framing".

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use libp2p::futures::{AsyncRead, AsyncWrite};

/// Bytes of a part.
const PART: u32 = 64 << 10;
const HEADER: usize = 12;
const DATA: u8 = 0;
/// Flags of a stream's begin, which belong to the first part.
const SYN_ACK: u16 = 1 | 2;
/// Flags of its end, which belong to the last.
const FIN_RST: u16 = 4 | 8;

/// A connection of bytes with frames on it.
pub struct Frames<C> {
    bytes: C,
    header: [u8; HEADER],
    /// Bytes of the header that have come.
    came: usize,
    /// Bytes of the header that were handed on.
    given: usize,
    /// Bytes of the part behind it that were not.
    body: u32,
    /// Bytes of the frame behind the part.
    rest: u32,
    /// What the frame's last part has to say.
    last: u16,
}

impl<C> Frames<C> {
    pub fn new(bytes: C) -> Self {
        Self { bytes, header: [0; HEADER], came: 0, given: 0, body: 0, rest: 0, last: 0 }
    }

    /// The header has come: what is handed on instead.
    fn begin(&mut self) {
        let [_, kind, f0, f1, _, _, _, _, length @ ..] = self.header;
        let (flags, length) = (u16::from_be_bytes([f0, f1]), u32::from_be_bytes(length));
        // A length of another type is no length.
        self.body = if kind == DATA { length } else { 0 };
        self.rest = 0;
        if self.body > PART {
            self.last = flags & FIN_RST;
            self.rest = length - PART;
            self.part(PART, flags & !FIN_RST);
        }
    }

    /// A part of a long frame has been handed on: the next.
    fn next(&mut self) {
        let length = self.rest.min(PART);
        self.rest -= length;
        let [f0, f1] = [self.header[2], self.header[3]];
        let flags = u16::from_be_bytes([f0, f1]) & !SYN_ACK;
        self.part(length, if self.rest == 0 { flags | self.last } else { flags });
    }

    fn part(&mut self, length: u32, flags: u16) {
        self.header[2..4].copy_from_slice(&flags.to_be_bytes());
        self.header[8..].copy_from_slice(&length.to_be_bytes());
        (self.given, self.body) = (0, length);
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Frames<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if out.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            if this.came < HEADER {
                let count = ready!(Pin::new(&mut this.bytes).poll_read(cx, &mut this.header[this.came..]))?;
                if count == 0 {
                    // Of a header that breaks off nothing can be made.
                    return Poll::Ready(if this.came == 0 { Ok(0) } else { Err(io::ErrorKind::UnexpectedEof.into()) });
                }
                this.came += count;
                if this.came == HEADER {
                    this.given = 0;
                    this.begin();
                }
            } else if this.given < HEADER {
                let count = out.len().min(HEADER - this.given);
                out[..count].copy_from_slice(&this.header[this.given..][..count]);
                this.given += count;
                return Poll::Ready(Ok(count));
            } else if this.body > 0 {
                let most = out.len().min(usize::try_from(this.body).unwrap_or(usize::MAX));
                let count = ready!(Pin::new(&mut this.bytes).poll_read(cx, &mut out[..most]))?;
                this.body -= u32::try_from(count).unwrap_or(this.body);
                return Poll::Ready(Ok(count));
            } else if this.rest > 0 {
                this.next();
            } else {
                this.came = 0;
            }
        }
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Frames<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write_vectored(cx, parts)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use libp2p::futures::AsyncReadExt;
    use proptest::prelude::*;

    use super::*;

    /// Gives so many bytes at a time.
    struct Slow(Vec<u8>, usize);

    impl AsyncRead for Slow {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
            let count = self.0.len().min(self.1).min(out.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Poll::Ready(Ok(count))
        }
    }

    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Frame {
        kind: u8,
        flags: u16,
        stream: u32,
        length: u32,
        body: Vec<u8>,
    }

    fn encoded(frame: &Frame) -> Vec<u8> {
        let head = [&[0, frame.kind][..], &frame.flags.to_be_bytes(), &frame.stream.to_be_bytes()].concat();
        [&head[..], &frame.length.to_be_bytes(), &frame.body].concat()
    }

    fn decoded(mut bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some((head, rest)) = bytes.split_first_chunk::<HEADER>() {
            let number = |from: usize| u32::from_be_bytes(head[from..from + 4].try_into().unwrap());
            let (kind, length) = (head[1], number(8));
            let (body, rest) = rest.split_at(if kind == DATA { length as usize } else { 0 });
            let flags = u16::from_be_bytes([head[2], head[3]]);
            frames.push(Frame { kind, flags, stream: number(4), length, body: body.to_vec() });
            bytes = rest;
        }
        assert!(bytes.is_empty());
        frames
    }

    /// What is to come of a frame, said in another way than it is done.
    fn cut(frame: &Frame) -> Vec<Frame> {
        if frame.kind != DATA || frame.body.is_empty() {
            return vec![frame.clone()];
        }
        let parts: Vec<&[u8]> = frame.body.chunks(PART as usize).collect();
        let flags = |at: usize| {
            let mut flags = frame.flags;
            if at > 0 {
                flags &= !SYN_ACK;
            }
            if at + 1 < parts.len() {
                flags &= !FIN_RST;
            }
            flags
        };
        let part = |(at, body): (usize, &&[u8])| Frame {
            flags: flags(at),
            length: body.len() as u32,
            body: body.to_vec(),
            ..frame.clone()
        };
        parts.iter().enumerate().map(part).collect()
    }

    fn read(bytes: Vec<u8>, step: usize, out: usize) -> io::Result<Vec<u8>> {
        let (mut frames, mut all, mut buffer) = (Frames::new(Slow(bytes, step)), Vec::new(), vec![0; out]);
        loop {
            match at_once(&mut frames, &mut buffer)? {
                0 => return Ok(all),
                count => all.extend(&buffer[..count]),
            }
        }
    }

    /// Nothing here is ever waited for.
    fn at_once(frames: &mut Frames<Slow>, buffer: &mut [u8]) -> io::Result<usize> {
        libp2p::futures::FutureExt::now_or_never(frames.read(buffer)).unwrap()
    }

    fn frame() -> impl Strategy<Value = Frame> {
        let lengths = prop_oneof![0..3_u32, PART - 2..PART + 3, 2 * PART - 1..2 * PART + 2, 0..5 * PART];
        (prop_oneof![3 => Just(DATA), 1 => 1..5_u8], 0..32_u16, any::<u32>(), lengths).prop_map(
            |(kind, flags, stream, length)| {
                let body = if kind == DATA { (0..length).map(|at| (at % 251) as u8).collect() } else { Vec::new() };
                Frame { kind, flags, stream, length, body }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn long_frames_are_cut_and_all_else_is_as_it_came(
            frames in prop::collection::vec(frame(), 0..6),
            step in prop_oneof![1..30_usize, Just(100_000)],
            out in prop_oneof![1..30_usize, Just(100_000)],
        ) {
            let bytes = frames.iter().flat_map(encoded).collect();
            let expected: Vec<Frame> = frames.iter().flat_map(cut).collect();
            prop_assert!(decoded(&read(bytes, step, out).unwrap()) == expected);
        }

        /// Of what is not made of frames no more than headers is added.
        #[test]
        fn any_bytes_come_to_an_end(mut bytes in prop::collection::vec(any::<u8>(), 0..100), is_data: bool) {
            if let (true, Some(kind)) = (is_data, bytes.get_mut(1)) {
                *kind = DATA;
            }
            if let Ok(came) = read(bytes.clone(), 7, 7) {
                prop_assert_eq!(came.len(), bytes.len());
            }
        }
    }

    #[test]
    fn what_breaks_off_is_no_frame() {
        let frame = Frame { kind: DATA, flags: 1, stream: 3, length: 5, body: vec![7; 5] };
        let bytes = encoded(&frame);
        for end in 1..HEADER {
            let error = read(bytes[..end].to_vec(), 5, 5).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{end}");
        }
        // Yamux tells of a body that does.
        assert_eq!(read(bytes[..14].to_vec(), 5, 5).unwrap(), bytes[..14]);
    }
}
