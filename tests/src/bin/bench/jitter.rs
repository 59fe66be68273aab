//! A thousand clients on bad networks: every connection is cut every 15 s for 2 s during a minute of
//! chat with edits, deletions and reactions. In the end every client knows what the server knows.
use std::time::Duration;

use futures::{StreamExt as _, stream::FuturesUnordered};
use tests::TestApp;
use tokio::time::Instant;

use crate::{
    crowd::{CLIENTS, Crowd, Known, Plan},
    report::{Report, Target},
};

const LASTING: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn run(report: &mut Report) {
    let app = TestApp::start().await;
    let address = app.nodes[0].address.clone();
    let mut crowd = Crowd::gather(&app).await;
    let plan = Plan {
        end: Instant::now() + LASTING,
        act_every: Duration::from_secs(25),
        cut_every: Some(Duration::from_secs(15)),
        away: Duration::from_secs(2),
    };
    let living: FuturesUnordered<_> = std::mem::take(&mut crowd.members)
        .into_iter()
        .map(|member| tokio::spawn(member.live(vec![address.clone()], plan)))
        .collect();
    let lived: Vec<_> = living.map(Result::unwrap).collect().await;

    app.caught_up().await;
    let server = crowd.server(&app, 0).await;
    let heads = |room: &str| server[room].last_seq;
    let catching_up: FuturesUnordered<_> = lived
        .into_iter()
        .map(|member| {
            let seq = heads(&member.room);
            tokio::spawn(member.catch_up(address.clone(), seq, PATIENCE))
        })
        .collect();
    let members: Vec<_> = catching_up.map(Result::unwrap).collect().await;

    let count = |value: usize| (value as f64, "");
    let connections: usize = members.iter().map(|m| m.connections).sum();
    let events: i64 = server.values().map(|room: &Known| room.last_seq).sum();
    for refused in members.iter().flat_map(|m| &m.refused) {
        println!("  refused {refused}");
    }
    let differing = members.iter().filter(|m| m.known.differences(&server[&m.room]) > 0).count();
    let gaps = members.iter().map(|m| m.known.gaps).sum();
    let behind = members.iter().filter(|m| m.known.last_seq != heads(&m.room)).count();
    let least = |value: usize| Target::AtLeast(value as f64);
    report.absolute("jitter: clients", count(members.len()), least(CLIENTS));
    report.absolute("  connections made", count(connections), least(3 * CLIENTS));
    report.absolute("  durable events", (events as f64, ""), least(CLIENTS));
    report.absolute("  clients that know something else", count(differing), Target::AtMost(0.0));
    report.absolute("  clients that are behind", count(behind), Target::AtMost(0.0));
    report.absolute("  gaps seen", count(gaps), Target::AtMost(0.0));
    report.absolute(
        "  acknowledged but not there",
        count(crowd.lost(&server)),
        Target::AtMost(0.0),
    );
    app.finish().await;
}
