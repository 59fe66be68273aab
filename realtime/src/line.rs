//! The network connection on which requests come, ended from elsewhere.
//!
//! The Socket.IO library lets nobody outside end a WebSocket: it ends the namespace, and the client
//! may stay connected for as long as it answers pings.
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Context,
};

use futures::task::AtomicWaker;
use parking_lot::Mutex;

/// One network connection. Who accepts it asks before each read and write, puts a copy into the
/// extensions of its requests, and tells when it is closed.
#[derive(Clone, Default)]
pub struct Line(Arc<State>);

type Afterwards = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    hung_up: AtomicBool,
    /// Who waits for bytes, and who for room to write: not always one task.
    reader: AtomicWaker,
    writer: AtomicWaker,
    afterwards: Mutex<Option<Afterwards>>,
}

impl Line {
    /// Ends the connection: what is read and written from here on fails, also what waits already.
    pub fn hang_up(&self) {
        self.0.hung_up.store(true, Ordering::Release);
        self.0.reader.wake();
        self.0.writer.wake();
    }

    /// To be asked before each read. The task is woken when this changes.
    ///
    /// # Errors
    /// Once the line was hung up.
    pub fn may_read(&self, context: &Context<'_>) -> io::Result<()> {
        self.look(&self.0.reader, context)
    }

    /// To be asked before each write and flush. The task is woken when this changes.
    ///
    /// # Errors
    /// Once the line was hung up.
    pub fn may_write(&self, context: &Context<'_>) -> io::Result<()> {
        self.look(&self.0.writer, context)
    }

    /// The connection is closed, by whomever.
    pub fn closed(&self) {
        let afterwards = self.0.afterwards.lock().take();
        if let Some(afterwards) = afterwards {
            afterwards();
        }
    }

    /// What is to be done when the connection is closed. Asked while it is open, and once.
    pub(crate) fn when_closed(&self, afterwards: impl FnOnce() + Send + 'static) {
        *self.0.afterwards.lock() = Some(Box::new(afterwards));
    }

    /// Whether both are the same connection.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn look(&self, waiting: &AtomicWaker, context: &Context<'_>) -> io::Result<()> {
        // In this order: whoever hangs up in between wakes the task.
        waiting.register(context.waker());
        if self.0.hung_up.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use super::*;

    #[tokio::test]
    async fn who_waits_to_read_and_who_waits_to_write_learn_that_the_line_was_hung_up() {
        let line = Line::default();
        let (one, other) = (line.clone(), line.clone());
        let reading = tokio::spawn(poll_fn(move |context| match one.may_read(context) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(error.kind()),
        }));
        let writing = tokio::spawn(poll_fn(move |context| match other.may_write(context) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(error.kind()),
        }));
        tokio::task::yield_now().await;
        line.hang_up();
        assert_eq!(reading.await.unwrap(), io::ErrorKind::ConnectionAborted);
        assert_eq!(writing.await.unwrap(), io::ErrorKind::ConnectionAborted);
    }
}
