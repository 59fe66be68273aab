//! A connection that holds its place until it is closed, also after it became a WebSocket, and that can
//! be ended from elsewhere.
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use realtime::Line;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
};

/// A connection and its place among those that are allowed.
pub(super) struct Counted {
    stream: TcpStream,
    line: Line,
    _place: OwnedSemaphorePermit,
}

impl Counted {
    pub(super) fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        Self { stream, line: Line::default(), _place: place }
    }

    /// By which it is ended.
    pub(super) fn line(&self) -> Line {
        self.line.clone()
    }

    #[cfg(test)]
    pub(super) fn nodelay(&self) -> bool {
        self.stream.nodelay().unwrap()
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.line.closed();
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.line.may_read(context)?;
        self.stream().poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.line.may_write(context)?;
        self.stream().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.may_write(context)?;
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.line.may_write(context)?;
        self.stream().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, sync::Arc, time::Duration};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, split},
        net::TcpListener,
        sync::Semaphore,
        time::timeout,
    };

    use super::*;

    #[tokio::test]
    async fn who_hangs_up_ends_reading_and_writing_that_wait_and_frees_the_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // It neither says anything nor reads.
        let silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let places = Arc::new(Semaphore::new(1));
        let counted = Counted::new(stream, places.clone().acquire_owned().await.unwrap());
        let line = counted.line();
        let (mut reader, mut writer) = split(counted);
        let reading = tokio::spawn(async move { reader.read_u8().await.unwrap_err().kind() });
        let writing = tokio::spawn(async move {
            let part = [0; 16 * 1024];
            loop {
                if let Err(error) = writer.write_all(&part).await {
                    return error.kind();
                }
            }
        });
        let early = timeout(Duration::from_millis(200), places.acquire()).await;
        assert!(early.is_err() && !reading.is_finished() && !writing.is_finished());
        line.hang_up();
        assert_eq!(reading.await.unwrap(), ErrorKind::ConnectionAborted);
        assert_eq!(writing.await.unwrap(), ErrorKind::ConnectionAborted);
        assert_eq!(places.available_permits(), 1);
        drop(silent);
    }
}
