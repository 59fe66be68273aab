//! What serde cannot check: ranges, shapes and settings that depend on each other.

use std::fmt::Display;
use std::ops::RangeInclusive;

use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::EnvFilter;
use url::Url;

use super::{Config, ConfigError, MAX_REFRESH_TOKEN_SECONDS, MAX_SESSIONS};
use crate::secrets::Secrets;

type Checked = Result<(), ConfigError>;

impl Config {
    /// Refuses the first setting that is out of range.
    pub(super) fn validate(&self) -> Checked {
        self.validate_process()?;
        self.validate_stores()?;
        self.validate_accounts()?;
        self.validate_mail()?;
        self.validate_phone()?;
        self.validate_limits()?;
        self.validate_pipeline()?;
        self.validate_realtime()
    }

    fn validate_process(&self) -> Checked {
        let server = &self.server;
        check(
            "server.internal_bind",
            server.internal_bind != server.bind || server.bind.port() == 0,
            "must differ from server.bind",
        )?;
        origin("server.public_origin", &server.public_origin)?;
        for allowed in &server.allowed_origins {
            origin("server.allowed_origins", allowed)?;
        }
        within("server.request_timeout_ms", server.request_timeout_ms, 1..=600_000)?;
        within("server.body_limit_bytes", server.body_limit_bytes, 1024..=1 << 30)?;
        within("server.shutdown_grace_ms", server.shutdown_grace_ms, 1..=600_000)?;
        check(
            "server.write_wait_ms",
            server.write_wait_ms < server.request_timeout_ms,
            "must be less than server.request_timeout_ms",
        )?;
        check(
            "server.removal_wait_ms",
            server.removal_wait_ms < server.request_timeout_ms,
            "must be less than server.request_timeout_ms",
        )?;
        check(
            "node.id",
            self.node.id.len() <= 64 && self.node.id.chars().all(is_name),
            "must be at most 64 letters, digits, \"_\", \"-\" and \".\"",
        )?;
        EnvFilter::try_new(&self.log.filter).map(drop).map_err(|error| {
            ConfigError::invalid("log.filter", format!("is not a filter ({error})"))
        })
    }

    fn validate_stores(&self) -> Checked {
        let (postgres, nats) = (&self.postgres, &self.nats);
        scheme("postgres.url", &postgres.url, &["postgres://", "postgresql://"])?;
        scheme("mongodb.url", &self.mongodb.url, &["mongodb://", "mongodb+srv://"])?;
        let redis = ["redis://", "rediss://", "redis+unix://", "unix://"];
        scheme("redis.url", &self.redis.url, &redis)?;
        within("redis.cache_seconds", self.redis.cache_seconds, 0..=3600)?;
        scheme("nats.url", &nats.url, &["nats://", "tls://", "ws://", "wss://"])?;
        within("postgres.max_connections", postgres.max_connections, 2..=10_000)?;
        within("postgres.connect_timeout_ms", postgres.connect_timeout_ms, 1..=600_000)?;
        within("postgres.statement_timeout_ms", postgres.statement_timeout_ms, 1..=86_400_000)?;
        // https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
        let database = &self.mongodb.database;
        check(
            "mongodb.database",
            (1..64).contains(&database.len())
                && !database.contains(['/', '\\', '.', ' ', '"', '$']),
            "must be 1 to 63 characters without / \\ . \" $ and spaces",
        )?;
        check(
            "nats.namespace",
            nats.namespace.len() <= 32 && nats.namespace.chars().all(is_lower_name),
            "must be at most 32 lower-case letters, digits, \"_\" and \"-\"",
        )?;
        within("nats.max_age_hours", nats.max_age_hours, 0..=876_000)?;
        within("nats.replicas", nats.replicas, 1..=5)?;
        within("nats.publish_window", nats.publish_window, 1..=65_536)
    }

