//! WebSocket frames byte by byte (RFC 6455), for those that no library would send.
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::LIMIT;

const UPGRADE: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n\
    Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A connection to Socket.IO without any rules.
pub struct RawFrames {
    connection: TcpStream,
}

impl RawFrames {
    /// Opens the WebSocket.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn open(address: &str) -> Self {
        let opened = Self::try_open(address).await;
        opened.unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    /// Opens the WebSocket, if the server lets it.
    ///
    /// # Errors
    /// What the server answers otherwise.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn try_open(address: &str) -> Result<Self, String> {
        let mut raw = Self::half_open(address).await;
        raw.connection.write_all(b"\r\n").await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(LIMIT, raw.connection.read_u8()).await.expect("an answer in time");
            head.push(byte.expect("an answer to the upgrade"));
        }
        let opened = head.starts_with(b"HTTP/1.1 101");
        if opened { Ok(raw) } else { Err(String::from_utf8_lossy(&head).into_owned()) }
    }

    /// Sends all of the request to upgrade but its end.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn half_open(address: &str) -> Self {
        let peer = address.strip_prefix("http://").expect("an address");
        let mut connection = TcpStream::connect(peer).await.expect("somebody listens");
        connection.write_all(UPGRADE.as_bytes()).await.expect("the request is taken");
        Self { connection }
    }

    /// Sends one frame. The server may end the connection meanwhile: that is no error.
    pub async fn send(&mut self, last: bool, opcode: u8, payload: &[u8]) {
        self.write(&frame(last, opcode, payload)).await;
    }

    /// Sends frames as they are. The server may end the connection meanwhile: that is no error.
    pub async fn write(&mut self, frames: &[u8]) {
        // Who is not read any more may never finish writing.
        timeout(LIMIT, self.connection.write_all(frames)).await.ok();
    }

    /// Requires that the server ends the connection.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn closes(mut self, what: &str) {
        let mut rest = [0; 4096];
        loop {
            let read = timeout(LIMIT, self.connection.read(&mut rest)).await;
            let read = read.unwrap_or_else(|_| panic!("the connection stays open after {what}"));
            if matches!(read, Ok(0) | Err(_)) {
                return;
            }
        }
    }
}

/// One message in so many frames of one byte; its end never comes.
#[must_use]
pub fn fragments(count: usize) -> Vec<u8> {
    let mut frames = frame(false, 1, b"4");
    let next = frame(false, 0, b"x");
    frames.extend(next.repeat(count.saturating_sub(1)));
    frames
}

/// A frame of a client (section 5.2): masked, with a mask that changes nothing.
#[must_use]
pub fn frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASKED: u8 = 0x80;
    let mut frame = vec![if last { 0x80 + opcode } else { opcode }];
    let length = payload.len();
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => frame.push(MASKED + short),
        (_, Ok(length)) => {
            frame.push(MASKED + 126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(MASKED + 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}
