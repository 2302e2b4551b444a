//! Streams that leave nothing of what was read in the buffers of their readers.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes that one read gives: fewer than hyper's first buffer holds. So hyper never sees a reason to take a larger one,
/// which it would then use from the front on, with the end of the last request left lying behind.
const MOST: usize = 8191;

/// A stream that overwrites all the room it is given to read into, before it reads.
///
/// rustls decrypts where it reads and hyper parses where it reads, and both keep their buffers: a token and a body would lie
/// there until the next request on the connection. But both ask for more as soon as a request is done, with their buffer
/// empty again, so that this is the moment to wipe it. Under TLS it serves rustls, above it hyper.
pub(crate) struct Scrubbed<S>(pub(crate) S);

impl<S: AsyncRead + Unpin> AsyncRead for Scrubbed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let known = buffer.initialized().len() - buffer.filled().len();
        // Zeroes what was never written as far as the buffer knows; hyper's never knows.
        let room = buffer.initialize_unfilled();
        if let Some(known) = room.get_mut(..known) {
            known.fill(0);
        }
        let most = room.len().min(MOST);
        let mut part = ReadBuf::new(room.get_mut(..most).unwrap_or_default());
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Scrubbed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, parts)
    }

    // Must say the truth: hyper copies answers into a buffer that it keeps where this is false.
    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that sends `self.0`, and then nothing.
    struct Peer(Vec<u8>);

    impl AsyncRead for Peer {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if self.0.is_empty() {
                return Poll::Pending;
            }
            let part = self.0.len().min(buffer.remaining());
            buffer.put_slice(&self.0.drain(..part).collect::<Vec<u8>>());
            Poll::Ready(Ok(()))
        }
    }

    /// Reads once into `buffer`; how much, if anything.
    fn read(stream: &mut Scrubbed<Peer>, mut buffer: ReadBuf<'_>) -> Option<usize> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        match Pin::new(stream).poll_read(&mut context, &mut buffer) {
            Poll::Ready(result) => result.map(|()| Some(buffer.filled().len())).unwrap(),
            Poll::Pending => None,
        }
    }

    #[test]
    fn what_lay_in_the_buffer_is_gone_even_if_nothing_came() {
        let mut stream = Scrubbed(Peer(b"GET /".to_vec()));
        let mut buffer = [7; 20_000];
        assert_eq!(read(&mut stream, ReadBuf::new(&mut buffer)), Some(5));
        assert_eq!(&buffer[..5], b"GET /");
        assert!(buffer[5..].iter().all(|byte| *byte == 0));

        buffer.fill(7);
        assert_eq!(read(&mut stream, ReadBuf::new(&mut buffer)), None);
        assert!(buffer.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_read_is_small_enough_for_the_first_buffer_to_stay() {
        let mut stream = Scrubbed(Peer(vec![1; 10_000]));
        let mut buffer = [0; 20_000];
        assert_eq!(read(&mut stream, ReadBuf::new(&mut buffer)), Some(MOST));
        assert_eq!(read(&mut stream, ReadBuf::new(&mut buffer)), Some(10_000 - MOST));
    }
}