    fn validate_accounts(&self) -> Checked {
        let (security, accounts) = (&self.security, &self.accounts);
        Secrets::from_config(security)?;
        within("security.access_token_seconds", security.access_token_seconds, 900..=604_800)?;
        check(
            "security.refresh_token_seconds",
            security.refresh_token_seconds >= security.access_token_seconds,
            "must be at least security.access_token_seconds",
        )?;
        let refresh = security.refresh_token_seconds;
        within("security.refresh_token_seconds", refresh, 900..=MAX_REFRESH_TOKEN_SECONDS)?;
        check("security.issuer", !security.issuer.is_empty(), "must not be empty")?;
        check("security.audience", !security.audience.is_empty(), "must not be empty")?;
        within("accounts.max_sessions", accounts.max_sessions, 1..=MAX_SESSIONS)?;
        within("accounts.verification_minutes", accounts.verification_minutes, 1..=43_200)?;
        within("accounts.reset_minutes", accounts.reset_minutes, 1..=1440)?;
        within("accounts.resend_seconds", accounts.resend_seconds, 0..=3600)?;
        within("accounts.sends_per_hour", accounts.sends_per_hour, 1..=1000)?;
        within("accounts.fresh_login_seconds", accounts.fresh_login_seconds, 1..=86_400)?;
        let grace = accounts.deletion_grace_seconds;
        within("accounts.deletion_grace_seconds", grace, 1..=31_536_000)?;
        within("accounts.export_minutes", accounts.export_minutes, 1..=10_080)?;
        within("accounts.code_attempts", accounts.code_attempts, 1..=20)?;
        within("accounts.hash_threads", accounts.hash_threads, 1..=256)?;
        within("accounts.hash_queue", accounts.hash_queue, 1..=65_536)?;
        // RFC 9106, section 3.1: at least 8 KiB of memory a lane.
        within("accounts.argon2_parallelism", accounts.argon2_parallelism, 1..=64)?;
        let least = 8 * accounts.argon2_parallelism;
        within("accounts.argon2_memory_kib", accounts.argon2_memory_kib, least..=4_194_304)?;
        within("accounts.argon2_iterations", accounts.argon2_iterations, 1..=1000)
    }

    fn validate_mail(&self) -> Checked {
        let mail = &self.mail;
        if !mail.url.expose_secret().is_empty() {
            scheme("mail.url", &mail.url, &["smtp://", "smtps://"])?;
        }
        check(
            "mail.from",
            mail.from.contains('@') && !mail.from.chars().any(char::is_control),
            "must be like \"Name <address@host>\"",
        )?;
        if !mail.link_origin.is_empty() {
            origin("mail.link_origin", &mail.link_origin)?;
        }
        within("mail.timeout_ms", mail.timeout_ms, 1..=600_000)?;
        within("mail.max_retry_ms", mail.max_retry_ms, 1..=86_400_000)?;
        within("mail.retry_ms", mail.retry_ms, 1..=mail.max_retry_ms)?;
        within("mail.give_up_seconds", mail.give_up_seconds, 1..=2_592_000)?;
        within("mail.keep_dead_days", mail.keep_dead_days, 1..=3650)
    }

    fn validate_phone(&self) -> Checked {
        let phone = &self.phone;
        for prefix in &phone.allowed_prefixes {
            let digits = prefix.strip_prefix('+').unwrap_or_default();
            let fits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            check("phone.allowed_prefixes", fits, "must be like \"+49\"")?;
        }
        within("phone.code_minutes", phone.code_minutes, 1..=60)?;
        within("phone.sends_per_day", phone.sends_per_day, 1..=10_000_000)?;
        within("phone.guesses_per_hour", phone.guesses_per_hour, 1..=1000)?;
        let token = phone.twilio_token.expose_secret();
        let twilio = [phone.twilio_account.as_str(), token, &phone.twilio_service];
        let set = twilio.iter().filter(|it| !it.is_empty()).count();
        let rule = "goes with phone.twilio_token and phone.twilio_service: set all three or none";
        check("phone.twilio_account", set == 0 || set == 3, rule)?;
        let plain = |it: &str| it.bytes().all(|b| b.is_ascii_alphanumeric());
        let rule = "must be letters and digits";
        check("phone.twilio_service", plain(&phone.twilio_service), rule)?;
        origin("phone.twilio_origin", &phone.twilio_origin)?;
        within("phone.timeout_ms", phone.timeout_ms, 1..=60_000)
    }

