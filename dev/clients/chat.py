#!/usr/bin/env python3
"""One conversation over REST and Socket.IO with the official Python client; chat.mjs and rust/ have the same one.

Prints what it saw, line by line, the same lines as the others. The first deviation from the contract ends
it with exit code 1. `make clients` runs all three and compares the lines.
"""

import argparse
import asyncio
import secrets
import sys
import uuid

import aiohttp
import socketio

LIMIT = 10  # seconds for any single answer
DURABLE = (
    "new_message",
    "message_updated",
    "user_joined",
    "user_left",
    "room_updated",
    "member_removed",
    "member_role_changed",
)


class Deviation(Exception):
    """The server did something other than the contract says."""


def expect(condition, text):
    if not condition:
        raise Deviation(text)


def trace(step, text):
    print(f"{step:<14} {text}", flush=True)


class Person:
    """An account, its REST calls, one socket at a time, and all that the socket heard."""

    def __init__(self, http, url, name):
        self.http, self.url, self.name = http, url, name
        self.id = self.token = self.socket = None
        self.heard = []  # (event, payload) of every connection, in order of arrival
        self.news = asyncio.Event()
        self.last_seq = None  # of the room's durable events; None until the room was joined
        self.messages = []  # new_message payloads accepted by the rule of `seq`
        self.deviation = None  # found while hearing, raised where somebody waits

    async def call(self, method, path, status, body=None):
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.http.request(method, self.url + path, json=body, headers=headers) as answer:
            text = await answer.text()
            expect(answer.status == status, f"{method} {path} answered {answer.status} instead of {status}: {text}")
            return await answer.json()

    async def register(self):
        unique = secrets.token_hex(5)
        answer = await self.call(
            "POST",
            "/api/auth/register",
            201,
            {
                "email": f"{self.name}.{unique}@example.org",
                "password": secrets.token_urlsafe(18),
                "fullName": f"{self.name.capitalize()} Example",
                "username": f"{self.name}_{unique}",
            },
        )
        expect(answer["status"] == "authenticated", f"register: status is {answer['status']}")
        self.id, self.token = answer["user"]["id"], answer["session"]["accessToken"]

    async def connect(self):
        self.socket = socketio.AsyncClient(reconnection=False)
        self.socket.on("*", self.hear)
        already = len(self.heard)
        auth = {"token": self.token, "protocol": 1, "deviceId": str(uuid.uuid4())}
        await self.socket.connect(self.url, socketio_path="/socket.io/", auth=auth, wait_timeout=LIMIT)
        ready = await self.wait("session_ready", lambda payload: True, already)
        expect(ready["userId"] == self.id, f"session_ready names {ready['userId']}, not {self.name}")

    async def refused(self):
        """Tries to connect with a token that is none; returns the refusal."""
        socket, refusals = socketio.AsyncClient(reconnection=False), []
        socket.on("connect_error", refusals.append)
        auth = {"token": "none", "protocol": 1}
        try:
            await socket.connect(self.url, socketio_path="/socket.io/", auth=auth, wait_timeout=LIMIT)
        except socketio.exceptions.ConnectionError:
            expect(len(refusals) == 1, f"not one refusal: {refusals}")
            return refusals[0]
        finally:
            await socket.disconnect()
        raise Deviation("a token that is none was accepted")

    async def disconnect(self):
        if self.socket:
            await self.socket.disconnect()

    async def hear(self, event, payload=None):
        self.heard.append((event, payload))
        try:
            if self.last_seq is not None:
                self.apply(event, payload)
        except Deviation as deviation:
            self.deviation = self.deviation or deviation
        self.news.set()

    def apply(self, event, payload):
        """The client's rule: the next number is applied, an earlier one dropped, a later one is a gap."""
        if event not in DURABLE or payload.get("seq") is None or payload["seq"] <= self.last_seq:
            return
        expect(
            payload["seq"] == self.last_seq + 1,
            f"{self.name} heard {event} with seq {payload['seq']} after {self.last_seq}",
        )
        self.last_seq = payload["seq"]
        if event == "new_message":
            self.messages.append(payload)

    async def until(self, look, what):
        """Waits until `look()` finds something, and returns that."""

        async def found():
            while True:
                if self.deviation:
                    raise self.deviation
                result = look()
                if result is not None:
                    return result
                self.news.clear()
                await self.news.wait()

        try:
            return await asyncio.wait_for(found(), LIMIT)
        except asyncio.TimeoutError:
            raise Deviation(f"{self.name} did not hear {what} within {LIMIT} s") from None

    async def wait(self, event, matches, since=0):
        """The first such event heard after the first `since` ones."""

        def look():
            return next((payload for name, payload in self.heard[since:] if name == event and matches(payload)), None)

        return await self.until(look, event)

    async def ask(self, event, payload):
        """Emits and returns the acknowledgement's data."""
        try:
            ack = await self.socket.call(event, payload, timeout=LIMIT)
        except socketio.exceptions.TimeoutError:
            raise Deviation(f"{event} of {self.name} was not acknowledged within {LIMIT} s") from None
        expect(isinstance(ack, dict) and ack.get("ok") is True, f"{event} of {self.name} was refused: {ack}")
        return ack["data"]

    async def join_room(self, room):
        data = await self.ask("join_room", {"roomId": room})
        # What arrived before this answer counts from the number it names.
        self.last_seq = data["lastSeq"]
        for event, payload in self.heard:
            self.apply(event, payload)

    async def send(self, room, content, client_message_id=None):
        client_message_id = client_message_id or str(uuid.uuid4())
        data = await self.ask(
            "send_message", {"roomId": room, "clientMessageId": client_message_id, "content": content}
        )
        expect(data["message"]["content"] == content, f"send_message of {self.name}: the answer has another content")
        return data, client_message_id

    async def hears(self, count, sender, room, content):
        """Checks the `count`th message heard; waits for it."""
        payload = await self.until(
            lambda: self.messages[count - 1] if len(self.messages) >= count else None, f"'{content}'"
        )
        message = payload["message"]
        expect(message["content"] == content, f"{self.name} heard '{message['content']}' instead of '{content}'")
        expect(payload["roomId"] == room and message["roomId"] == room, f"'{content}' names another room")
        expect(
            payload["actorId"] == sender.id and message["senderId"] == sender.id, f"'{content}' names another sender"
        )
        expect(message["seq"] == payload["seq"], f"'{content}' has two numbers")
        expect(payload["eventId"] and payload["occurredAt"].endswith("Z"), f"'{content}' has no complete envelope")


