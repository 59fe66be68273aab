//! The application under test: one or more nodes of `studyhall` in a world of their own.
use std::{collections::HashMap, process::Output};

use domain::Subject;
use eventstore::EventStore;
use serde_json::{Value, json};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use crate::{
    Client, LIMIT, Node, Servers, Socket, World,
    node::{Start, command},
    samples,
    store::append,
};

/// The one subject of most tests.
const SUBJECT: &str = "Linear algebra";

/// The password of every person in a test.
pub const PASSWORD: &str = "correct horse battery staple";

/// Between two looks at the status, each of which is a process.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// Someone with an account and a session.
#[derive(Clone)]
pub struct Person {
    /// Their id.
    pub id: String,
    /// Their session's id.
    pub session_id: String,
    /// Speaks for them to the first node.
    pub client: Client,
    /// Their access token.
    pub token: String,
    /// Their refresh token.
    pub refresh_token: String,
}

impl std::ops::Deref for Person {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

/// How to start a [`TestApp`].
#[derive(Default)]
pub struct Builder {
    servers: Option<Servers>,
    nodes: Vec<Start>,
    settings: Vec<(String, String)>,
    allowed_errors: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Builder {
    /// On other servers than the shared ones.
    #[must_use]
    pub fn on(mut self, servers: Servers) -> Self {
        self.servers = Some(servers);
        self
    }

    /// One more node with these roles (`"api,realtime"`). Without any, one node has all.
    #[must_use]
    pub fn node(mut self, roles: &str) -> Self {
        let roles = (roles != "all").then(|| roles.to_owned());
        self.nodes.push(Start { roles, ..Start::default() });
        self
    }

    /// A setting of the node that was named last: `("NATS__URL", "…")`.
    ///
    /// # Panics
    /// When none was named yet.
    #[must_use]
    pub fn own_setting(mut self, name: &str, value: &str) -> Self {
        let node = self.nodes.last_mut().expect("a node to set this for");
        node.environment.insert(format!("STUDYHALL_{name}"), value.to_owned());
        self
    }

    /// A setting of every node: `("RELAY__BATCH", "7")`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// A variable of every node that is no setting: `("FAILPOINTS", "…")`.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lines of level ERROR that contain this are part of the test.
    #[must_use]
    pub fn allow_error(mut self, part: &str) -> Self {
        self.allowed_errors.push(part.to_owned());
        self
    }

    /// Creates the world, migrates it and starts every node.
    pub async fn start(self) -> TestApp {
        let servers = self.servers.unwrap_or_else(Servers::from_environment);
        let mut world = World::create_on(servers).await;
        for (name, value) in &self.settings {
            world.set(name, value);
        }
        let mut starts = self.nodes;
        if starts.is_empty() {
            starts.push(Start::default());
        }
        for (number, start) in starts.iter_mut().enumerate() {
            let own = std::mem::replace(&mut start.environment, world.environment().clone());
            start.environment.extend(own);
            start.environment.insert("STUDYHALL_NODE__ID".to_owned(), format!("node-{number}"));
            start.environment.extend(self.environment.iter().cloned());
        }
        let mut app = TestApp {
            world,
            starts,
            nodes: Vec::new(),
            http: reqwest::Client::new(),
            people: Mutex::default(),
            allowed_errors: self.allowed_errors,
            finished: false,
            home: 0,
        };
        app.cli(&["migrate"]).await;
        for number in 0..app.starts.len() {
            let node = Node::start(&app.starts[number]).await.expect("the node starts");
            app.nodes.push(node);
        }
        for node in &mut app.nodes {
            node.ready().await;
        }
        app
    }
}

/// `studyhall` on a fresh world. End every test with [`TestApp::finish`].
pub struct TestApp {
    /// What it has for itself.
    pub world: World,
    /// Its running nodes.
    pub nodes: Vec<Node>,
    starts: Vec<Start>,
    http: reqwest::Client,
    people: Mutex<HashMap<String, Person>>,
    allowed_errors: Vec<String>,
    finished: bool,
    /// Where people are when a test does not say.
    home: usize,
}

impl TestApp {
    /// One node with every role.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Other ways to start.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Changes a setting for every node that is started (again) from now on.
    pub fn set(&mut self, setting: &str, value: &str) {
        self.world.set(setting, value);
        for start in &mut self.starts {
            start.environment.insert(format!("STUDYHALL_{setting}"), value.to_owned());
        }
    }

    /// From now on people talk to this node where a test does not say.
    pub fn talk_to(&mut self, node: usize) {
        self.home = node;
    }

    /// Speaks to the first node, or the one of [`TestApp::talk_to`], for nobody.
    #[must_use]
    pub fn anyone(&self) -> Client {
        self.anyone_at(self.home)
    }

    /// Speaks to a node for nobody.
    #[must_use]
    pub fn anyone_at(&self, node: usize) -> Client {
        Client::new(&self.http, &self.nodes[node].address)
    }

