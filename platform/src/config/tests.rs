//! Tests of the configuration.

use std::fs;

use secrecy::ExposeSecret;

use super::*;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Only what has no default.
const REQUIRED: [(&str, &str); 6] = [
    ("STUDYHALL_POSTGRES__URL", "postgres://me:hush@db/studyhall"),
    ("STUDYHALL_MONGODB__URL", "mongodb://me:hush@docs"),
    ("STUDYHALL_REDIS__URL", "redis://:hush@cache"),
    ("STUDYHALL_NATS__URL", "nats://hush@bus"),
    ("STUDYHALL_SECURITY__MASTER_KEY", KEY),
    ("STUDYHALL_SECURITY__JWT_KEYS", "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
];

/// The required settings and `more`, as the environment.
fn with(more: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_sources(None, REQUIRED.into_iter().chain(more.iter().copied()))
}

/// The configuration with every default.
pub(super) fn defaults() -> Config {
    with(&[]).unwrap()
}

#[test]
fn what_protects_others_is_on_unless_somebody_turns_it_off() {
    let config = defaults();
    assert!(config.rooms.require_verified_email && config.limits.enabled);
    assert!(!config.phone.log_codes);
}

/// The line that refuses `name` = `value`.
fn refusal(name: &str, value: &str) -> String {
    let line = with(&[(name, value)]).unwrap_err().to_string();
    assert!(!line.contains('\n'), "{line}");
    assert!(!line.contains("hush"), "{line}");
    line
}

/// The required settings in the environment and `text` as the file.
fn with_file(text: &str) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("studyhall.toml");
    fs::write(&path, text).unwrap();
    Config::from_sources(Some(&path), REQUIRED)
}

#[test]
fn the_required_settings_are_enough() {
    let config = with(&[]).unwrap();
    assert_eq!(config.server.bind.port(), 8080);
    assert_eq!(config.server.allowed_origins.len(), 3);
    assert_eq!(config.nats.storage, NatsStorage::File);
    assert_eq!(config.accounts.registration_mode, RegistrationMode::Immediate);
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(config.realtime.max_replay, 10_000);
}

#[test]
fn every_required_setting_is_asked_for_by_name() {
    for (missing, setting, entry) in [
        ("STUDYHALL_POSTGRES__URL", "postgres.url", "[postgres] url"),
        ("STUDYHALL_MONGODB__URL", "mongodb.url", "[mongodb] url"),
        ("STUDYHALL_REDIS__URL", "redis.url", "[redis] url"),
        ("STUDYHALL_NATS__URL", "nats.url", "[nats] url"),
        ("STUDYHALL_SECURITY__MASTER_KEY", "security.master_key", "[security] master_key"),
        ("STUDYHALL_SECURITY__JWT_KEYS", "security.jwt_keys", "[security] jwt_keys"),
    ] {
        let line =
            format!("{setting} is not set: set {missing} or {entry} in the configuration file");
        let others = REQUIRED.into_iter().filter(|(name, _)| *name != missing);
        let absent = Config::from_sources(None, others);
        assert_eq!(absent.unwrap_err().to_string(), line);
        assert_eq!(with(&[(missing, "")]).unwrap_err().to_string(), line, "empty is not set");
    }
}

