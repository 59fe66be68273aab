//! Appending: whole or not at all, once, for many writers at once.
use std::{collections::HashSet, time::Duration};

use domain::{AttendanceEvent, ConnectionId, Room, RoomId, Subject, SubjectEvent, User, UserId};
use eventstore::{AppendOutcome, AppendRequest, EventStore, StoreError};
use futures::future::join_all;
use platform::{Clock as _, SystemClock, ids::new_id};
use serde_json::{Value, json};
use tests::{
    TestStore,
    samples::{at, created, joined, posted, registered, subject},
    store::append,
};

async fn prepared(store: &EventStore, id: &str, event: SubjectEvent) -> AppendRequest {
    store.prepare::<Subject>(id, 0, &[(event, json!({}))]).await.unwrap()
}

async fn stored_events(test: &TestStore) -> i64 {
    sqlx::query_scalar("select count(*) from events").fetch_one(test.store.pool()).await.unwrap()
}

#[tokio::test]
async fn of_64_writers_on_one_aggregate_as_many_succeed_as_events_are_stored() {
    const WRITERS: usize = 64;
    const ROUNDS: usize = 8;
    let test = TestStore::start().await;
    // Two processes, so that races are lost in one transaction and between transactions.
    let stores = [test.store.clone(), test.another().await];
    let room = RoomId(new_id());
    let id = room.to_string();
    let writers = (0..WRITERS).map(|n| {
        let (store, id) = (stores[n % 2].clone(), id.clone());
        tokio::spawn(async move {
            let mut won = 0;
            for _ in 0..ROUNDS {
                let known = store.load_stream::<Room>(&id).await.unwrap().sequence;
                let number = u64::try_from(known).unwrap() + 1;
                let events = [posted(room, UserId(new_id()), "hello", number)];
                match append::<Room>(&store, &id, known, &events).await {
                    AppendOutcome::Stored(receipts) => {
                        assert_eq!(receipts.len(), 1);
                        won += 1;
                    }
                    outcome => assert_eq!(outcome, AppendOutcome::Conflict),
                }
            }
            won
        })
    });
    let won: usize = join_all(writers).await.into_iter().map(Result::unwrap).sum();
    assert!(won >= ROUNDS, "somebody must win each round: {won}");
    assert_eq!(stored_events(&test).await, i64::try_from(won).unwrap());
    let stream = test.store.stream::<Room>(&id).await.unwrap();
    assert!(stream.iter().map(|e| e.sequence).eq(1..=won), "sequences are 1, 2, 3 …");
    test.finish().await;
}

#[tokio::test]
async fn a_conflict_in_a_group_does_not_hurt_the_others() {
    let test = TestStore::start().await;
    let taken = new_id().to_string();
    test.append::<Subject>(&taken, 0, &[subject("Already there")]).await;
    // All of them wait while the one committer is busy, so they travel together.
    let mut requests = Vec::new();
    for n in 0..40 {
        let id = if n % 4 == 0 { taken.clone() } else { new_id().to_string() };
        requests.push(prepared(&test.store, &id, subject(&format!("Subject {n}"))).await);
    }
    let outcomes = join_all(requests.into_iter().map(|request| test.store.append(request))).await;
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match outcome.unwrap() {
            AppendOutcome::Stored(_) => assert!(n % 4 != 0, "{n} must lose"),
            outcome => {
                assert_eq!(outcome, AppendOutcome::Conflict);
                assert!(n % 4 == 0, "{n} must win");
            }
        }
    }
    assert_eq!(stored_events(&test).await, 31);
    test.finish().await;
}

#[tokio::test]
async fn a_race_between_processes_costs_one_request_and_not_its_group() {
    let test = TestStore::start().await;
    let other = test.another().await;
    for round in 0..30 {
        // Both processes append to the same stream, each together with a stream of its own.
        let shared = new_id().to_string();
        let mut requests = Vec::new();
        for (n, store) in [&test.store, &other].into_iter().enumerate() {
            let contested = subject(&format!("Contested {round} {n}"));
            requests.push((store, prepared(store, &shared, contested).await));
            let own = subject(&format!("Own {round} {n}"));
            requests.push((store, prepared(store, &new_id().to_string(), own).await));
        }
        let outcomes = join_all(requests.into_iter().map(|(store, r)| store.append(r))).await;
        let won: Vec<bool> = outcomes
            .into_iter()
            .map(|outcome| matches!(outcome.unwrap(), AppendOutcome::Stored(_)))
            .collect();
        assert!(won[1] && won[3], "nobody contests these: {won:?}");
        assert!(won[0] != won[2], "exactly one wins: {won:?}");
    }
    test.finish().await;
}

