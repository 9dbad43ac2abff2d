//! A socket that tells what happens to it, and that does not hang up on a client who still speaks.

use super::activity::Activity;
use crate::pause;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How long, and how much, a client may go on sending a body that was refused. To close the socket with bytes unread would
/// reset the connection, and take from the client the answer that says why.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

pub(super) struct Stream {
    socket: TcpStream,
    activity: Arc<Activity>,
    farewell: Option<Farewell>,
}

/// All is said; what still comes in is thrown away.
struct Farewell {
    until: Pin<Box<dyn Future<Output = ()> + Send>>,
    left: usize,
}

impl Stream {
    pub(super) fn new(socket: TcpStream, activity: Arc<Activity>) -> Self {
        Self { socket, activity, farewell: None }
    }

    fn told<T>(&self, written: Poll<T>) -> Poll<T> {
        self.activity.sent(written.is_ready());
        written
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.heard();
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.told(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.told(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.farewell.is_none() {
            ready!(Pin::new(&mut this.socket).poll_shutdown(context))?;
        }
        if !this.activity.is_unread() {
            return Poll::Ready(Ok(()));
        }
        let farewell = this.farewell.get_or_insert_with(Farewell::begin);
        farewell.poll(&mut this.socket, context).map(Ok)
    }
}

impl Farewell {
    fn begin() -> Self {
        Self { until: Box::pin(pause(LINGER)), left: LINGER_BYTES }
    }

    /// Until the client has ended too, or has had its time.
    fn poll(&mut self, socket: &mut TcpStream, context: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 8 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut *socket).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if (1..=self.left).contains(&buffer.filled().len()) => {
                    self.left -= buffer.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.until.as_mut().poll(context),
            }
        }
    }
}
