//! Personal data: sealed in every table, gone with the key, and the chain holds.
use domain::{
    AnyEvent, Attendance, Conversation, LogPosition, Personal, ReadMarker, Reports, Room,
    RoomEvent, RoomId, Session, Subject, User, UserEvent,
};
use eventstore::{EventStore, StoreError};
use platform::ids::new_id;
use serde_json::{Value, json};
use sqlx::Row as _;
use tests::{
    TestStore,
    samples::{self, ANA, BEN, MARKER, PHONE, posted, registered},
};

/// The payload as it would be stored.
async fn sealed(store: &EventStore, event: AnyEvent) -> String {
    let none = || json!({});
    let request = match event {
        AnyEvent::User(event) => store.prepare::<User>("x", 0, &[(event, none())]).await,
        AnyEvent::Session(event) => store.prepare::<Session>("x", 0, &[(event, none())]).await,
        AnyEvent::Room(event) => store.prepare::<Room>("x", 0, &[(event, none())]).await,
        AnyEvent::Attendance(event) => {
            store.prepare::<Attendance>("x", 0, &[(event, none())]).await
        }
        AnyEvent::Conversation(event) => {
            store.prepare::<Conversation>("x", 0, &[(event, none())]).await
        }
        AnyEvent::ReadMarker(event) => {
            store.prepare::<ReadMarker>("x", 0, &[(event, none())]).await
        }
        AnyEvent::Subject(event) => store.prepare::<Subject>("x", 0, &[(event, none())]).await,
        AnyEvent::Reports(event) => store.prepare::<Reports>("x", 0, &[(event, none())]).await,
    };
    request.unwrap().events.remove(0).payload
}

#[tokio::test]
async fn every_personal_field_of_every_event_is_sealed() {
    let test = TestStore::start().await;
    for event in samples::all() {
        let (aggregate, plain) = (event.aggregate_type(), event.encode().unwrap());
        let name = plain.as_object().unwrap().keys().next().unwrap().clone();
        let stored = sealed(&test.store, event).await;
        assert!(!stored.contains(MARKER) && !stored.contains(PHONE), "{stored}");
        let stored: Value = serde_json::from_str(&stored).unwrap();
        let fields: Vec<&str> = AnyEvent::personal_fields(aggregate, &name)
            .iter()
            .flat_map(|personal| personal.fields.iter().copied())
            .collect();
        for (field, value) in plain[&name].as_object().unwrap() {
            let after = &stored[&name][field];
            if fields.contains(&field.as_str()) {
                assert!(after["sealed"].is_string() && after["of"].is_string(), "{name}.{field}");
            } else {
                assert_eq!(after, value, "{name}.{field}");
            }
        }
        for field in fields {
            assert!(plain[&name].get(field).is_some(), "{name} has no field {field} to seal");
        }
    }
    test.finish().await;
}

