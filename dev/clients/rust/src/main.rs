//! One conversation over REST and Socket.IO with `rust_socketio`; chat.py and chat.mjs have the
//! same one.
//!
//! Prints what it saw, line by line, the same lines as the others. The first deviation from the
//! contract ends it with exit code 1. `make clients` runs all three and compares the lines.
mod person;

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use person::{LIMIT, Person, text};

fn trace(step: &str, text: &str) {
    println!("{step:<14} {text}");
}

/// A message as it was sent.
struct Said {
    content: String,
    client_message_id: String,
    message_id: Value,
}

/// The room, and how many messages were said in it.
struct Talk {
    room: String,
    count: usize,
}

impl Talk {
    async fn says(&mut self, person: &Person, hearers: &[&Person]) -> Result<Said> {
        self.count += 1;
        let content = format!("message {}", self.count);
        let client_message_id = Uuid::new_v4().to_string();
        let data = person.send(&self.room, &content, &client_message_id).await?;
        ensure!(data["duplicate"] == false, "'{content}' counts as a duplicate");
        for hearer in hearers {
            hearer.hears(self.count, person, &self.room, &content).await?;
        }
        Ok(Said { content, client_message_id, message_id: data["message"]["id"].clone() })
    }
}

async fn converse(url: &str) -> Result<()> {
    let http = reqwest::Client::builder().timeout(LIMIT).build()?;
    let mut ana = Person::register(&http, url, "ana").await?;
    let mut ben = Person::register(&http, url, "ben").await?;
    trace("register", "ana and ben have accounts");

    let mut talk = Talk { room: open_room(&ana, &ben).await?, count: 0 };
    let outcome = async {
        let refusal = ana.refused().await?;
        let why = json!({ "code": "unauthenticated", "retryable": false });
        let right = refusal == json!({ "message": "unauthenticated", "data": why });
        ensure!(right, "a token that is none: another refusal: {refusal}");
        trace("refused", "a token that is none is of no use a second time");
        ana.connect().await?;
        ben.connect().await?;
        trace("connect", "both heard session_ready");
        ana.join_room(&talk.room).await?;
        ben.join_room(&talk.room).await?;
        trace("join_room", "both are in the room");

        talk_to_each_other(&mut talk, &ana, &ben).await?;
        let last = leave_and_resume(&mut talk, &ana, &mut ben).await?;
        let said = retry(&mut talk, &ana, &ben, &last).await?;
        change(&said.message_id, &ana, &ben).await?;
        type_and_leave(&talk.room, &ana, &ben).await
    }
    .await;
    // Only as a courtesy: it may be the lost connection that is reported.
    ana.disconnect().await.ok();
    ben.disconnect().await.ok();
    outcome
}

async fn open_room(ana: &Person, ben: &Person) -> Result<String> {
    let subjects = ana.call(Method::GET, "/api/subjects", 200, None).await?;
    let subject = subjects["data"].get(0).context("there are no subjects")?;
    trace("subjects", "there are subjects to choose from");

    let room = json!({
        "name": "Clients' room",
        "description": "Two clients talk here.",
        "subjectId": subject["id"],
        "roomType": "public",
        "maxParticipants": 10,
    });
    let room = ana.call(Method::POST, "/api/rooms", 201, Some(room)).await?;
    let room = text(&room["id"])?;
    trace("create", "ana opened a public room");
    ben.call(Method::POST, &format!("/api/rooms/{room}/join"), 201, None).await?;
    trace("join", "ben is a member");
    Ok(room.to_owned())
}

async fn talk_to_each_other(talk: &mut Talk, ana: &Person, ben: &Person) -> Result<()> {
    for speaker in [ana, ben, ana, ben, ana] {
        let said = talk.says(speaker, &[ana, ben]).await?;
        trace("send_message", &format!("{}: '{}', heard by both", speaker.name, said.content));
    }
    let events = |person: &Person| -> Vec<Value> {
        person.ears().messages.iter().map(|payload| payload["eventId"].clone()).collect()
    };
    ensure!(events(ana) == events(ben), "the two heard different events");
    let (one, other) = (ana.ears().last_seq, ben.ears().last_seq);
    ensure!(one == other, "the two are at different numbers");
    trace("seq", "the same for both, without a gap");
    Ok(())
}

async fn leave_and_resume(talk: &mut Talk, ana: &Person, ben: &mut Person) -> Result<Said> {
    ben.disconnect().await?;
    trace("disconnect", "ben is away");
    let mut missed = Vec::new();
    for _ in 0..4 {
        missed.push(talk.says(ana, &[ana]).await?);
    }
    trace("send_message", &format!("ana: {} messages", missed.len()));
    ben.connect().await?;
    let last = ben.ears().last_seq;
    let data = ben.ask("join_room", json!({ "roomId": talk.room, "afterSeq": last })).await?;
    let replayed = &data["replayed"];
    ensure!(*replayed == 4, "join_room replayed {replayed} events instead of 4");
    for (place, said) in missed.iter().enumerate() {
        ben.hears(6 + place, ana, &talk.room, &said.content).await?;
    }
    trace("resume", "ben got exactly the 4 missed messages, in order");
    let said = talk.says(ana, &[ana, ben]).await?;
    trace("send_message", &format!("ana: '{}', heard by both", said.content));
    Ok(said)
}

