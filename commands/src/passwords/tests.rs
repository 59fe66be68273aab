use std::sync::mpsc;

use crate::tokens::tests::config;

use super::*;

fn accounts() -> Accounts {
    let mut accounts = config(1).accounts;
    // Fast; what is tested here does not depend on the cost.
    accounts.argon2_memory_kib = 64;
    accounts.argon2_iterations = 1;
    accounts
}

fn passwords() -> Passwords {
    Passwords::new(&accounts())
}

#[tokio::test]
async fn a_password_opens_what_was_closed_with_it() {
    let passwords = passwords();
    let hash = passwords.hash("blue kettle on monday").await.unwrap();
    let right = passwords.verify("blue kettle on monday", Some(&hash)).await.unwrap();
    assert_eq!(right, Verdict::Right { outdated: false });
    let wrong = passwords.verify("blue kettle on tuesday", Some(&hash)).await.unwrap();
    assert_eq!(wrong, Verdict::Wrong);
}

#[tokio::test]
async fn two_hashes_of_one_password_differ() {
    let passwords = passwords();
    let hash = passwords.hash("blue kettle").await.unwrap();
    assert_ne!(hash, passwords.hash("blue kettle").await.unwrap());
    assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
}

#[tokio::test]
async fn the_same_keys_on_another_keyboard_are_the_same_password() {
    let passwords = passwords();
    let hash = passwords.hash("caf\u{e9} creme").await.unwrap();
    let verdict = passwords.verify("cafe\u{301} creme", Some(&hash)).await.unwrap();
    assert_eq!(verdict, Verdict::Right { outdated: false });
}

#[tokio::test]
async fn nothing_is_cut_off_a_long_password() {
    let passwords = passwords();
    let long = "ü".repeat(MAX_CHARACTERS);
    let hash = passwords.hash(&long).await.unwrap();
    assert_eq!(
        passwords.verify(&long, Some(&hash)).await.unwrap(),
        Verdict::Right { outdated: false }
    );
    let other = format!("{}u", "ü".repeat(MAX_CHARACTERS - 1));
    assert_eq!(passwords.verify(&other, Some(&hash)).await.unwrap(), Verdict::Wrong);
    let endless = "x".repeat(1 << 20);
    assert_eq!(passwords.verify(&endless, Some(&hash)).await.unwrap(), Verdict::Wrong);
}

#[tokio::test]
async fn a_hash_under_other_parameters_is_right_but_outdated() {
    let hash = passwords().hash("blue kettle").await.unwrap();
    let changes: [fn(&mut Accounts); 3] = [
        |accounts| accounts.argon2_memory_kib = 128,
        |accounts| accounts.argon2_iterations = 2,
        |accounts| accounts.argon2_parallelism = 2,
    ];
    for change in changes {
        let mut accounts = accounts();
        change(&mut accounts);
        let passwords = Passwords::new(&accounts);
        let verdict = passwords.verify("blue kettle", Some(&hash)).await.unwrap();
        assert_eq!(verdict, Verdict::Right { outdated: true });
        let wrong = passwords.verify("red kettle", Some(&hash)).await.unwrap();
        assert_eq!(wrong, Verdict::Wrong);
    }
    let argon2i = Argon2::new(Algorithm::Argon2i, Version::V0x13, passwords().params);
    let hash = argon2i.hash_password_with_salt(b"blue kettle", &[7; 16]).unwrap().to_string();
    let verdict = passwords().verify("blue kettle", Some(&hash)).await.unwrap();
    assert_eq!(verdict, Verdict::Right { outdated: true });
}

#[tokio::test]
async fn nobodys_password_costs_what_everyones_costs() {
    let passwords = passwords();
    let dummy = PasswordHash::new(&passwords.dummy).unwrap();
    let real = passwords.hash("blue kettle").await.unwrap();
    let real = PasswordHash::new(&real).unwrap();
    assert_eq!(dummy.algorithm, real.algorithm);
    assert_eq!(dummy.version, real.version);
    assert_eq!(dummy.params.to_string(), real.params.to_string());
    assert_eq!(dummy.salt.map(|s| s.len()), real.salt.map(|s| s.len()));
    assert_eq!(dummy.hash.map(|h| h.len()), real.hash.map(|h| h.len()));
    assert!(!is_outdated(&dummy, &passwords.params));
    assert_eq!(passwords.verify("anything", None).await.unwrap(), Verdict::Wrong);
    assert_ne!(passwords.dummy, Passwords::new(&accounts()).dummy);
}

#[tokio::test]
async fn an_unreadable_hash_is_a_failure_and_no_verdict() {
    let error = passwords().verify("blue kettle", Some("$2b$12$old")).await.unwrap_err();
    assert!(matches!(error, CommandError::Unavailable(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once_and_takes_more_when_it_is_empty() {
    let passwords = Passwords::new(&Accounts { hash_threads: 1, hash_queue: 2, ..accounts() });
    let (release, held) = mpsc::channel::<()>();
    let running = tokio::spawn({
        let passwords = passwords.clone();
        async move { passwords.run(move || Ok(held.recv().is_ok())).await }
    });
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let passwords = passwords.clone();
            tokio::spawn(async move { passwords.hash("blue kettle").await })
        })
        .collect();
    while passwords.admitted.available_permits() > 0 {
        tokio::task::yield_now().await;
    }

    let refused = passwords.hash("blue kettle").await.unwrap_err();
    assert!(matches!(refused, CommandError::Overloaded { .. }), "{refused:?}");

    release.send(()).unwrap();
    assert!(running.await.unwrap().unwrap());
    for hash in waiting {
        hash.await.unwrap().unwrap();
    }
    passwords.hash("blue kettle").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_up_does_not_free_the_place_of_work_that_goes_on() {
    let passwords = Passwords::new(&Accounts { hash_threads: 1, hash_queue: 1, ..accounts() });
    let (release, held) = mpsc::channel::<()>();
    let (started, start) = tokio::sync::oneshot::channel();
    let caller = tokio::spawn({
        let passwords = passwords.clone();
        async move {
            passwords
                .run(move || {
                    let _ = started.send(());
                    Ok(held.recv().is_ok())
                })
                .await
        }
    });
    start.await.unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    assert_eq!(passwords.running.available_permits(), 0);

    release.send(()).unwrap();
    passwords.hash("blue kettle").await.unwrap();
}

#[tokio::test]
async fn an_imported_bcrypt_hash_opens_the_account_and_is_replaced() {
    let passwords = Passwords::new(&config(1).accounts);
    let hash = bcrypt::hash("blue kettle on monday", 4).unwrap();
    let verdict = passwords.verify("blue kettle on monday", Some(&hash)).await.unwrap();
    assert_eq!(verdict, Verdict::Right { outdated: true });
    let verdict = passwords.verify("blue kettle on tuesday", Some(&hash)).await.unwrap();
    assert_eq!(verdict, Verdict::Wrong);
}

#[tokio::test]
async fn what_bcrypt_would_cut_off_is_not_ignored() {
    let passwords = Passwords::new(&config(1).accounts);
    let password = "x".repeat(72);
    let hash = bcrypt::hash(&password, 4).unwrap();
    let right = passwords.verify(&password, Some(&hash)).await.unwrap();
    assert_eq!(right, Verdict::Right { outdated: true });
    let longer = passwords.verify(&format!("{password}y"), Some(&hash)).await.unwrap();
    assert_eq!(longer, Verdict::Wrong);
}
