//! One `studyhall serve` as a child process.
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{LIMIT, eventually};

/// How long a process may take to end after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// The executable, which stands beside the tests' own: `target/<profile>/studyhall`.
///
/// Cargo builds it together with the tests when `cli` is among the chosen packages, as in
/// `cargo nextest run --workspace` or `cargo nextest run -p cli -p tests`. `CARGO_BIN_EXE_…` is
/// for tests of the same package only.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn executable() -> PathBuf {
    let own = std::env::current_exe().expect("a process knows where it is");
    // Tests are in target/<profile>/deps, the benchmarks in target/<profile>.
    let mut folder = own.parent().expect("a file is in a folder");
    if folder.ends_with("deps") {
        folder = folder.parent().expect("target/<profile>/deps");
    }
    let path = folder.join("studyhall");
    assert!(path.exists(), "{} is not built: run `cargo build -p cli -p tests`", path.display());
    path
}

/// What a process wrote to standard error.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Every line so far.
    ///
    /// # Panics
    /// Never in a test that has not failed yet.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// The lines of level ERROR, and those that are no log lines at all: panics, aborts.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        let is_error = |line: &String| match serde_json::from_str::<Value>(line) {
            Ok(line) => line["level"] == "ERROR",
            Err(_) => !line.trim().is_empty(),
        };
        self.lines().into_iter().filter(is_error).collect()
    }

    async fn collect(self, stderr: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            self.0.lock().unwrap().push(line);
        }
    }
}

/// How one node is started, again and again.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// `--roles`; all when `None`.
    pub roles: Option<String>,
    /// The whole environment, settings included.
    pub environment: BTreeMap<String, String>,
}

/// A running `studyhall serve`.
pub struct Node {
    child: Child,
    /// Where the API and the sockets are; empty for roles without.
    pub address: String,
    /// Where metrics and health are.
    pub internal: String,
    /// What it wrote.
    pub log: Log,
}

impl Node {
    /// Starts the process and waits until it listens.
    ///
    /// # Errors
    /// The log, when the process ends before.
    ///
    /// # Panics
    /// When it neither listens nor ends.
    pub async fn start(start: &Start) -> Result<Self, String> {
        let mut command = command(&start.environment);
        command.arg("serve").stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(roles) = &start.roles {
            command.args(["--roles", roles]);
        }
        let mut child = command.spawn().expect("studyhall starts");
        let log = Log::default();
        let collecting = tokio::spawn(log.clone().collect(child.stderr.take().unwrap()));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let public = start
            .roles
            .as_ref()
            .is_none_or(|roles| roles.split(',').any(|role| matches!(role, "api" | "realtime")));
        let (mut address, mut internal) = (String::new(), String::new());
        while internal.is_empty() || (public && address.is_empty()) {
            let line = timeout(LIMIT, lines.next_line()).await.expect("it listens in time");
            let Ok(Some(line)) = line else {
                let _ = timeout(LIMIT, collecting).await;
                return Err(log.lines().join("\n"));
            };
            if let Some(url) = line.strip_prefix("listening on ") {
                url.clone_into(&mut address);
            } else if let Some(url) = line.strip_prefix("internal listener on ") {
                url.clone_into(&mut internal);
            }
        }
        // Whoever closes the pipe would kill the process at its next line.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, address, internal, log })
    }

    /// Waits until every probe of readiness succeeds.
    ///
    /// # Panics
    /// When that takes too long or the process ends.
    pub async fn ready(&mut self) {
        let url = format!("{}/health/ready", self.internal);
        let http = reqwest::Client::new();
        let child = &mut self.child;
        let log = &self.log;
        eventually("the node is ready", LIMIT, async || {
            if let Ok(Some(status)) = child.try_wait() {
                panic!("the node ended with {status}:\n{}", log.lines().join("\n"));
            }
            let answer = http.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Its resident memory, in KiB (`VmRSS` of proc(5)).
    ///
    /// # Panics
    /// When it is not running.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        let pid = self.pid().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Whether the process has its end of the connection from this address, which may be unable to
    /// say: what the kernel still sends for a process that closed it has no inode (`/proc/net/tcp`).
    ///
    /// # Panics
    /// When there is no such table.
    #[must_use]
    pub fn holds(&self, client: SocketAddr) -> bool {
        let own: SocketAddr = self.address.strip_prefix("http://").unwrap().parse().unwrap();
        let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
        let port = |address: &str| u16::from_str_radix(address.split(':').nth(1)?, 16).ok();
        table.lines().skip(1).any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            port(fields[1]) == Some(own.port())
                && port(fields[2]) == Some(client.port())
                && fields[9] != "0"
        })
    }

    /// `kill -9`.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill9(&mut self) {
        self.child.kill().await.expect("a child can be killed");
    }

    /// Waits until the process has died by itself, as at a crash point.
    ///
    /// # Panics
    /// When it lives on, or ended in another way than by a signal.
    pub async fn died(&mut self) {
        let status = timeout(LIMIT, self.child.wait()).await.expect("it dies in time").unwrap();
        assert!(status.signal().is_some(), "ended with {status}:\n{}", self.log.lines().join("\n"));
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGTERM, and the clean end that must follow.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn stop(&mut self) -> ExitStatus {
        if let Some(pid) = self.child.id() {
            signal(pid, "TERM").await;
        }
        timeout(STOP_LIMIT, self.child.wait()).await.expect("it ends in time").unwrap()
    }

    pub(crate) async fn signal(&self, name: &str) {
        signal(self.child.id().expect("it runs"), name).await;
    }
}

/// `studyhall` with these variables and no others of ours.
#[must_use]
pub fn command(environment: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(executable());
    command.stdin(Stdio::null()).kill_on_drop(true);
    // A developer's own settings are none of a test's.
    command.env_clear().envs(environment);
    // No studyhall.toml in sight.
    command.current_dir(std::env::temp_dir());
    command
}

async fn signal(pid: u32, name: &str) {
    // Through the shell's tool: the standard library has no kill(2).
    let sent = Command::new("kill").args(["-s", name, &pid.to_string()]).status().await;
    assert!(sent.is_ok_and(|status| status.success()), "cannot send SIG{name} to {pid}");
}
