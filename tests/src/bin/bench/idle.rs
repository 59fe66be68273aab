//! Memory of an idle socket: 5,000 that connected, heard `session_ready`, and wait.
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _, stream};
use serde_json::json;
use tests::TestApp;
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::report::{Report, Target};

const SOCKETS: usize = 5000;

pub(crate) async fn run(report: &mut Report) {
    let app = TestApp::builder()
        .setting("REALTIME__MAX_SOCKETS_PER_USER", &(SOCKETS + 100).to_string())
        .setting("REALTIME__PING_TIMEOUT_MS", "600000")
        .start()
        .await;
    let token = app.as_user("ana").await.token;
    // The first ones pay for pools and buffers that the others share.
    let warm = connect(&app.nodes[0].address, &token, 50).await;
    let before = app.nodes[0].resident_kib();
    let idle = connect(&app.nodes[0].address, &token, SOCKETS).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = app.nodes[0].resident_kib();
    report.absolute(
        "memory per idle socket, 5,000 sockets",
        ((after.saturating_sub(before)) as f64 / SOCKETS as f64, "KiB"),
        Target::AtMost(35.0),
    );
    drop((warm, idle));
    app.finish().await;
}

async fn connect(
    address: &str,
    token: &str,
    count: usize,
) -> Vec<tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>>
{
    let url = format!("{}/socket.io/?EIO=4&transport=websocket", address.replacen("http", "ws", 1));
    stream::iter(0..count)
        .map(|_| {
            let url = url.clone();
            async move {
                let (mut socket, _) = connect_async(url).await.unwrap();
                let auth = json!({"token": token, "protocol": 1});
                socket.send(Message::text(format!("40{auth}"))).await.unwrap();
                loop {
                    let packet = socket.next().await.unwrap().unwrap().into_text().unwrap();
                    assert!(!packet.starts_with("44"), "{packet}");
                    if packet.starts_with("42[\"session_ready\"") {
                        return socket;
                    }
                }
            }
        })
        .buffer_unordered(50)
        .collect()
        .await
}