    fn validate_limits(&self) -> Checked {
        // The domain's own bounds of a room.
        let rooms = &self.rooms;
        within("rooms.default_participants", rooms.default_participants, 2..=500)?;
        within("rooms.max_owned", rooms.max_owned, 1..=10_000)?;
        within("rooms.max_invites", rooms.max_invites, 1..=1000)?;
        within("rooms.max_invite_seconds", rooms.max_invite_seconds, 60..=31_536_000)?;
        within("rooms.invite_seconds", rooms.invite_seconds, 60..=rooms.max_invite_seconds)?;
        within("rooms.max_mute_seconds", rooms.max_mute_seconds, 60..=31_536_000)?;
        within("rooms.mute_seconds", rooms.mute_seconds, 60..=rooms.max_mute_seconds)?;
        let messages = &self.messages;
        within("messages.edit_window_minutes", messages.edit_window_minutes, 0..=5_256_000)?;
        within("messages.max_reaction_kinds", messages.max_reaction_kinds, 1..=100)?;
        within("messages.max_wordings", messages.max_wordings, 1..=1000)?;
        within("messages.max_reaction_changes", messages.max_reaction_changes, 1..=1000)?;
        let limits = &self.limits;
        within("limits.unidentified_sockets", limits.unidentified_sockets, 1..=100_000)?;
        within("limits.login_known_days", limits.login_known_days, 1..=365)?;
        // Whoever waits holds a request, which ends after its own time.
        let most = self.server.request_timeout_ms / 2;
        within("limits.login_max_delay_ms", limits.login_max_delay_ms, 0..=most)?;
        within("limits.login_delay_ms", limits.login_delay_ms, 0..=limits.login_max_delay_ms)?;
        let users = &self.users;
        within("users.max_subjects", users.max_subjects, 1..=1000)?;
        within("users.reports_per_day", users.reports_per_day, 1..=10_000)?;
        let beginnings = messages.max_new_conversations_per_day;
        within("messages.max_new_conversations_per_day", beginnings, 0..=1000)?;
        // A message of 4,000 characters of 4 bytes, with room for the rest of the frame.
        within("realtime.max_payload_bytes", self.realtime.max_payload_bytes, 20_000..=1 << 24)
    }

    fn validate_pipeline(&self) -> Checked {
        let (store, relay, projections) = (&self.eventstore, &self.relay, &self.projections);
        within("eventstore.append_connections", store.append_connections, 1..=1000)?;
        within("eventstore.group_commit_max_events", store.group_commit_max_events, 1..=10_000)?;
        within("eventstore.queue_capacity", store.queue_capacity, 1..=1 << 20)?;
        within("eventstore.snapshot_every", store.snapshot_every, 1..=1_000_000)?;
        within("eventstore.cache_capacity", store.cache_capacity, 1..=10_000_000)?;
        within("eventstore.idempotency_hours", store.idempotency_hours, 1..=8760)?;
        within("eventstore.command_retries", store.command_retries, 0..=100)?;
        within("relay.batch", relay.batch, 1..=50_000)?;
        within("relay.poll_ms", relay.poll_ms, 1..=60_000)?;
        longer("relay.lease_ttl_ms", relay.lease_ttl_ms, "relay.poll_ms", relay.poll_ms)?;
        within("relay.xmin_alarm_ms", relay.xmin_alarm_ms, 1..=86_400_000)?;
        within("projections.batch", projections.batch, 1..=100_000)?;
        within("projections.pace_ms", projections.pace_ms, 0..=1000)?;
        within("projections.poll_ms", projections.poll_ms, 1..=60_000)?;
        let (ttl, poll) = (projections.lease_ttl_ms, projections.poll_ms);
        longer("projections.lease_ttl_ms", ttl, "projections.poll_ms", poll)?;
        within("projections.max_partitions", projections.max_partitions, 1..=16)?;
        check(
            "projections.read_wait_ms",
            projections.read_wait_ms < self.server.request_timeout_ms,
            "must be less than server.request_timeout_ms",
        )
    }

