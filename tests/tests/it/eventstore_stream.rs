//! Loading: streams, snapshots, old versions, and the store behind the trait of cqrs-es.
use cqrs_es::{AggregateContext as _, AggregateError, DomainEvent, EventStore as _};
use domain::{AggregateRoot as _, AnyEvent, MemberRole, Room, RoomError, RoomId, UserId};
use eventstore::{Loaded, StoredRecord};
use platform::ids::new_id;
use serde_json::json;
use tests::{
    TestStore,
    samples::{ANA, BEN, at, created, joined, posted},
};

#[tokio::test]
async fn a_snapshot_of_another_state_version_is_ignored() {
    let test = TestStore::start().await;
    let room = RoomId(new_id());
    let id = room.to_string();
    test.append::<Room>(&id, 0, &[created(room), joined(room, ANA, 1)]).await;
    let loaded = test.store.load_stream::<Room>(&id).await.unwrap();
    test.store.save_snapshot(&id, &loaded).await.unwrap();

    // What a snapshot says is believed: this one knows a member whom no event mentions.
    let mut state = serde_json::to_value(&loaded.state).unwrap();
    let members = &mut state["Created"]["members"];
    members[BEN.to_string()] = members[ANA.to_string()].clone();
    members[BEN.to_string()]["role"] = json!("moderator");
    sqlx::query("update snapshots set state = $1")
        .bind(&state)
        .execute(test.store.pool())
        .await
        .unwrap();
    let believed = test.store.load::<Room>(&id).await.unwrap();
    assert_eq!(believed.role_of(BEN), Some(MemberRole::Moderator));
    assert_eq!(believed.role_of(ANA), Some(MemberRole::Owner));

    // Unless it is of another version: then the events count.
    for other in [Room::STATE_VERSION + 1, 0] {
        sqlx::query("update snapshots set state_version = $1")
            .bind(i32::try_from(other).unwrap())
            .execute(test.store.pool())
            .await
            .unwrap();
        assert_eq!(test.store.load::<Room>(&id).await.unwrap(), loaded.state);
    }
    // Or of the right version and no state at all.
    sqlx::query("update snapshots set state_version = $1, state = '7'")
        .bind(i32::try_from(Room::STATE_VERSION).unwrap())
        .execute(test.store.pool())
        .await
        .unwrap();
    assert_eq!(test.store.load::<Room>(&id).await.unwrap(), loaded.state);
    test.finish().await;
}

#[tokio::test]
async fn a_snapshot_and_the_events_after_it_are_the_state() {
    let test = TestStore::start().await;
    let room = RoomId(new_id());
    let id = room.to_string();
    test.append::<Room>(&id, 0, &[created(room), joined(room, ANA, 1)]).await;
    let early = test.store.load_stream::<Room>(&id).await.unwrap();
    test.store.save_snapshot(&id, &early).await.unwrap();
    test.append::<Room>(&id, 2, &[joined(room, BEN, 2), posted(room, BEN, "hello", 1)]).await;
    let loaded = test.store.load_stream::<Room>(&id).await.unwrap();
    assert_eq!((loaded.sequence, loaded.state.role_of(BEN)), (4, Some(MemberRole::Member)));

    // An older snapshot does not replace a newer one.
    test.store.save_snapshot(&id, &loaded).await.unwrap();
    test.store.save_snapshot(&id, &early).await.unwrap();
    let kept: i64 = sqlx::query_scalar("select last_sequence from snapshots")
        .fetch_one(test.store.pool())
        .await
        .unwrap();
    assert_eq!(kept, 4);

    let mut behind = early;
    assert!(test.store.catch_up(&id, &mut behind).await.unwrap());
    assert_eq!((behind.sequence, behind.state), (4, loaded.state));
    test.finish().await;
}

#[tokio::test]
async fn the_store_serves_the_trait_of_cqrs_es() {
    let test = TestStore::start().await;
    let room = RoomId(new_id());
    let id = room.to_string();
    let context = |id: String| {
        let store = test.store.clone();
        async move { cqrs_es::EventStore::<Room>::load_aggregate(&store, &id).await.unwrap() }
    };
    let mut first = context(id.clone()).await;
    assert_eq!(*first.aggregate(), Room::Absent);
    let late = context(id.clone()).await;
    let events = vec![created(room), joined(room, ANA, 1)];
    let envelopes = test.store.commit(events.clone(), first, [].into()).await.unwrap();
    assert_eq!(envelopes.iter().map(|e| e.sequence).collect::<Vec<_>>(), [1, 2]);
    let lost = test.store.commit(events.clone(), late, [].into()).await;
    assert!(matches!(lost, Err(AggregateError::<RoomError>::AggregateConflict)));

    let loaded = cqrs_es::EventStore::<Room>::load_events(&test.store, &id).await.unwrap();
    assert_eq!(loaded.into_iter().map(|e| e.payload).collect::<Vec<_>>(), events);
    let mut again = context(id).await;
    assert_eq!(again.aggregate().role_of(ANA), Some(MemberRole::Owner));
    test.finish().await;
}