    /// Speaks to a node's internal listener.
    #[must_use]
    pub fn internal(&self, node: usize) -> Client {
        Client::new(&self.http, &self.nodes[node].internal)
    }

    /// Someone who registers when first named.
    ///
    /// # Panics
    /// When they cannot register.
    pub async fn as_user(&self, name: &str) -> Person {
        let mut people = self.people.lock().await;
        if let Some(person) = people.get(name) {
            // The node may listen elsewhere since.
            let client = self.anyone().with_token(&person.token);
            return Person { client, ..person.clone() };
        }
        let mut title: Vec<char> = name.chars().collect();
        title[0].make_ascii_uppercase();
        let registration = json!({
            "email": email(name),
            "password": PASSWORD,
            "fullName": format!("{} Example", title.into_iter().collect::<String>()),
        });
        let answer = self.anyone().post("/api/auth/register").json(&registration).await;
        let answer = answer.assert_status(201);
        let person = self.person(&answer);
        people.insert(name.to_owned(), person.clone());
        person
    }

    /// The person of a session answer.
    #[must_use]
    pub fn person(&self, session: &Value) -> Person {
        let text = |pointer: &str| session.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let token = text("/session/accessToken");
        Person {
            id: text("/user/id"),
            session_id: text("/session/id"),
            client: self.anyone().with_token(&token),
            refresh_token: text("/session/refreshToken"),
            token,
        }
    }

    /// The same person, speaking to another node.
    #[must_use]
    pub fn at(&self, node: usize, person: &Person) -> Client {
        self.anyone_at(node).with_token(&person.token)
    }

    /// A public room of the first of these people, with all of them in it. Returns its id.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn given_a_room(&self, people: &[&str]) -> String {
        let subject = self.given_a_subject().await;
        let owner = self.as_user(people[0]).await;
        let room = json!({
            "name": "Algebra at night", "description": "", "subjectId": subject,
            "roomType": "public", "maxParticipants": 50,
        });
        let room = owner.post("/api/rooms").json(&room).await.assert_status(201);
        let id = room.text_at("/id");
        for name in &people[1..] {
            let joined = self.as_user(name).await.post(&format!("/api/rooms/{id}/join")).await;
            joined.assert_status(201);
        }
        id
    }

    /// A room of the first of these people that differs from others in this, with all of them in it.
    /// Returns its id.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn given_a_room_like(&self, more: Value, people: &[&str]) -> String {
        let subject = self.given_a_subject().await;
        let owner = self.as_user(people[0]).await;
        let mut room = json!({
            "name": "Algebra at night", "description": "", "subjectId": subject,
            "roomType": "public", "maxParticipants": 50,
        });
        room.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let id = owner.post("/api/rooms").json(&room).await.assert_status(201).text_at("/id");
        if people.len() > 1 {
            let invite = owner.post(&format!("/api/rooms/{id}/invites")).await.assert_status(201);
            let code = json!({"inviteCode": invite.text_at("/code")});
            for name in &people[1..] {
                let person = self.as_user(name).await;
                let joined = person.post(&format!("/api/rooms/{id}/join")).json(&code).await;
                joined.assert_status(201);
            }
        }
        id
    }

    /// The id of a subject, which is recorded when first asked for.
    ///
    /// # Panics
    /// When PostgreSQL is away.
    pub async fn given_a_subject(&self) -> String {
        let id = Subject::id_of(SUBJECT).to_string();
        let store = EventStore::connect(&self.world.config(), &self.world.secrets()).await.unwrap();
        // A conflict says that it is there already.
        append::<Subject>(&store, &id, 0, &[samples::subject(SUBJECT)]).await;
        store.pool().close().await;
        id
    }