async def scenario(url, http):
    ana, ben = Person(http, url, "ana"), Person(http, url, "ben")
    try:
        await converse(ana, ben)
    finally:
        for person in (ana, ben):
            await person.disconnect()


async def converse(ana, ben):
    await ana.register()
    await ben.register()
    trace("register", "ana and ben have accounts")

    subjects = (await ana.call("GET", "/api/subjects", 200))["data"]
    expect(subjects, "there are no subjects")
    trace("subjects", "there are subjects to choose from")

    room = (
        await ana.call(
            "POST",
            "/api/rooms",
            201,
            {
                "name": "Clients' room",
                "description": "Two clients talk here.",
                "subjectId": subjects[0]["id"],
                "roomType": "public",
                "maxParticipants": 10,
            },
        )
    )["id"]
    trace("create", "ana opened a public room")
    await ben.call("POST", f"/api/rooms/{room}/join", 201)
    trace("join", "ben is a member")

    refusal = await ana.refused()
    why = {"code": "unauthenticated", "retryable": False}
    expect(
        refusal == {"message": "unauthenticated", "data": why}, f"a token that is none: another refusal: {refusal}"
    )
    trace("refused", "a token that is none is of no use a second time")
    await ana.connect()
    await ben.connect()
    trace("connect", "both heard session_ready")
    await ana.join_room(room)
    await ben.join_room(room)
    trace("join_room", "both are in the room")

    count = 0

    async def says(person, hearers):
        nonlocal count
        count += 1
        content = f"message {count}"
        data, client_message_id = await person.send(room, content)
        expect(data["duplicate"] is False, f"'{content}' counts as a duplicate")
        for hearer in hearers:
            await hearer.hears(count, person, room, content)
        return content, client_message_id, data["message"]["id"]

    for speaker in (ana, ben, ana, ben, ana):
        content, *_ = await says(speaker, (ana, ben))
        trace("send_message", f"{speaker.name}: '{content}', heard by both")
    expect(
        [m["eventId"] for m in ana.messages] == [m["eventId"] for m in ben.messages], "the two heard different events"
    )
    expect(ana.last_seq == ben.last_seq, "the two are at different numbers")
    trace("seq", "the same for both, without a gap")

    await ben.disconnect()
    trace("disconnect", "ben is away")
    missed = [(await says(ana, (ana,)))[0] for _ in range(4)]
    trace("send_message", f"ana: {len(missed)} messages")
    await ben.connect()
    data = await ben.ask("join_room", {"roomId": room, "afterSeq": ben.last_seq})
    expect(data["replayed"] == 4, f"join_room replayed {data['replayed']} events instead of 4")
    for place, content in enumerate(missed, start=6):
        await ben.hears(place, ana, room, content)
    trace("resume", "ben got exactly the 4 missed messages, in order")
    content, client_message_id, _ = await says(ana, (ana, ben))
    trace("send_message", f"ana: '{content}', heard by both")

    data, _ = await ana.send(room, content, client_message_id)
    expect(data["duplicate"] is True, "the repeated message was not recognised")
    *_, message_id = await says(ben, (ana, ben))  # with the next number: nothing was broadcast in between
    heard = [p for p in ana.heard + ben.heard if p[0] == "new_message" and p[1]["message"]["content"] == content]
    expect(len(heard) == 2, f"'{content}' was broadcast again")
    trace("retry", "the repeated message is a duplicate, and nobody heard it twice")

    async def changes(person, command, request, kind):
        """Emits, and returns the answer and the update that both heard."""
        since = {one: len(one.heard) for one in (ana, ben)}
        answer = await person.ask(command, {"messageId": message_id, **request})

        def is_it(payload):
            return payload["kind"] == kind and payload["messageId"] == message_id

        updates = [await one.wait("message_updated", is_it, since[one]) for one in (ana, ben)]
        same = all(updates[0][field] == updates[1][field] for field in ("eventId", "seq", "version"))
        expect(same, f"the two heard different updates after {command}")
        expect(updates[0]["actorId"] == person.id, f"the update after {command} names another person")
        return answer, updates

    answer, updates = await changes(ben, "edit_message", {"content": "said better"}, "edited")
    for message in (answer["message"], *(update["message"] for update in updates)):
        expect(message["content"] == "said better" and message["isEdited"], "edit_message: not the new words")
    trace("edit_message", "ben: 'said better', heard by both")

    answer, updates = await changes(ana, "add_reaction", {"emoji": "👍"}, "reactions")
    for reactions in (answer["reactions"], *(update["reactions"] for update in updates)):
        expect(
            [(one["emoji"], one["count"], one["userIds"]) for one in reactions] == [("👍", 1, [ana.id])],
            f"add_reaction: not one thumb of ana: {reactions}",
        )
    for update in updates:
        expect(
            update["delta"] == {"emoji": "👍", "userId": ana.id, "added": True},
            f"add_reaction: another change: {update['delta']}",
        )
    trace("add_reaction", "ana: a thumb up, heard by both")

    answer, updates = await changes(ben, "delete_message", {}, "deleted")
    for update in updates:
        expect(update["message"]["isDeleted"] and update["message"]["content"] == "", "delete_message: words are left")
        expect(update["seq"] == answer["seq"], "delete_message: the answer has another number")
    trace("delete_message", "ben: a tombstone, heard by both")
    expect(ana.last_seq == ben.last_seq == answer["seq"], "the two are at different numbers")
    trace("seq", "the same for both, without a gap")

    already = len(ben.heard)
    await ana.socket.emit("typing", {"roomId": room, "isTyping": True})
    await ben.wait("user_typing", lambda payload: payload["userId"] == ana.id and payload["isTyping"] is True, already)
    trace("typing", "ben sees ana typing")

    already = len(ana.heard)
    await ben.ask("leave_room", {"roomId": room})
    await ana.wait("user_left", lambda payload: payload["user"]["id"] == ben.id, already)
    expect(
        not any(event == "user_typing" and payload["userId"] == ana.id for event, payload in ana.heard),
        "ana heard herself typing",
    )
    trace("leave_room", "ana heard ben leave")


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    url = parser.parse_args().url.rstrip("/")
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LIMIT)) as http:
            await scenario(url, http)
    except (
        Deviation,
        KeyError,
        TypeError,
        OSError,
        aiohttp.ClientError,
        asyncio.TimeoutError,
        socketio.exceptions.SocketIOError,
    ) as error:
        trace("FAILED", f"{type(error).__name__}: {error}")
        return 1
    trace("passed", "all as agreed")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