/// Every row of every table of the database, as text.
async fn dump(test: &TestStore) -> String {
    let pool = test.store.pool();
    let tables: Vec<String> = sqlx::query_scalar(
        "select quote_ident(table_name) from information_schema.tables
         where table_schema = 'public' and table_type = 'BASE TABLE'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(tables.iter().any(|table| table == "events"), "{tables:?}");
    let mut dump = String::new();
    for table in tables {
        let sql = format!("select t::text as row from {table} t");
        for row in sqlx::query(&sql).fetch_all(pool).await.unwrap() {
            dump += &row.get::<String, _>("row");
            dump.push('\n');
        }
    }
    dump
}

/// An account, a message and a stored answer of Ana's, and a message of Ben's.
async fn record_people(test: &TestStore) -> RoomId {
    let room = RoomId(new_id());
    let id = room.to_string();
    test.append::<User>(&ANA.to_string(), 0, &[registered(ANA)]).await;
    test.append::<Room>(&id, 0, &[samples::created(room), samples::joined(room, ANA, 1)]).await;
    let events = [posted(room, ANA, "marker of ana", 1), posted(room, BEN, "marker of ben", 2)];
    let [of_ana, of_ben] = events.map(|event| (event, json!({})));
    let mut request = test.store.prepare::<Room>(&id, 2, &[of_ana, of_ben]).await.unwrap();
    let answer = json!({"content": "marker of ana"});
    let expires_at = samples::at();
    request.keys.push(
        test.store.key_record("marker-key", b"hash", ANA.0, &answer, expires_at, 3).await.unwrap(),
    );
    test.store.append(request).await.unwrap();
    let loaded = test.store.load_stream::<Room>(&id).await.unwrap();
    test.store.save_snapshot(&id, &loaded).await.unwrap();
    room
}

#[tokio::test]
async fn a_dump_of_the_database_tells_nothing_about_anybody() {
    let test = TestStore::start().await;
    record_people(&test).await;
    test.sequence().await;
    let dump = dump(&test).await;
    assert!(dump.lines().count() > 10, "{dump}");
    assert!(!dump.to_lowercase().contains(MARKER), "{dump}");
    assert!(!dump.contains(PHONE), "{dump}");
    test.finish().await;
}

#[tokio::test]
async fn the_log_transports_sealed_events_and_opens_them_for_readers() {
    let test = TestStore::start().await;
    record_people(&test).await;
    let records = test.sequence().await;
    assert!(!format!("{records:?}").contains(MARKER));
    // A process that has never seen the keys opens them.
    let opened = test.another().await.open(records).await.unwrap();
    let first = opened.into_iter().next().unwrap().outcome.unwrap();
    assert_eq!(first.event, AnyEvent::User(registered(ANA)));
    test.finish().await;
}

#[tokio::test]
async fn who_is_erased_reads_as_erased_and_the_chain_verifies() {
    let test = TestStore::start().await;
    let room = record_people(&test).await;
    test.sequence().await;
    let before = test.store.verify_chain().await.unwrap();
    assert_eq!((before.checked, before.broken_at), (5, None));

    assert!(test.store.keyring().erase(ANA.0).await.unwrap());
    assert!(!test.store.keyring().erase(ANA.0).await.unwrap(), "once is enough");

    let other = test.another().await;
    for store in [&test.store, &other] {
        let records = store.read_log(LogPosition(0), 100).await.unwrap();
        let events: Vec<AnyEvent> = store
            .open(records)
            .await
            .unwrap()
            .into_iter()
            .map(|opened| opened.outcome.unwrap().event)
            .collect();
        let AnyEvent::User(UserEvent::UserRegistered { user_id, email, password_hash, .. }) =
            &events[0]
        else {
            panic!("{:?}", events[0])
        };
        assert_eq!(*user_id, ANA);
        assert_eq!((email, password_hash), (&Personal::Erased, &Personal::Erased));
        let said: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                AnyEvent::Room(RoomEvent::MessagePosted { content, .. }) => {
                    Some(content.known().map(|body| body.as_str().to_owned()))
                }
                _ => None,
            })
            .collect();
        assert_eq!(said, [None, Some("marker of ben".to_owned())]);
        // The aggregates still load, and the person's account does not open any more.
        assert!(store.load::<Room>(&room.to_string()).await.unwrap().role_of(ANA).is_some());
        let domain::User::Active { password_hash, .. } =
            store.load::<User>(&ANA.to_string()).await.unwrap()
        else {
            panic!("the account was recorded")
        };
        assert_eq!(password_hash, Personal::Erased);
    }
    assert_eq!(test.store.verify_chain().await.unwrap(), before, "not one stored byte changed");
    test.finish().await;
}

#[tokio::test]
async fn nothing_more_is_recorded_about_who_is_erased() {
    let test = TestStore::start().await;
    let room = RoomId(new_id());
    test.store.keyring().erase(ANA.0).await.unwrap();
    for store in [test.store.clone(), test.another().await] {
        let event = (posted(room, ANA, "still here", 1), json!({}));
        let refused = store.prepare::<Room>(&room.to_string(), 0, &[event]).await;
        assert!(matches!(refused, Err(StoreError::SubjectErased)));
        let refused = store.key_record("k", b"h", ANA.0, &json!(1), samples::at(), 1).await;
        assert!(matches!(refused, Err(StoreError::SubjectErased)));
    }
    test.finish().await;
}

#[tokio::test]
async fn the_chain_shows_a_changed_event() {
    let test = TestStore::start().await;
    record_people(&test).await;
    test.sequence().await;
    // Someone with all rights over the database, past the triggers.
    let mut connection = test.store.pool().acquire().await.unwrap();
    for sql in [
        "set session_replication_role = replica",
        "update events set payload = '{\"RoomArchived\":{}}'
         where log_number = (select log_number from positions where position = 3)",
        "set session_replication_role = origin",
    ] {
        sqlx::query(sql).execute(&mut *connection).await.unwrap();
    }
    let report = test.store.verify_chain().await.unwrap();
    assert_eq!((report.checked, report.broken_at), (2, Some(LogPosition(3))));
    drop(connection);
    test.finish().await;
}

#[tokio::test]
async fn another_master_key_opens_nothing() {
    let mut test = TestStore::start().await;
    record_people(&test).await;
    let records = test.sequence().await;
    test.world.set("SECURITY__MASTER_KEY", "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=");
    let stranger = test.another().await;
    let (sealed, plain): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|record| record.payload.contains("\"sealed\""));
    for opened in stranger.open(sealed).await.unwrap() {
        assert!(opened.outcome.is_err(), "{:?}", opened.outcome);
    }
    // One mislaid key does not stop what needs none.
    assert!(stranger.open(plain).await.unwrap().iter().all(|opened| opened.outcome.is_ok()));
    let event = (posted(RoomId(new_id()), ANA, "hello", 1), json!({}));
    let refused = stranger.prepare::<Room>("x", 0, &[event]).await;
    assert!(matches!(refused, Err(StoreError::Unreadable(_))));
    let taken = stranger.claim_owner(User::EMAIL, "marker.ana@marker.example").await.unwrap();
    assert_eq!(taken, None, "claims are keyed as well");
    test.finish().await;
}