#[tokio::test]
async fn several_events_of_one_request_are_stored_whole_or_not_at_all() {
    let test = TestStore::start().await;
    let room = RoomId(new_id());
    let (id, ana) = (room.to_string(), UserId(new_id()));
    let both = [created(room), joined(room, ana, 1)];
    assert_eq!(test.append::<Room>(&id, 0, &both).await.len(), 2);
    let late = [joined(room, ana, 1), joined(room, ana, 2)];
    let again = append::<Room>(&test.store, &id, 1, &late).await;
    assert_eq!(again, AppendOutcome::Conflict);
    // A gap is as wrong as an overlap.
    let ahead = append::<Room>(&test.store, &id, 5, &[joined(room, ana, 2)]).await;
    assert_eq!(ahead, AppendOutcome::Conflict);
    assert_eq!(stored_events(&test).await, 2);
    test.finish().await;
}

#[tokio::test]
async fn a_claim_belongs_to_one_aggregate() {
    let test = TestStore::start().await;
    let stores = [test.store.clone(), test.another().await];
    let people: Vec<UserId> = (0..50).map(|_| UserId(new_id())).collect();
    // The same address, handle and number for all of them, from two processes at once.
    let all = people.iter().enumerate().map(|(n, user)| {
        let (store, user) = (stores[n % 2].clone(), *user);
        async move { append::<User>(&store, &user.to_string(), 0, &[registered(user)]).await }
    });
    let outcomes = join_all(all).await;
    let winners: Vec<UserId> = people
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| matches!(outcome, AppendOutcome::Stored(_)))
        .map(|(user, _)| *user)
        .collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    for outcome in &outcomes {
        let lost = matches!(outcome, AppendOutcome::ClaimTaken { .. });
        assert!(lost || matches!(outcome, AppendOutcome::Stored(_)), "{outcome:?}");
    }
    assert_eq!(stored_events(&test).await, 1, "who lost a claim stored nothing");
    let owner = test.store.claim_owner(User::EMAIL, "marker.ana@marker.example").await.unwrap();
    assert_eq!(owner, Some(winners[0].to_string()), "the canonical form is claimed");
    let nobody = test.store.claim_owner(User::EMAIL, "Marker.Ana@marker.example").await.unwrap();
    assert_eq!(nobody, None);
    test.finish().await;
}

/// A request that uses up an idempotency key.
async fn keyed(store: &EventStore, key: &str, hash: &[u8], answer: &Value) -> AppendRequest {
    let room = RoomId(new_id());
    let ana = tests::samples::ANA;
    let event = posted(room, ana, "once", 1);
    let mut request =
        store.prepare::<Room>(&room.to_string(), 0, &[(event, json!({}))]).await.unwrap();
    let expires_at = SystemClock.now() + chrono::TimeDelta::hours(1);
    request.keys.push(store.key_record(key, hash, ana.0, answer, expires_at, 1).await.unwrap());
    request
}