#[test]
fn the_environment_overrides_the_file_and_the_file_the_defaults() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("any.toml");
    fs::write(&path, "[relay]\nbatch = 7\npoll_ms = 70\n[log]\nformat = \"json\"").unwrap();
    let variables = REQUIRED.into_iter().chain([("STUDYHALL_RELAY__BATCH", "8")]);
    let config = Config::from_sources(Some(&path), variables).unwrap();
    assert_eq!((config.relay.batch, config.relay.poll_ms), (8, 70));
    assert_eq!(config.relay.lease_ttl_ms, 5000);
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn the_environment_is_read_as_the_type_of_the_default() {
    let config = with(&[
        ("STUDYHALL_NODE__ID", "7"),
        ("STUDYHALL_MONGODB__DATABASE", "1234"),
        ("STUDYHALL_SERVER__BIND", "0.0.0.0:0"),
        ("STUDYHALL_SERVER__ALLOWED_ORIGINS", "https://a.example, https://b.example"),
        ("STUDYHALL_NATS__STORAGE", "memory"),
    ])
    .unwrap();
    assert_eq!(config.node.id, "7");
    assert_eq!(config.mongodb.database, "1234");
    assert_eq!(config.server.bind.port(), 0);
    assert_eq!(config.server.allowed_origins, ["https://a.example", "https://b.example"]);
    assert_eq!(config.nats.storage, NatsStorage::Memory);

    let toml = with(&[("STUDYHALL_SERVER__ALLOWED_ORIGINS", r#"["https://a.example"]"#)]).unwrap();
    assert_eq!(toml.server.allowed_origins, ["https://a.example"]);
}

#[test]
fn other_variables_of_ours_are_ignored() {
    let config = with(&[
        ("STUDYHALL_CONFIG", "x"),
        ("STUDYHALL_CACHE", "x"),
        ("STUDYHALL_TEST_A__B", "x"),
        ("PATH__X", "x"),
    ]);
    assert!(config.is_ok());
}

#[test]
fn a_missing_node_name_becomes_a_random_one() {
    let (one, two) = (with(&[]).unwrap().node.id, with(&[]).unwrap().node.id);
    assert_eq!(one.len(), 16);
    assert_ne!(one, two);
}

#[test]
fn unknown_settings_are_refused_by_name() {
    assert_eq!(
        refusal("STUDYHALL_NODE__NAME", "x"),
        "node.name is not a setting (known: id): remove STUDYHALL_NODE__NAME and [node] name in the \
         configuration file"
    );
    let section = refusal("STUDYHALL_SERVR__BIND", "x");
    assert!(section.starts_with("servr is not a setting (known: server, node, "), "{section}");
    assert!(section.contains("remove STUDYHALL_SERVR__* and [servr] in the"), "{section}");

    let in_file = with_file("[log]\nfilters = \"info\"").unwrap_err().to_string();
    assert!(in_file.starts_with("log.filters is not a setting (known: format, filter)"));
}

#[test]
fn a_wrong_type_is_refused_with_what_was_found() {
    assert_eq!(
        refusal("STUDYHALL_RELAY__BATCH", "many"),
        "relay.batch must be a whole number in range, not string \"many\": set STUDYHALL_RELAY__BATCH or [relay] batch in \
         the configuration file"
    );
    assert!(
        refusal("STUDYHALL_LOG__FORMAT", "xml").contains("must be one of text, json, not \"xml\"")
    );
    assert!(refusal("STUDYHALL_SERVER__BIND", "here").starts_with("server.bind is wrong (invalid"));
    let items = with_file("[server]\nallowed_origins = [5]").unwrap_err().to_string();
    assert!(items.starts_with("server.allowed_origins must be a string"), "{items}");
}

#[test]
fn values_out_of_range_are_refused() {
    for (setting, value, rule) in [
        ("SERVER__INTERNAL_BIND", "127.0.0.1:8080", "must differ from server.bind"),
        ("SERVER__PUBLIC_ORIGIN", "https://a.example/", "must be like"),
        ("SERVER__ALLOWED_ORIGINS", "a.example", "must be like"),
        ("SERVER__REQUEST_TIMEOUT_MS", "0", "must be 1 to 600000, not 0"),
        ("SERVER__WRITE_WAIT_MS", "10000", "less than server.request_timeout_ms"),
        ("NODE__ID", "a b", "letters, digits"),
        ("POSTGRES__URL", "mysql://hush", "must start with postgres:// or"),
        ("POSTGRES__MAX_CONNECTIONS", "1", "must be 2 to 10000, not 1"),
        ("MONGODB__URL", "hush", "must start with mongodb://"),
        ("MONGODB__DATABASE", "a.b", "must be 1 to 63 characters"),
        ("REDIS__URL", "hush", "must start with redis://"),
        ("NATS__URL", "hush", "must start with nats://"),
        ("NATS__NAMESPACE", "Test.1", "lower-case letters"),
        ("NATS__REPLICAS", "6", "must be 1 to 5, not 6"),
        ("SECURITY__MASTER_KEY", "hush", "must be base64 of exactly 32 bytes"),
        ("SECURITY__JWT_KEYS", "hush", "must be kid:base64seed"),
        ("SECURITY__ACCESS_TOKEN_SECONDS", "899", "must be 900 to 604800, not 899"),
        ("SECURITY__REFRESH_TOKEN_SECONDS", "900", "at least security.access_token_seconds"),
        ("MAIL__URL", "http://mail", "mail.url must start with smtp://"),
        ("PHONE__TWILIO_ACCOUNT", "AC1", "phone.twilio_account goes with phone.twilio_token"),
        ("PHONE__ALLOWED_PREFIXES", "49", "phone.allowed_prefixes must be like"),
        ("MAIL__FROM", "nobody", "mail.from must be like"),
        ("MAIL__LINK_ORIGIN", "https://me/x", "mail.link_origin must be like"),
        ("ACCOUNTS__ARGON2_MEMORY_KIB", "7", "must be 8 to 4194304, not 7"),
        ("ROOMS__DEFAULT_PARTICIPANTS", "501", "must be 2 to 500, not 501"),
        ("REALTIME__MAX_PAYLOAD_BYTES", "16384", "must be 20000 to 16777216, not 16384"),
        ("EVENTSTORE__APPEND_CONNECTIONS", "0", "must be 1 to 1000, not 0"),
        ("PROJECTIONS__MAX_PARTITIONS", "17", "must be 1 to 16, not 17"),
        ("EVENTSTORE__SNAPSHOT_EVERY", "0", "must be 1 to 1000000, not 0"),
        ("RELAY__LEASE_TTL_MS", "25", "must be more than relay.poll_ms (25)"),
        ("PROJECTIONS__LEASE_TTL_MS", "200", "must be more than projections.poll_ms (200)"),
        ("PROJECTIONS__READ_WAIT_MS", "10000", "less than server.request_timeout_ms"),
        ("REALTIME__SOCKET_TTL_MS", "10000", "must be more than realtime.heartbeat_ms (10000)"),
        ("REALTIME__TYPING_EXPIRY_MS", "2000", "must be more than realtime.typing_interval_ms"),
        ("REALTIME__MAX_REPLAY", "99", "must be 100 to 10000000, not 99"),
        ("LOG__FILTER", "info,=,", "is not a filter"),
    ] {
        let name = format!("STUDYHALL_{setting}");
        let line = refusal(&name, value);
        let path = setting.to_lowercase().replace("__", ".");
        assert!(line.starts_with(&path), "{line}");
        assert!(line.contains(rule), "{line}");
        assert!(line.contains(&format!("set {name} or [")), "{line}");
    }
}

#[test]
fn secrets_are_readable_and_do_not_print() {
    let config = with(&[]).unwrap();
    assert_eq!(config.redis.url.expose_secret(), "redis://:hush@cache");
    let printed = format!("{config:?}");
    assert!(!printed.contains("hush") && !printed.contains(&KEY[..8]), "{printed}");
}

#[test]
fn a_secret_in_a_broken_file_does_not_print() {
    for text in
        ["postgres = \"hush\"", "[nats]\nurl = [\"hush\"]", "[redis]\nurl = hush", "redis = \"hush"]
    {
        let line = with_file(text).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(!line.contains("hush") && !line.contains('\n'), "{text}: {line}");
    }
    let syntax = with_file("\n[redis]\nurl = hush").unwrap_err().to_string();
    assert!(syntax.contains("cannot be read: TOML parse error at line 3, column 7"), "{syntax}");
}

#[test]
fn a_file_that_does_not_exist_is_named() {
    let line = Config::from_sources(Some(Path::new("no/such.toml")), REQUIRED).unwrap_err();
    assert!(line.to_string().starts_with("the configuration file no/such.toml cannot be read: "));
}

#[test]
fn tests_can_build_one_from_a_figment() {
    let mut overrides = Figment::new();
    for (key, value) in [
        ("postgres.url", "postgres://db"),
        ("mongodb.url", "mongodb://db"),
        ("redis.url", "redis://db"),
        ("nats.url", "nats://db"),
        ("security.master_key", KEY),
        ("security.jwt_keys", REQUIRED[5].1),
    ] {
        overrides = overrides.merge((key, value));
    }
    let config = Config::from_figment(overrides.merge(("server.write_wait_ms", 9))).unwrap();
    assert_eq!(config.server.write_wait_ms, 9);
}
