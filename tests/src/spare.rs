//! Servers that one test has for itself, to stop, restart and wipe.
use std::{
    fs::{self, Permissions},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::{LIMIT, Servers, eventually};

const PREFIX: &str = "studyhall-spare-";

/// A server like one of the shared ones, on a port and a data folder of its own.
pub struct SpareServer {
    kind: String,
    arguments: Vec<String>,
    /// What its data start as, if not as nothing.
    pristine: Option<PathBuf>,
    folder: TempDir,
    /// Of the shared one.
    shared: u64,
    port: u16,
    child: Option<Child>,
}

impl SpareServer {
    /// Starts another `postgres`, `nats`, `redis` or `mongodb`, the way `STUDYHALL_TEST_STACK_FILE` says.
    ///
    /// # Panics
    /// When the file is missing, or the server does not start.
    pub async fn start(kind: &str) -> Self {
        let file = Servers::from_environment().stack_file;
        let file = file.expect("STUDYHALL_TEST_STACK_FILE is not set: run `make test`");
        let stack: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let service = &stack["services"][kind];
        let template = service["template"].as_array().expect("a template");
        let pristine = service["pristine"].as_str().map(PathBuf::from);
        // Whoever owns such data may not be able to go where temporary folders are.
        let folder = match pristine.as_deref().and_then(Path::parent) {
            Some(beside) => TempDir::with_prefix_in(PREFIX, beside),
            None => TempDir::with_prefix(PREFIX),
        };
        let folder = folder.unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let data = folder.path().join("data");
        let arguments = template
            .iter()
            .map(|argument| {
                let argument = argument.as_str().unwrap();
                argument
                    .replace("{port}", &port.to_string())
                    .replace("{data}", data.to_str().unwrap())
            })
            .collect();
        let shared = service["port"].as_u64().expect("a port");
        let kind = kind.to_owned();
        let mut server = Self { kind, arguments, pristine, folder, shared, port, child: None };
        server.start_again().await;
        server
    }

    /// The shared servers with this one in the place of theirs.
    ///
    /// # Panics
    /// When there is none of its kind.
    #[must_use]
    pub fn servers(&self) -> Servers {
        let mut servers = Servers::from_environment();
        if self.kind == "postgres" {
            servers.postgres.set_port(Some(self.port)).expect("a URL with a host");
            return servers;
        }
        let url = match self.kind.as_str() {
            "redis" => &mut servers.redis,
            "nats" => &mut servers.nats,
            "mongodb" => &mut servers.mongodb,
            other => panic!("nobody asks for another {other}"),
        };
        *url = url.replace(&format!(":{}", self.shared), &format!(":{}", self.port));
        servers
    }

    /// Starts it on the data that it left.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self) {
        let mut command = Command::new(&self.arguments[0]);
        if let Some(pristine) = &self.pristine {
            if !self.data().exists() {
                let copied =
                    Command::new("cp").arg("-a").arg(pristine).arg(self.data()).status().await;
                assert!(copied.unwrap().success(), "{} is copied", pristine.display());
            }
            // PostgreSQL does not run as root.
            let (owner, own) = (fs::metadata(pristine).unwrap(), self.folder.path().metadata());
            if owner.uid() != own.unwrap().uid() {
                command.uid(owner.uid()).gid(owner.gid());
            }
        }
        fs::create_dir_all(self.data()).unwrap();
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let child = command
            .args(&self.arguments[1..])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        self.child = Some(child.expect("the server starts"));
        let address = (Ipv4Addr::LOCALHOST, self.port);
        eventually("the server listens", LIMIT, async || TcpStream::connect(address).await.ok())
            .await;
        if self.kind == "postgres" {
            let url = self.servers().postgres;
            // It listens before it lets anybody in.
            eventually("PostgreSQL answers", LIMIT, async || {
                PgConnection::connect(url.as_str()).await.ok()
            })
            .await;
        }
    }

    /// Kills it, without a chance to write anything down.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill(&mut self) {
        self.child.take().expect("it runs").kill().await.unwrap();
    }

    /// Removes all of its data. Kill it first.
    ///
    /// # Panics
    /// When the folder cannot be removed.
    pub fn wipe(&self) {
        assert!(self.child.is_none(), "kill it first");
        fs::remove_dir_all(self.data()).unwrap();
    }

    /// A copy of its data as they are now, for [`SpareServer::roll_back`]. Kill it first.
    ///
    /// # Panics
    /// When the folder cannot be copied.
    pub fn back_up(&self) {
        assert!(self.child.is_none(), "kill it first");
        copy(&self.data(), &self.folder.path().join("copy"));
    }

    /// Puts the copied data in the place of what came after. Kill it first.
    ///
    /// # Panics
    /// When there is no copy.
    pub fn roll_back(&self) {
        self.wipe();
        copy(&self.folder.path().join("copy"), &self.data());
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
