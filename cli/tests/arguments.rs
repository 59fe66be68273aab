//! What `studyhall` says before it needs a server. Having an integration test here also makes
//! Cargo build the executable for the stories of the whole workspace.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use std::process::{Command, Output};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn studyhall(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_studyhall"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_help_teaches_every_command() {
    let help = studyhall(&["--help"], &[]);
    assert!(help.status.success());
    let help = text(&help.stdout);
    for word in
        ["serve", "migrate", "status", "seed", "verify", "parked", "STUDYHALL_POSTGRES__URL"]
    {
        assert!(help.contains(word), "{word} is not in the help:\n{help}");
    }
    for command in ["serve", "migrate", "status", "seed", "verify", "parked"] {
        let help = studyhall(&[command, "--help"], &[]);
        assert!(help.status.success(), "{command}");
        assert!(text(&help.stdout).contains("Example"), "{command} has no example");
    }
}

#[test]
fn a_missing_setting_is_one_clear_line() {
    let all = [
        ("STUDYHALL_POSTGRES__URL", "postgres://127.0.0.1:1/none"),
        ("STUDYHALL_MONGODB__URL", "mongodb://127.0.0.1:1"),
        ("STUDYHALL_REDIS__URL", "redis://127.0.0.1:1"),
        ("STUDYHALL_NATS__URL", "nats://127.0.0.1:1"),
        ("STUDYHALL_SECURITY__MASTER_KEY", KEY),
        ("STUDYHALL_SECURITY__JWT_KEYS", "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ];
    for (name, _) in all {
        let environment: Vec<_> = all.into_iter().filter(|(other, _)| *other != name).collect();
        for command in [&["serve"][..], &["migrate"], &["status"], &["seed"], &["verify"]] {
            let output = studyhall(command, &environment);
            assert_eq!(output.status.code(), Some(2), "{command:?} without {name}");
            let line = text(&output.stderr);
            assert_eq!(line.lines().count(), 1, "{line}");
            assert!(line.starts_with("studyhall: ") && line.contains(name), "{line}");
        }
    }
}

#[test]
fn a_wrong_setting_is_one_clear_line() {
    for (name, value) in [
        ("STUDYHALL_SERVER__BIND", "here"),
        ("STUDYHALL_RELAY__BATCH", "many"),
        ("STUDYHALL_SERVR__BIND", "127.0.0.1:0"),
        ("STUDYHALL_SECURITY__MASTER_KEY", "c2hvcnQ="),
    ] {
        let output = studyhall(&["serve"], &[(name, value)]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        let line = text(&output.stderr);
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn wrong_arguments_are_explained() {
    for arguments in [&["cook"][..], &["serve", "--roles", "cook"], &["parked", "retry"], &[]] {
        let output = studyhall(arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("--help"), "{arguments:?}");
    }
}

#[test]
fn a_server_that_is_away_is_one_clear_line_and_no_secret() {
    let key = format!("k1:{KEY}");
    let environment = [
        ("STUDYHALL_POSTGRES__URL", "postgres://me:hush@127.0.0.1:1/none"),
        ("STUDYHALL_POSTGRES__CONNECT_TIMEOUT_MS", "500"),
        ("STUDYHALL_MONGODB__URL", "mongodb://127.0.0.1:1"),
        ("STUDYHALL_REDIS__URL", "redis://127.0.0.1:1"),
        ("STUDYHALL_NATS__URL", "nats://127.0.0.1:1"),
        ("STUDYHALL_SECURITY__MASTER_KEY", KEY),
        ("STUDYHALL_SECURITY__JWT_KEYS", key.as_str()),
        ("STUDYHALL_SERVER__BIND", "127.0.0.1:0"),
        ("STUDYHALL_SERVER__INTERNAL_BIND", "127.0.0.1:0"),
    ];
    for command in ["migrate", "serve"] {
        let output = studyhall(&[command], &environment);
        assert_eq!(output.status.code(), Some(1), "{command}");
        let line = text(&output.stderr);
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.contains("PostgreSQL") && !line.contains("hush"), "{line}");
    }
}
