//! Commands to one busy room: none may be lost.
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use commands::{Bus, bus::Context};
use domain::{
    MessageId, MessageType, Metadata, Room, RoomCommand, RoomId, RoomType, Subject, UserId,
    room::{NewRoom, PostMessage},
    text::{FullName, MessageBody, RoomDescription, RoomName},
};
use platform::{Clock as _, SystemClock, ids};
use tests::TestStore;

use crate::{
    create::CONCURRENT,
    load::closed,
    report::{Report, Target},
};

pub(crate) async fn run(report: &mut Report) {
    let app = TestStore::start().await;
    let bus = Bus::new(app.store.clone(), &app.world.config());
    let (room_id, author_id) = (RoomId(ids::new_id()), UserId(ids::new_id()));
    let create = RoomCommand::Create(NewRoom {
        room_id,
        created_by: author_id,
        name: RoomName::parse("Benchmark").unwrap(),
        description: RoomDescription::parse("").unwrap(),
        subject_id: Subject::id_of("Benchmarking"),
        room_type: RoomType::Public,
        max_participants: 10,
        owner_slot: None,
        at: SystemClock.now(),
    });
    let id = room_id.to_string();
    bus.execute::<Room>(&id, create, Context::creating(Metadata::default())).await.unwrap();

    let recorded = Arc::new(AtomicI64::new(0));
    let (counter, room) = (Arc::clone(&recorded), id.clone());
    let rate = closed(CONCURRENT, move |_| {
        let (bus, id, counter) = (bus.clone(), room.clone(), Arc::clone(&counter));
        async move {
            let post = RoomCommand::PostMessage(PostMessage {
                message_id: MessageId(ids::new_id()),
                author_id,
                author_name: FullName::parse("Ana López").unwrap().into(),
                message_type: MessageType::Text,
                content: MessageBody::parse("the exam was moved to Friday, room 204").unwrap(),
                client_message_id: None,
                reply_to_id: None,
                at: SystemClock.now(),
            });
            bus.execute::<Room>(&id, post, Context::new(Metadata::default())).await.unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await;
    let stored: i64 = sqlx::query_scalar("select count(*) from events where event_type = $1")
        .bind("MessagePosted")
        .fetch_one(app.store.pool())
        .await
        .unwrap();
    report.absolute(
        "commands/s on one hot aggregate, 64 concurrent",
        (rate, "/s"),
        Target::AtLeast(2000.0),
    );
    report.absolute(
        "  acknowledged but not stored",
        ((recorded.load(Ordering::Relaxed) - stored) as f64, ""),
        Target::AtMost(0.0),
    );
    app.finish().await;
}
