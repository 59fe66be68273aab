//! A node ends under a thousand clients: how soon all of them are back on the other one, and what
//! became of the messages that were acknowledged.
use std::time::Duration;

use futures::{StreamExt as _, stream::FuturesUnordered};
use tests::TestApp;
use tokio::time::{Instant, sleep};

use crate::{
    crowd::{CLIENTS, Crowd, Plan},
    report::{Report, Target},
};

/// Chat before and after the end of the node.
const BEFORE: Duration = Duration::from_secs(20);
const AFTER: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn run(report: &mut Report) {
    let mut app = TestApp::builder().node("all").node("all").start().await;
    app.talk_to(1);
    let addresses = vec![app.nodes[0].address.clone(), app.nodes[1].address.clone()];
    let mut crowd = Crowd::gather(&app).await;
    let plan = Plan {
        end: Instant::now() + BEFORE + AFTER,
        act_every: Duration::from_secs(25),
        cut_every: None,
        away: Duration::ZERO,
    };
    let living: FuturesUnordered<_> = std::mem::take(&mut crowd.members)
        .into_iter()
        .map(|member| tokio::spawn(member.live(addresses.clone(), plan)))
        .collect();
    sleep(BEFORE).await;
    let ended_at = Instant::now();
    let status = app.nodes[0].stop().await;
    assert!(status.success(), "the node ends cleanly");
    let lived: Vec<_> = living.map(Result::unwrap).collect().await;

    app.caught_up().await;
    let server = crowd.server(&app, 1).await;
    let back: Vec<_> = lived.iter().filter_map(|m| m.back_at).filter(|at| *at > ended_at).collect();
    let last = back.iter().max().map_or(f64::INFINITY, |at| (*at - ended_at).as_secs_f64());
    let catching_up: FuturesUnordered<_> = lived
        .into_iter()
        .map(|member| {
            let seq = server[&member.room].last_seq;
            tokio::spawn(member.catch_up(addresses[1].clone(), seq, PATIENCE))
        })
        .collect();
    let members: Vec<_> = catching_up.map(Result::unwrap).collect().await;
    for refused in members.iter().flat_map(|m| &m.refused) {
        println!("  refused {refused}");
    }
    let differing = members.iter().filter(|m| m.known.differences(&server[&m.room]) > 0).count();
    let count = |value: usize| (value as f64, "");
    report.absolute("restart: clients back", count(back.len()), Target::AtLeast(CLIENTS as f64));
    report.absolute("  the last one after", (last, "s"), Target::AtMost(5.0));
    report.absolute("  clients that know something else", count(differing), Target::AtMost(0.0));
    report.absolute(
        "  acknowledged but not there",
        count(crowd.lost(&server)),
        Target::AtMost(0.0),
    );
    app.finish().await;
}