    /// A socket of someone's at the first node.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn socket(&self, name: &str) -> Socket {
        self.socket_at(0, name).await
    }

    /// A socket of someone's at a node.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn socket_at(&self, node: usize, name: &str) -> Socket {
        let person = self.as_user(name).await;
        self.connect(node, &json!({"token": person.token, "protocol": 1})).await.unwrap()
    }

    /// A socket of someone's whose packets hardly fit anywhere on their way.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn narrow_socket(&self, name: &str) -> Socket {
        let person = self.as_user(name).await;
        let address = &self.nodes[0].address;
        Socket::connect_narrow(address, &json!({"token": person.token})).await.unwrap()
    }

    /// A socket with any `auth`.
    ///
    /// # Errors
    /// The payload of `CONNECT_ERROR`.
    pub async fn connect(&self, node: usize, auth: &Value) -> Result<Socket, Value> {
        Socket::connect(&self.nodes[node].address, auth).await
    }

    /// A socket of someone's that is in the live room. Returns it with the answer of `join_room`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn socket_in(&self, node: usize, name: &str, room: &str) -> (Socket, Value) {
        let socket = self.socket_at(node, name).await;
        let ack = socket.emit("join_room", json!({"roomId": room})).await;
        assert_eq!(ack["ok"], true, "{ack}");
        (socket, ack["data"].clone())
    }

    /// Runs another command of `studyhall` in this world and requires its success.
    ///
    /// # Panics
    /// When it fails.
    pub async fn cli(&self, arguments: &[&str]) -> String {
        let output = self.try_cli(arguments).await;
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "studyhall {arguments:?}: {}\n{out}{err}", output.status);
        out.into_owned()
    }

    /// Runs another command of `studyhall` in this world.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn try_cli(&self, arguments: &[&str]) -> Output {
        let mut environment = self.world.environment().clone();
        // Short-lived processes say nothing but their answer.
        environment.insert("STUDYHALL_LOG__FILTER".to_owned(), "warn".to_owned());
        let mut command = command(&environment);
        command.args(arguments);
        timeout(LIMIT * 3, command.output()).await.expect("it ends in time").unwrap()
    }

    /// What `studyhall status --json` says.
    ///
    /// # Panics
    /// When it fails.
    pub async fn status(&self) -> Value {
        serde_json::from_str(&self.cli(&["status", "--json"]).await).expect("JSON")
    }

    /// Waits until every read model has everything, and nothing is parked.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn caught_up(&self) {
        let started = Instant::now();
        let status = loop {
            let status = self.status().await;
            let models = status["readModels"].as_array().expect("read models");
            let arrived = models.iter().all(|model| model["lagEvents"] == 0);
            if status["unplaced"] == 0 && !models.is_empty() && arrived {
                break status;
            }
            assert!(started.elapsed() < LIMIT, "the read models do not catch up: {status:#}");
            sleep(PAUSE).await;
        };
        assert_eq!(status["parked"], json!([]), "events are parked");
    }

    /// Waits until `studyhall verify` finds nothing wrong: after a store lost its data, the read
    /// models are on their way back for a while.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn verified(&self) {
        let started = Instant::now();
        loop {
            let output = self.try_cli(&["verify"]).await;
            if output.status.success() {
                return;
            }
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(started.elapsed() < LIMIT * 3, "it does not come back:\n{out}{err}");
            sleep(PAUSE * 4).await;
        }
    }

    /// Kills a node like `kill -9`, and starts it again in the same world.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn kill9_and_restart(&mut self, node: usize) {
        self.nodes[node].kill9().await;
        self.start_again(node).await;
    }

    /// Stops a node cleanly, and starts it again in the same world.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self, node: usize) {
        let status = self.nodes[node].stop().await;
        assert!(status.success(), "a clean stop ends with 0, not {status}");
        self.start_again(node).await;
    }

    /// Starts a node again that has ended; without armed crash points.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self, node: usize) {
        self.check_log(node);
        self.starts[node].environment.remove("FAILPOINTS");
        self.nodes[node] = Node::start(&self.starts[node]).await.expect("the node starts again");
        self.nodes[node].ready().await;
    }

    /// SIGSTOP: a node hangs, its connections and transactions stay open.
    ///
    /// # Panics
    /// When it has ended, or would hold back the other tests' events: PostgreSQL must be the test's own.
    pub async fn freeze(&self, node: usize) {
        assert_ne!(self.world.servers.postgres, Servers::from_environment().postgres);
        self.nodes[node].signal("STOP").await;
    }

    /// SIGCONT: it goes on.
    ///
    /// # Panics
    /// When it has ended.
    pub async fn thaw(&self, node: usize) {
        self.nodes[node].signal("CONT").await;
    }

    /// The end of every test: everything caught up, nothing parked, no errors logged, a clean stop,
    /// and nothing left behind.
    ///
    /// # Panics
    /// When one of these does not hold.
    pub async fn finish(mut self) {
        self.caught_up().await;
        for number in 0..self.nodes.len() {
            let node = &mut self.nodes[number];
            if node.is_running() {
                let status = node.stop().await;
                let log = node.log.lines().join("\n");
                assert!(status.success(), "a clean stop ends with 0, not {status}:\n{log}");
            }
            self.check_log(number);
        }
        self.world.clean().await;
        self.finished = true;
    }

    fn check_log(&self, node: usize) {
        let mut errors = self.nodes[node].log.errors();
        // Transactions of other tests hold this one's events back as well: that is no fault of this node.
        let own = &self.world.database.name;
        let elsewhere = |line: &str| line.contains("holds the log back") && !line.contains(own);
        let allowed = |line: &str| self.allowed_errors.iter().any(|part| line.contains(part));
        errors.retain(|line| !allowed(line) && !elsewhere(line));
        assert!(errors.is_empty(), "node {node} logged errors:\n{}", errors.join("\n"));
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if self.finished || !std::thread::panicking() {
            return;
        }
        for (number, node) in self.nodes.iter().enumerate() {
            let lines = node.log.lines();
            let last = &lines[lines.len().saturating_sub(60)..];
            eprintln!("--- the last lines of node {number}\n{}", last.join("\n"));
        }
    }
}

/// The address of a person.
#[must_use]
pub fn email(name: &str) -> String {
    format!("{name}@people.example")
}