#[tokio::test]
async fn an_idempotency_key_stores_its_command_once_and_keeps_the_answer() {
    let test = TestStore::start().await;
    let processes = [test.store.clone(), test.another().await];
    let mut requests = Vec::new();
    for n in 0..40 {
        let store = &processes[n % 2];
        let answer = json!({"messageId": n, "content": "marker"});
        requests.push((store, n, keyed(store, "key 1", b"hash", &answer).await));
    }
    let attempts = requests
        .into_iter()
        .map(|(store, n, r)| async move { (n, store.append(r).await.unwrap()) });
    let mut stored = Vec::new();
    let mut seen = Vec::new();
    for (n, outcome) in join_all(attempts).await {
        match outcome {
            AppendOutcome::Stored(receipts) => stored.push((n, receipts)),
            AppendOutcome::Seen(what) => seen.push(what),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((stored.len(), seen.len()), (1, 39));
    assert_eq!(stored_events(&test).await, 1);
    let (winner, receipts) = &stored[0];
    for seen in seen {
        assert_eq!(seen.request_hash, b"hash");
        assert_eq!(seen.receipt.log_number, receipts[0].log_number);
        let answer = test.store.open_answer(&seen).await.unwrap().unwrap();
        assert_eq!(answer["messageId"], *winner);
    }
    test.finish().await;
}

#[tokio::test]
async fn a_key_without_events_is_stored_once_where_its_stream_was() {
    let test = TestStore::start().await;
    let processes = [test.store.clone(), test.another().await];
    let first = keyed(&test.store, "key 1", b"hash", &json!(1)).await;
    let id = first.aggregate_id.clone();
    let AppendOutcome::Stored(receipts) = test.store.append(first).await.unwrap() else {
        panic!("not stored")
    };
    let nothing = async |store: &EventStore, expected: i64, answer: &Value| {
        let mut request = store.prepare::<Room>(&id, expected, &[]).await.unwrap();
        let expires_at = SystemClock.now() + chrono::TimeDelta::hours(1);
        let ana = tests::samples::ANA.0;
        let key = store.key_record("key 2", b"other", ana, answer, expires_at, expected).await;
        request.keys.push(key.unwrap());
        store.append(request).await.unwrap()
    };
    // Decided on a state that is not the newest: nothing is kept.
    assert_eq!(nothing(&test.store, 0, &json!(0)).await, AppendOutcome::Conflict);
    let answers: Vec<_> = (0..20).map(|n| json!(n)).collect();
    let attempts = (0..20).map(|n| nothing(&processes[n % 2], 1, &answers[n]));
    let (mut stored, mut seen) = (0, Vec::new());
    for outcome in join_all(attempts).await {
        match outcome {
            AppendOutcome::Stored(receipts) => {
                assert_eq!(receipts, []);
                stored += 1;
            }
            AppendOutcome::Seen(what) => seen.push(what),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((stored, seen.len()), (1, 19));
    assert!(seen.iter().all(|it| it.receipt.log_number == receipts[0].log_number));
    assert!(seen.iter().all(|it| it.answer == seen[0].answer && it.request_hash == b"other"));
    assert_eq!(stored_events(&test).await, 1);
    test.finish().await;
}

#[tokio::test]
async fn an_expired_idempotency_key_is_forgotten() {
    let test = TestStore::start().await;
    let request = keyed(&test.store, "key 1", b"hash", &json!(1)).await;
    assert!(matches!(test.store.append(request).await.unwrap(), AppendOutcome::Stored(_)));
    assert_eq!(test.store.forget_expired_keys().await.unwrap(), 0);
    sqlx::query("update command_log set expires_at = now() - interval '1 second'")
        .execute(test.store.pool())
        .await
        .unwrap();
    assert_eq!(test.store.forget_expired_keys().await.unwrap(), 1);
    let again = keyed(&test.store, "key 1", b"hash", &json!(2)).await;
    assert!(matches!(test.store.append(again).await.unwrap(), AppendOutcome::Stored(_)));
    test.finish().await;
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_loses_nothing_it_took() {
    let test = TestStore::start_with(&[
        ("EVENTSTORE__QUEUE_CAPACITY", "8"),
        ("EVENTSTORE__APPEND_CONNECTIONS", "1"),
        ("EVENTSTORE__GROUP_COMMIT_MAX_EVENTS", "2"),
    ])
    .await;
    let mut requests = Vec::new();
    for n in 0..200 {
        let id = new_id().to_string();
        requests.push(prepared(&test.store, &id, subject(&format!("Subject {n}"))).await);
    }
    let outcomes = join_all(requests.into_iter().map(|r| test.store.append(r))).await;
    let mut stored = 0;
    for outcome in outcomes {
        match outcome {
            Ok(AppendOutcome::Stored(_)) => stored += 1,
            Err(StoreError::Overloaded) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!((1..200).contains(&stored), "some are refused: {stored}");
    assert_eq!(stored_events(&test).await, stored);
    test.finish().await;
}

#[tokio::test]
async fn an_append_knows_its_place_once_there_is_one() {
    let test = TestStore::start().await;
    let room = RoomId(new_id());
    let receipts = test
        .append::<Room>(&room.to_string(), 0, &[created(room), joined(room, UserId(new_id()), 1)])
        .await;
    let early = test.store.placements().wait(receipts[1].log_number, Duration::from_millis(30));
    assert_eq!(early.await, None, "nobody sequenced yet");
    let waiting = test.store.placements().wait(receipts[1].log_number, tests::LIMIT);
    let (placed, records) = tokio::join!(waiting, test.sequence());
    let placed = placed.unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!((placed.position.0, placed.channel_seq), (2, Some(2)));
    // Another process has to ask the database.
    let other = test.another().await;
    let found = other.placements().wait(receipts[0].log_number, tests::LIMIT).await;
    assert_eq!(found.unwrap().position.0, 1);
    test.finish().await;
}

#[tokio::test]
async fn stored_events_cannot_be_changed_or_removed() {
    let test = TestStore::start().await;
    let room = RoomId(new_id());
    test.append::<Room>(&room.to_string(), 0, &[created(room)]).await;
    test.sequence().await;
    for sql in [
        "update events set payload = '{}'",
        "update events set recorded_at = now()",
        "delete from events",
        "truncate events cascade",
        "update positions set position = 7",
        "delete from positions",
        "truncate positions",
    ] {
        let refused = sqlx::query(sql).execute(test.store.pool()).await.unwrap_err();
        let code = refused.as_database_error().unwrap().code().unwrap().into_owned();
        assert_eq!(code, "23001", "{sql}: {refused}");
    }
    test.finish().await;
}

#[tokio::test]
async fn leases_have_one_holder_and_a_token_that_grows_with_every_change() {
    let test = TestStore::start().await;
    let pool = test.store.pool().clone();
    let [ana, ben] = ["ana", "ben"].map(|n| eventstore::Leases::new(pool.clone(), n.to_owned()));
    let names = ["relay".to_owned(), "projector:1".to_owned()];
    let long = Duration::from_mins(1);
    let tokens = |leases: Vec<eventstore::Lease>| {
        leases.into_iter().map(|lease| lease.token).collect::<HashSet<_>>()
    };
    assert_eq!(tokens(ana.acquire(&names, long).await.unwrap()), HashSet::from([1]));
    assert_eq!(ben.acquire(&names, long).await.unwrap(), []);
    assert_eq!(tokens(ana.acquire(&names, long).await.unwrap()), HashSet::from([1]), "renewed");
    ana.release(&names[..1]).await.unwrap();
    let handed = ben.acquire(&names, long).await.unwrap();
    assert_eq!((handed.len(), handed[0].name.as_str(), handed[0].token), (1, "relay", 2));
    // Expired: whoever asks next has it.
    ana.acquire(&names[1..], Duration::from_millis(1)).await.unwrap();
    tests::eventually("the lease expires", tests::LIMIT, async || {
        let held = ben.acquire(&names[1..], long).await.unwrap();
        (held.len() == 1).then_some(())
    })
    .await;
    test.finish().await;
}

#[tokio::test]
async fn attendance_has_no_place_in_a_channel() {
    let test = TestStore::start().await;
    let room = RoomId(new_id());
    let entered = AttendanceEvent::ParticipantEntered {
        room_id: room,
        user_id: UserId(new_id()),
        connection_id: ConnectionId(new_id()),
        first: true,
        online_count: 1,
        at: at(),
    };
    test.append::<domain::Attendance>(&room.to_string(), 0, &[entered]).await;
    test.append::<Room>(&room.to_string(), 0, &[created(room)]).await;
    let records = test.sequence().await;
    let numbers: Vec<_> = records.iter().map(|r| (r.position.0, r.channel_seq)).collect();
    assert_eq!(numbers, [(1, None), (2, Some(1))]);
    assert_eq!(test.store.channel_head(&Room::channel_of(&room.to_string())).await.unwrap(), 1);
    test.finish().await;
}