    fn validate_realtime(&self) -> Checked {
        let it = &self.realtime;
        within("realtime.ping_interval_ms", it.ping_interval_ms, 1..=600_000)?;
        within("realtime.ping_timeout_ms", it.ping_timeout_ms, 1..=600_000)?;
        within("realtime.connect_timeout_ms", it.connect_timeout_ms, 1..=600_000)?;
        within("realtime.max_payload_bytes", it.max_payload_bytes, 1..=100_000_000)?;
        within("realtime.max_binaries", it.max_binaries, 0..=100)?;
        within("realtime.command_queue", it.command_queue, 1..=65_536)?;
        within("realtime.send_buffer", it.send_buffer, 1..=65_536)?;
        within("realtime.max_sockets_per_user", it.max_sockets_per_user, 1..=10_000)?;
        within("realtime.max_rooms_per_socket", it.max_rooms_per_socket, 1..=10_000)?;
        within("realtime.presence_debounce_ms", it.presence_debounce_ms, 0..=600_000)?;
        within("realtime.presence_interval_ms", it.presence_interval_ms, 1..=600_000)?;
        within("realtime.heartbeat_ms", it.heartbeat_ms, 1..=600_000)?;
        let (ttl, beat) = (it.socket_ttl_ms, it.heartbeat_ms);
        longer("realtime.socket_ttl_ms", ttl, "realtime.heartbeat_ms", beat)?;
        within("realtime.reconnect_within_ms", it.reconnect_within_ms, 0..=600_000)?;
        within("realtime.stats_interval_ms", it.stats_interval_ms, 1..=600_000)?;
        within("realtime.typing_interval_ms", it.typing_interval_ms, 1..=600_000)?;
        let (expiry, interval) = (it.typing_expiry_ms, it.typing_interval_ms);
        longer("realtime.typing_expiry_ms", expiry, "realtime.typing_interval_ms", interval)?;
        within("realtime.resume_page", it.resume_page, 1..=500)?;
        within("realtime.max_replay", it.max_replay, it.resume_page..=10_000_000)?;
        within("realtime.max_sync_behind", it.max_sync_behind, it.max_replay..=100_000_000)
    }
}

fn check(setting: &'static str, holds: bool, rule: &str) -> Checked {
    if holds { Ok(()) } else { Err(ConfigError::invalid(setting, rule)) }
}

fn within<N>(setting: &'static str, value: N, range: RangeInclusive<N>) -> Checked
where
    N: Copy + PartialOrd + Display,
{
    let rule = || format!("must be {} to {}, not {value}", range.start(), range.end());
    if range.contains(&value) { Ok(()) } else { Err(ConfigError::invalid(setting, rule())) }
}

fn longer(setting: &'static str, value: u64, other: &str, least: u64) -> Checked {
    check(setting, value > least, &format!("must be more than {other} ({least})"))?;
    within(setting, value, 1..=86_400_000)
}

/// An origin as browsers send it: RFC 6454, section 6.1.
fn origin(setting: &'static str, text: &str) -> Checked {
    let serialized = Url::parse(text).ok().map(|url| url.origin().ascii_serialization());
    check(
        setting,
        text.starts_with("http") && serialized.as_deref() == Some(text),
        &format!("must be like \"https://host\" or \"http://host:8080\", not {text:?}"),
    )
}

fn scheme(setting: &'static str, url: &SecretString, schemes: &[&str]) -> Checked {
    let url = url.expose_secret();
    if url.is_empty() {
        return Err(ConfigError::missing(setting));
    }
    let known = schemes.iter().any(|scheme| url.starts_with(scheme));
    check(setting, known, &format!("must start with {}", schemes.join(" or ")))
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn is_lower_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-')
}
