//! A connection whose other end has to take what it is sent.
//!
//! The time runs while bytes wait that the other end has not taken. It begins anew when it has taken so many, or all that there were.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A connection that fails with [`io::ErrorKind::TimedOut`] where its other end is too slow.
pub struct Paced<C> {
    connection: C,
    time: Duration,
    bytes: u64,
    waiting: Option<Waiting>,
}

struct Waiting {
    until: Pin<Box<Sleep>>,
    taken: u64,
}

impl<C> Paced<C> {
    /// So many bytes in a time are to be taken.
    pub fn new(connection: C, bytes: u64, time: Duration) -> Self {
        Self { connection, time, bytes, waiting: None }
    }

    fn wrote(&mut self, context: &mut Context<'_>, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Ready(Ok(count)) => {
                if let Some(waiting) = &mut self.waiting {
                    waiting.taken += count as u64;
                    if waiting.taken >= self.bytes {
                        self.waiting = None;
                    }
                }
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let time = self.time;
                let waiting = self.waiting.get_or_insert_with(|| Waiting { until: Box::pin(sleep(time)), taken: 0 });
                ready!(waiting.until.as_mut().poll(context));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client is too slow")))
            }
        }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Paced<C> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, bytes)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Paced<C> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.connection).poll_write(context, bytes);
        self.wrote(context, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.connection).poll_write_vectored(context, bytes);
        self.wrote(context, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Who flushes has nothing left that was not taken.
        self.waiting = None;
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
    }

    #[test]
    fn who_takes_nothing_is_left() {
        run(async {
            let (ours, _theirs) = duplex(10);
            let mut paced = Paced::new(ours, 100, Duration::from_millis(20));
            let error = paced.write_all(&[0; 1000]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    }

    #[test]
    fn who_takes_little_at_a_time_is_left_unless_it_is_enough() {
        run(async {
            for (bytes, is_enough) in [(1_000_000, false), (20, true)] {
                let (ours, mut theirs) = duplex(10);
                let mut paced = Paced::new(ours, bytes, Duration::from_millis(100));
                let reading = async {
                    let mut some = [0; 10];
                    loop {
                        sleep(Duration::from_millis(10)).await;
                        theirs.read_exact(&mut some).await.unwrap();
                    }
                };
                let written = tokio::select! {
                    written = paced.write_all(&[0; 300]) => written,
                    () = reading => Ok(()),
                };
                assert_eq!(written.is_ok(), is_enough);
            }
        });
    }

    /// What was sent before and taken late does not count for what is sent now.
    #[test]
    fn time_begins_anew_when_all_was_taken() {
        run(async {
            let (ours, mut theirs) = duplex(10);
            let mut paced = Paced::new(ours, 1000, Duration::from_millis(200));
            for _ in 0..4 {
                let reading = async {
                    sleep(Duration::from_millis(120)).await;
                    theirs.read_exact(&mut [0; 15]).await.unwrap();
                };
                let writing = async {
                    paced.write_all(&[0; 15]).await.unwrap();
                    paced.flush().await.unwrap();
                };
                tokio::join!(writing, reading);
            }
        });
    }
}
