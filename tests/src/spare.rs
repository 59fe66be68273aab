//! Servers that one test has for itself, to stop, restart and wipe.
use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::{LIMIT, Servers, eventually};

/// A server like one of the shared ones, on a port and a data folder of its own.
pub struct SpareServer {
    arguments: Vec<String>,
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl SpareServer {
    /// Starts another `nats`, `redis` or `mongodb`, the way `STUDYHALL_TEST_STACK_FILE` says.
    ///
    /// # Panics
    /// When the file is missing, or the server does not start.
    pub async fn start(kind: &str) -> Self {
        let file = Servers::from_environment().stack_file;
        let file = file.expect("STUDYHALL_TEST_STACK_FILE is not set: run `make test`");
        let stack: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let template = stack["services"][kind]["template"].as_array().expect("a template");
        let folder = TempDir::with_prefix("studyhall-spare-").unwrap();
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
        let mut server = Self { arguments, folder, port, child: None };
        server.start_again().await;
        server
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it on the data that it left.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self) {
        fs::create_dir_all(self.data()).unwrap();
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let child = Command::new(&self.arguments[0])
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
