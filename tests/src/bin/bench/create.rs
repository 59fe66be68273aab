//! Commands that create a stream, 64 at a time.
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use chrono::TimeDelta;
use commands::{Bus, bus::Context};
use domain::{Metadata, Session, SessionCommand, SessionId, UserId, session::LoginProof};
use platform::{Clock as _, SystemClock, ids};
use postgres_es::postgres_cqrs;
use sqlx::{Executor as _, PgPool, postgres::PgPoolOptions};
use tests::TestStore;

use crate::{
    load::closed,
    report::{Report, Target},
};

pub(crate) const CONCURRENT: usize = 64;

/// The table that postgres-es 0.5 asks for (its `db/init.sql`).
const STOCK_TABLE: &str = "
    create schema stock;
    create table stock.events (
        aggregate_type text not null, aggregate_id text not null,
        sequence bigint check (sequence >= 0) not null,
        event_type text not null, event_version text not null,
        payload json not null, metadata json not null,
        timestamp timestamp with time zone default (current_timestamp),
        primary key (aggregate_type, aggregate_id, sequence));";

pub(crate) async fn run(report: &mut Report) {
    let app = TestStore::start().await;
    // Enough for any number of sessions that a machine makes in a run.
    let people: Arc<[UserId]> = (0..64).map(|_| UserId(ids::new_id())).collect();
    let count = Arc::new(AtomicU32::new(0));

    let bus = Bus::new(app.store.clone(), &app.world.config());
    let (of, number) = (Arc::clone(&people), Arc::clone(&count));
    let ours = closed(CONCURRENT, move |_| {
        let (bus, people, count) = (bus.clone(), Arc::clone(&of), Arc::clone(&number));
        async move {
            let (id, command) = start(&people, &count);
            bus.execute::<Session>(&id, command, Context::creating(Metadata::default()))
                .await
                .unwrap();
        }
    })
    .await;

    let pool = PgPoolOptions::new()
        .max_connections(u32::try_from(CONCURRENT).unwrap())
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute("set search_path to stock").await?;
                Ok(())
            })
        })
        .connect_lazy(app.database().url.as_str())
        .unwrap();
    app.database().pool().await.execute(STOCK_TABLE).await.unwrap();

    let framework = Arc::new(postgres_cqrs::<Session>(pool.clone(), vec![], ()));
    let stock = closed(CONCURRENT, move |_| {
        let framework = Arc::clone(&framework);
        let (people, count) = (Arc::clone(&people), Arc::clone(&count));
        async move {
            let (id, command) = start(&people, &count);
            framework.execute_with_metadata(&id, command, HashMap::new()).await.unwrap();
        }
    })
    .await;

    let rows = pool.clone();
    let single = closed(CONCURRENT, move |_| insert_one(rows.clone())).await;

    report.ratio(
        "commands/s creating streams, 64 concurrent",
        (ours, "/s"),
        ("stock postgres_es", stock),
        Target::AtLeast(5.0),
    );
    report.ratio(
        "commands/s creating streams, 64 concurrent",
        (ours, "/s"),
        ("single-row inserts, 64 connections", single),
        Target::AtLeast(1.0),
    );
    pool.close().await;
    app.finish().await;
}

/// A session of the next place: every person has as many as a place has numbers.
fn start(people: &[UserId], count: &AtomicU32) -> (String, SessionCommand) {
    let id = ids::new_id();
    let at = SystemClock.now();
    let [person_high, person_low, slot_high, slot_low] =
        count.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let person = usize::from(u16::from_be_bytes([person_high, person_low]));
    let (user_id, slot) = (people[person], u16::from_be_bytes([slot_high, slot_low]));
    let command = SessionCommand::Start {
        session_id: SessionId(id),
        user_id,
        user_agent: Some("bench/1.0 (a user agent of ordinary length)".to_owned()),
        slot,
        token_version: 0,
        proof: LoginProof::Password,
        expires_at: at + TimeDelta::days(30),
        at,
    };
    (id.to_string(), command)
}

/// The bare durable insert: one row of the same size, its own transaction.
pub(crate) async fn insert_one(pool: PgPool) {
    sqlx::query(
        "insert into stock.events (aggregate_type, aggregate_id, sequence, event_type,
             event_version, payload, metadata) values ($1, $2, 1, $3, '1.0', $4, '{}')",
    )
    .bind("session")
    .bind(ids::new_id().to_string())
    .bind("SessionStarted")
    .bind(
        serde_json::json!({"SessionStarted": {"sessionId": ids::new_id(), "userId": ids::new_id(),
        "userAgent": "bench/1.0 (a user agent of ordinary length)", "at": SystemClock.now(),
        "expiresAt": SystemClock.now()}}),
    )
    .execute(&pool)
    .await
    .unwrap();
}

/// A pool and the table for [`insert_one`] in the given database.
pub(crate) async fn insert_pool(url: &str, connections: u32) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(connections).connect(url).await.unwrap();
    pool.execute(STOCK_TABLE).await.unwrap();
    pool
}