#[tokio::test]
async fn a_claim_taken_is_a_refusal_of_the_aggregate() {
    let test = TestStore::start().await;
    for (user, refused) in [(ANA, false), (BEN, true)] {
        let store = &test.store;
        let context =
            cqrs_es::EventStore::<domain::User>::load_aggregate(store, &user.to_string()).await;
        let events = vec![tests::samples::registered(user)];
        let outcome = store.commit(events, context.unwrap(), [].into()).await;
        match outcome {
            Ok(_) => assert!(!refused),
            Err(AggregateError::UserError(error)) => {
                assert!(refused);
                assert_eq!(error, domain::UserError::EmailTaken);
            }
            Err(error) => panic!("{error}"),
        }
    }
    test.finish().await;
}

#[tokio::test]
async fn every_golden_file_reads_as_an_event_of_today() {
    let test = TestStore::start().await;
    for (number, (aggregate_type, event_type, event_version, text)) in
        (1..).zip(crate::golden::stored())
    {
        let record = StoredRecord {
            position: domain::LogPosition(number),
            channel: None,
            channel_seq: None,
            event_id: new_id(),
            aggregate_type,
            aggregate_id: "golden".to_owned(),
            sequence: 1,
            event_type: event_type.clone(),
            event_version,
            payload: text.into(),
            metadata: "{}".into(),
            recorded_at: at(),
        };
        let opened = test.store.open(vec![record]).await.unwrap().remove(0);
        let event = opened.outcome.unwrap().event;
        let read = match &event {
            AnyEvent::User(event) => event.event_type(),
            AnyEvent::Session(event) => event.event_type(),
            AnyEvent::Room(event) => event.event_type(),
            AnyEvent::Attendance(event) => event.event_type(),
            AnyEvent::ReadMarker(event) => event.event_type(),
            AnyEvent::Conversation(event) => event.event_type(),
            AnyEvent::Subject(event) => event.event_type(),
            AnyEvent::Reports(event) => event.event_type(),
        };
        assert_eq!(read, event_type);
    }
    test.finish().await;
}

#[tokio::test]
async fn an_event_of_a_newer_build_is_unreadable_and_says_why() {
    let test = TestStore::start().await;
    let room = RoomId(new_id());
    test.append::<Room>(&room.to_string(), 0, &[created(room)]).await;
    let stored = test.sequence().await.remove(0);
    let newer = |change: fn(&mut StoredRecord)| {
        let mut record = stored.clone();
        change(&mut record);
        record
    };
    let records = vec![
        stored.clone(),
        newer(|record| record.event_version = "9.0".to_owned()),
        newer(|record| record.event_type = "RoomPainted".to_owned()),
        newer(|record| record.aggregate_type = "planet".to_owned()),
        newer(|record| record.payload = r#"{"RoomCreated": {"name": 7}}"#.into()),
        newer(|record| record.payload = "{".into()),
        newer(|record| record.metadata = "7".into()),
    ];
    let outcomes = test.store.open(records).await.unwrap().into_iter().map(|o| o.outcome);
    let (read, unread): (Vec<_>, Vec<_>) = outcomes.partition(Result::is_ok);
    assert_eq!((read.len(), unread.len()), (1, 6));
    let reasons: Vec<String> = unread.into_iter().map(|o| o.unwrap_err().to_string()).collect();
    assert_eq!(
        reasons,
        [
            "`RoomCreated` 9.0 is not known; this build reads 1.0",
            "unknown event `RoomPainted` of `room`",
            "unknown event `RoomCreated` of `planet`",
            "the payload is not a `RoomCreated` 1.0",
            "the payload is not JSON",
            "the metadata does not fit",
        ]
    );
    test.finish().await;
}

#[tokio::test]
async fn loading_what_was_never_recorded_gives_the_beginning() {
    let test = TestStore::start().await;
    let loaded: Loaded<Room> = test.store.load_stream(&new_id().to_string()).await.unwrap();
    assert_eq!((loaded.sequence, loaded.state), (0, Room::Absent));
    let nobody = UserId(new_id());
    assert_eq!(test.store.claim_owner("email", &nobody.to_string()).await.unwrap(), None);
    test.finish().await;
}
