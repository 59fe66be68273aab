#!/usr/bin/env node
// One conversation over REST and Socket.IO with the official JavaScript client; chat.py and rust/ have the same one.
//
// Prints what it saw, line by line, the same lines as the others. The first deviation from the contract ends
// it with exit code 1. `make clients` runs all three and compares the lines.

import { randomBytes, randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import { io } from "socket.io-client";

const LIMIT = 10_000; // milliseconds for any single answer
const DURABLE = new Set(
  ["new_message", "message_updated", "user_joined", "user_left", "room_updated", "member_removed", "member_role_changed"],
);

/** The server did something other than the contract says. */
class Deviation extends Error {
  name = "Deviation";
}

function expect(condition, text) {
  if (!condition) throw new Deviation(text);
}

function trace(step, text) {
  console.log(`${step.padEnd(14)} ${text}`);
}

/** An account, its REST calls, one socket at a time, and all that the socket heard. */
class Person {
  heard = []; // { event, payload } of every connection, in order of arrival
  lastSeq = null; // of the room's durable events; null until the room was joined
  messages = []; // new_message payloads accepted by the rule of `seq`
  deviation = null; // found while hearing, thrown where somebody waits
  watchers = new Set();

  constructor(url, name) {
    this.url = url;
    this.name = name;
  }

  async call(method, path, status, body) {
    const answer = await fetch(this.url + path, {
      method,
      headers: {
        ...(this.token && { authorization: `Bearer ${this.token}` }),
        ...(body && { "content-type": "application/json" }),
      },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(LIMIT),
    });
    const text = await answer.text();
    expect(answer.status === status, `${method} ${path} answered ${answer.status} instead of ${status}: ${text}`);
    return JSON.parse(text);
  }

  async register() {
    const unique = randomBytes(5).toString("hex");
    const answer = await this.call("POST", "/api/auth/register", 201, {
      email: `${this.name}.${unique}@example.org`,
      password: randomBytes(18).toString("base64url"),
      fullName: `${this.name[0].toUpperCase()}${this.name.slice(1)} Example`,
      username: `${this.name}_${unique}`,
    });
    expect(answer.status === "authenticated", `register: status is ${answer.status}`);
    this.id = answer.user.id;
    this.token = answer.session.accessToken;
  }

  async connect() {
    const already = this.heard.length;
    const auth = { token: this.token, protocol: 1, deviceId: randomUUID() };
    this.socket = io(this.url, { path: "/socket.io/", auth, reconnection: false, forceNew: true, timeout: LIMIT });
    this.socket.onAny((event, payload) => this.hear(event, payload));
    this.socket.on("connect_error", (error) => {
      this.deviation ??= new Deviation(`connecting ${this.name} failed: ${error.message}`);
      this.notify();
    });
    const ready = await this.wait("session_ready", () => true, already);
    expect(ready.userId === this.id, `session_ready names ${ready.userId}, not ${this.name}`);
  }

  /** Tries to connect with a token that is none; returns the refusal. */
  refused() {
    return new Promise((resolve, reject) => {
      const auth = { token: "none", protocol: 1 };
      const socket = io(this.url, { path: "/socket.io/", auth, reconnection: false, forceNew: true, timeout: LIMIT });
      const finish = (settle, value) => {
        clearTimeout(timer);
        socket.disconnect();
        settle(value);
      };
      const timer = setTimeout(() => finish(reject, new Deviation("no refusal came")), LIMIT);
      socket.on("connect_error", ({ message, data }) => finish(resolve, { message, data }));
      socket.on("connect", () => finish(reject, new Deviation("a token that is none was accepted")));
    });
  }

  disconnect() {
    this.socket?.disconnect();
  }

  hear(event, payload) {
    this.heard.push({ event, payload });
    try {
      if (this.lastSeq !== null) this.apply(event, payload);
    } catch (error) {
      this.deviation ??= error;
    }
    this.notify();
  }

  notify() {
    for (const watcher of [...this.watchers]) watcher();
  }

  /** The client's rule: the next number is applied, an earlier one dropped, a later one is a gap. */
  apply(event, payload) {
    if (!DURABLE.has(event) || payload.seq == null || payload.seq <= this.lastSeq) return;
    expect(payload.seq === this.lastSeq + 1, `${this.name} heard ${event} with seq ${payload.seq} after ${this.lastSeq}`);
    this.lastSeq = payload.seq;
    if (event === "new_message") this.messages.push(payload);
  }

  /** Waits until `look()` finds something, and returns that. */
  until(look, what) {
    return new Promise((resolve, reject) => {
      const finish = (settle, value) => {
        clearTimeout(timer);
        this.watchers.delete(watcher);
        settle(value);
      };
      const watcher = () => {
        if (this.deviation) return finish(reject, this.deviation);
        const result = look();
        if (result !== undefined) finish(resolve, result);
      };
      const timer = setTimeout(() => {
        finish(reject, new Deviation(`${this.name} did not hear ${what} within ${LIMIT / 1000} s`));
      }, LIMIT);
      this.watchers.add(watcher);
      watcher();
    });
  }

  /** The first such event heard after the first `since` ones. */
  wait(event, matches, since = 0) {
    return this.until(
      () => this.heard.slice(since).find((one) => one.event === event && matches(one.payload))?.payload,
      event,
    );
  }

  /** Emits and returns the acknowledgement's data. */
  async ask(event, payload) {
    let ack;
    try {
      ack = await this.socket.timeout(LIMIT).emitWithAck(event, payload);
    } catch {
      throw new Deviation(`${event} of ${this.name} was not acknowledged within ${LIMIT / 1000} s`);
    }
    expect(ack?.ok === true, `${event} of ${this.name} was refused: ${JSON.stringify(ack)}`);
    return ack.data;
  }

  async joinRoom(room) {
    const data = await this.ask("join_room", { roomId: room });
    // What arrived before this answer counts from the number it names.
    this.lastSeq = data.lastSeq;
    for (const { event, payload } of this.heard) this.apply(event, payload);
  }

  async send(room, content, clientMessageId = randomUUID()) {
    const data = await this.ask("send_message", { roomId: room, clientMessageId, content });
    expect(data.message.content === content, `send_message of ${this.name}: the answer has another content`);
    return { data, clientMessageId };
  }

  /** Checks the `count`th message heard; waits for it. */
  async hears(count, sender, room, content) {
    const payload = await this.until(() => this.messages[count - 1], `'${content}'`);
    const { message } = payload;
    expect(message.content === content, `${this.name} heard '${message.content}' instead of '${content}'`);
    expect(payload.roomId === room && message.roomId === room, `'${content}' names another room`);
    expect(payload.actorId === sender.id && message.senderId === sender.id, `'${content}' names another sender`);
    expect(message.seq === payload.seq, `'${content}' has two numbers`);
    expect(payload.eventId && payload.occurredAt.endsWith("Z"), `'${content}' has no complete envelope`);
  }
}

async function converse(ana, ben) {
  await ana.register();
  await ben.register();
  trace("register", "ana and ben have accounts");

  const { data: subjects } = await ana.call("GET", "/api/subjects", 200);
  expect(subjects.length > 0, "there are no subjects");
  trace("subjects", "there are subjects to choose from");

  const { id: room } = await ana.call("POST", "/api/rooms", 201, {
    name: "Clients' room",
    description: "Two clients talk here.",
    subjectId: subjects[0].id,
    roomType: "public",
    maxParticipants: 10,
  });
  trace("create", "ana opened a public room");
  await ben.call("POST", `/api/rooms/${room}/join`, 201);
  trace("join", "ben is a member");

  const { message, data: why } = await ana.refused();
  expect(
    message === "unauthenticated" && why?.code === message && why.retryable === false,
    `a token that is none: another refusal: ${JSON.stringify({ message, data: why })}`,
  );
  trace("refused", "a token that is none is of no use a second time");
  await ana.connect();
  await ben.connect();
  trace("connect", "both heard session_ready");
  await ana.joinRoom(room);
  await ben.joinRoom(room);
  trace("join_room", "both are in the room");

  let count = 0;
  const says = async (person, hearers) => {
    count += 1;
    const content = `message ${count}`;
    const { data, clientMessageId } = await person.send(room, content);
    expect(data.duplicate === false, `'${content}' counts as a duplicate`);
    for (const hearer of hearers) await hearer.hears(count, person, room, content);
    return { content, clientMessageId, messageId: data.message.id };
  };

  for (const speaker of [ana, ben, ana, ben, ana]) {
    const { content } = await says(speaker, [ana, ben]);
    trace("send_message", `${speaker.name}: '${content}', heard by both`);
  }
  const events = (person) => person.messages.map((payload) => payload.eventId).join();
  expect(events(ana) === events(ben), "the two heard different events");
  expect(ana.lastSeq === ben.lastSeq, "the two are at different numbers");
  trace("seq", "the same for both, without a gap");

  ben.disconnect();
  trace("disconnect", "ben is away");
  const missed = [];
  for (let n = 0; n < 4; n += 1) missed.push((await says(ana, [ana])).content);
  trace("send_message", `ana: ${missed.length} messages`);
  await ben.connect();
  const { replayed } = await ben.ask("join_room", { roomId: room, afterSeq: ben.lastSeq });
  expect(replayed === 4, `join_room replayed ${replayed} events instead of 4`);
  for (const [place, content] of missed.entries()) await ben.hears(6 + place, ana, room, content);
  trace("resume", "ben got exactly the 4 missed messages, in order");
  const { content, clientMessageId } = await says(ana, [ana, ben]);
  trace("send_message", `ana: '${content}', heard by both`);

  const { data } = await ana.send(room, content, clientMessageId);
  expect(data.duplicate === true, "the repeated message was not recognised");
  const { messageId } = await says(ben, [ana, ben]); // with the next number: nothing was broadcast in between
  const heard = [...ana.heard, ...ben.heard].filter(
    ({ event, payload }) => event === "new_message" && payload.message.content === content,
  );
  expect(heard.length === 2, `'${content}' was broadcast again`);
  trace("retry", "the repeated message is a duplicate, and nobody heard it twice");

  /** Emits, and returns the answer and the update that both heard. */
  const changes = async (person, command, request, kind) => {
    const since = [ana.heard.length, ben.heard.length];
    const answer = await person.ask(command, { messageId, ...request });
    const isIt = (payload) => payload.kind === kind && payload.messageId === messageId;
    const updates = [];
    for (const [place, one] of [ana, ben].entries()) {
      updates.push(await one.wait("message_updated", isIt, since[place]));
    }
    const same = ["eventId", "seq", "version"].every((field) => updates[0][field] === updates[1][field]);
    expect(same, `the two heard different updates after ${command}`);
    expect(updates[0].actorId === person.id, `the update after ${command} names another person`);
    return { answer, updates };
  };

  const edited = await changes(ben, "edit_message", { content: "said better" }, "edited");
  for (const { message } of [edited.answer, ...edited.updates]) {
    expect(message.content === "said better" && message.isEdited, "edit_message: not the new words");
  }
  trace("edit_message", "ben: 'said better', heard by both");

  const liked = await changes(ana, "add_reaction", { emoji: "👍" }, "reactions");
  for (const { reactions } of [liked.answer, ...liked.updates]) {
    const [one, ...others] = reactions;
    expect(
      one?.emoji === "👍" && one.count === 1 && one.userIds.join() === ana.id && others.length === 0,
      `add_reaction: not one thumb of ana: ${JSON.stringify(reactions)}`,
    );
  }
  for (const { delta } of liked.updates) {
    expect(
      delta.emoji === "👍" && delta.userId === ana.id && delta.added === true,
      `add_reaction: another change: ${JSON.stringify(delta)}`,
    );
  }
  trace("add_reaction", "ana: a thumb up, heard by both");

  const deleted = await changes(ben, "delete_message", {}, "deleted");
  for (const { message, seq } of deleted.updates) {
    expect(message.isDeleted && message.content === "", "delete_message: words are left");
    expect(seq === deleted.answer.seq, "delete_message: the answer has another number");
  }
  trace("delete_message", "ben: a tombstone, heard by both");
  expect(ana.lastSeq === ben.lastSeq && ana.lastSeq === deleted.answer.seq, "the two are at different numbers");
  trace("seq", "the same for both, without a gap");

  let already = ben.heard.length;
  ana.socket.emit("typing", { roomId: room, isTyping: true });
  await ben.wait("user_typing", (payload) => payload.userId === ana.id && payload.isTyping === true, already);
  trace("typing", "ben sees ana typing");

  already = ana.heard.length;
  await ben.ask("leave_room", { roomId: room });
  await ana.wait("user_left", (payload) => payload.user.id === ben.id, already);
  const ownTyping = ana.heard.some(({ event, payload }) => event === "user_typing" && payload.userId === ana.id);
  expect(!ownTyping, "ana heard herself typing");
  trace("leave_room", "ana heard ben leave");
}

const { values } = parseArgs({ options: { url: { type: "string", default: "http://127.0.0.1:8080" } } });
const url = values.url.replace(/\/+$/, "");
const [ana, ben] = [new Person(url, "ana"), new Person(url, "ben")];
try {
  await converse(ana, ben);
  trace("passed", "all as agreed");
} catch (error) {
  trace("FAILED", `${error.name}: ${error.message}`);
  process.exitCode = 1;
} finally {
  ana.disconnect();
  ben.disconnect();
}