/// Ana says the same once more, and ben something else.
async fn retry(talk: &mut Talk, ana: &Person, ben: &Person, said: &Said) -> Result<Said> {
    let content = &said.content;
    let data = ana.send(&talk.room, content, &said.client_message_id).await?;
    ensure!(data["duplicate"] == true, "the repeated message was not recognised");
    // With the next number: nothing was broadcast in between.
    let next = talk.says(ben, &[ana, ben]).await?;
    let times = |person: &Person| {
        let ears = person.ears();
        let all = ears.heard.iter().filter(|(event, _)| event == "new_message");
        all.filter(|(_, payload)| payload["message"]["content"] == *content).count()
    };
    ensure!(times(ana) + times(ben) == 2, "'{content}' was broadcast again");
    trace("retry", "the repeated message is a duplicate, and nobody heard it twice");
    Ok(next)
}

/// Ben edits his message, ana likes it, and ben deletes it.
async fn change(message_id: &Value, ana: &Person, ben: &Person) -> Result<()> {
    // The answer, and the update as ana and as ben heard it.
    let changes = async |person: &Person, command: &str, mut request: Value, kind: &str| {
        let since = [ana.heard(), ben.heard()];
        request["messageId"] = message_id.clone();
        let answer = person.ask(command, request).await?;
        let is_it = |it: &Value| it["kind"] == kind && it["messageId"] == *message_id;
        let to_ana = ana.wait("message_updated", is_it, since[0]).await?;
        let to_ben = ben.wait("message_updated", is_it, since[1]).await?;
        let same = ["eventId", "seq", "version"].iter().all(|field| to_ana[field] == to_ben[field]);
        ensure!(same, "the two heard different updates after {command}");
        let by = to_ana["actorId"] == person.id;
        ensure!(by, "the update after {command} names another person");
        anyhow::Ok([answer, to_ana, to_ben])
    };

    let edit = json!({ "content": "said better" });
    for told in changes(ben, "edit_message", edit, "edited").await? {
        let message = &told["message"];
        let new = message["content"] == "said better" && message["isEdited"] == true;
        ensure!(new, "edit_message: not the new words");
    }
    trace("edit_message", "ben: 'said better', heard by both");

    let [answer, updates @ ..] =
        changes(ana, "add_reaction", json!({ "emoji": "👍" }), "reactions").await?;
    for reactions in [&answer, &updates[0], &updates[1]].map(|told| &told["reactions"]) {
        let one = &reactions[0];
        let only = one["emoji"] == "👍" && one["count"] == 1 && reactions.get(1).is_none();
        let thumb = only && one["userIds"] == json!([ana.id]);
        ensure!(thumb, "add_reaction: not one thumb of ana: {reactions}");
    }
    for delta in updates.iter().map(|update| &update["delta"]) {
        let thumb = *delta == json!({ "emoji": "👍", "userId": ana.id, "added": true });
        ensure!(thumb, "add_reaction: another change: {delta}");
    }
    trace("add_reaction", "ana: a thumb up, heard by both");

    let [answer, updates @ ..] = changes(ben, "delete_message", json!({}), "deleted").await?;
    for update in &updates {
        let message = &update["message"];
        let empty = message["isDeleted"] == true && message["content"] == "";
        ensure!(empty, "delete_message: words are left");
        ensure!(update["seq"] == answer["seq"], "delete_message: the answer has another number");
    }
    trace("delete_message", "ben: a tombstone, heard by both");
    let (one, other) = (ana.ears().last_seq, ben.ears().last_seq);
    let same = one.is_some() && one == other && one == answer["seq"].as_i64();
    ensure!(same, "the two are at different numbers");
    trace("seq", "the same for both, without a gap");
    Ok(())
}

async fn type_and_leave(room: &str, ana: &Person, ben: &Person) -> Result<()> {
    let already = ben.heard();
    ana.emit("typing", json!({ "roomId": room, "isTyping": true })).await?;
    let of_ana = |payload: &Value| payload["userId"] == ana.id;
    let typing = |payload: &Value| of_ana(payload) && payload["isTyping"] == true;
    ben.wait("user_typing", typing, already).await?;
    trace("typing", "ben sees ana typing");

    let already = ana.heard();
    ben.ask("leave_room", json!({ "roomId": room })).await?;
    ana.wait("user_left", |payload| payload["user"]["id"] == ben.id, already).await?;
    let own_typing =
        ana.ears().heard.iter().any(|(event, payload)| event == "user_typing" && of_ana(payload));
    ensure!(!own_typing, "ana heard herself typing");
    trace("leave_room", "ana heard ben leave");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let url = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => "http://127.0.0.1:8080",
        ["--url", url] => url.trim_end_matches('/'),
        _ => {
            eprintln!("usage: chat [--url URL]");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = converse(url).await {
        trace("FAILED", &format!("{error:#}"));
        return ExitCode::FAILURE;
    }
    trace("passed", "all as agreed");
    ExitCode::SUCCESS
}
