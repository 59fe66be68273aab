#!/usr/bin/env python3
"""The smoke test: `make run` from an empty data folder, a login, a clean stop, and all of it once more.

Runs the very command behind `make run`, on a temporary data folder, free ports and the debug build.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from studyhall_dev.common import ROOT, free_port
from studyhall_dev.process import Stopped, command_line, raise_on_signals
from studyhall_dev.services import ALL
from studyhall_dev.stack import OUTSIDE

# Holds for what happens after the build; the build itself may take its time.
LIMIT = 180
BUILD_LIMIT = 3600


class Server:
    """`make run`, and the lines it prints."""

    def __init__(self, data, environment):
        self.data, self.output = data, data / "smoke.out"
        with open(self.output, "wb") as output:
            self.popen = subprocess.Popen(
                [sys.executable, ROOT / "dev" / "stack.py", "run", "--data", data],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def printed(self):
        return self.output.read_text(encoding="utf-8", errors="replace")

    def await_ready(self):
        """The address and one demo login (e-mail, password)."""
        deadline = time.monotonic() + BUILD_LIMIT
        built = False
        while True:
            text = self.printed()
            address = re.search(r"Studyhall is ready at (\S+)\n(?:.*\n)*Ctrl-C", text)
            if address:
                login = re.search(r"demo login: (\S+) (\S+)", text)
                assert login, "no demo login was printed"
                return address.group(1), login.groups()
            if not built and "[stack] studyhall migrate" in text:
                built, deadline = True, time.monotonic() + LIMIT
            assert self.popen.poll() is None, f"make run ended with {self.popen.returncode} before it was ready"
            assert time.monotonic() < deadline, "make run is not ready in time"
            time.sleep(0.1)

    def stop(self):
        """SIGINT, as Ctrl-C sends it; then the exit code is 0 and none of its processes is left."""
        notes = [json.loads(note.read_text(encoding="utf-8")) for note in (self.data / "pids").glob("*.json")]
        assert len(notes) >= 6, f"five servers and serve should be running, not {len(notes)} processes"
        self.popen.send_signal(signal.SIGINT)
        code = self.popen.wait(LIMIT)
        assert code == 0, f"make run ended with {code} after SIGINT"
        left = [command for note in notes if (command := command_line(note["pid"]))]
        assert not left, f"still running after the stop: {left}"

    def abandon(self):
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(60)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


def call(url, token=None, body=None):
    headers = {"Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, data=data, headers=headers), timeout=30) as answer:
        return json.load(answer)


def log_in_and_look_around(address, email, password):
    session = call(f"{address}/api/auth/login", body={"email": email, "password": password})
    token = session["session"]["accessToken"]
    rooms = call(f"{address}/api/rooms", token=token)
    assert isinstance(rooms["data"], list), f"no page of rooms: {rooms}"


def smoke(data):
    # Servers that a developer configured for themselves are not for this demo data.
    environment = {name: value for name, value in os.environ.items() if name not in OUTSIDE.values()}
    environment["STUDYHALL_PROFILE"] = "debug"
    environment["STUDYHALL_SERVER__BIND"] = f"127.0.0.1:{free_port()}"
    environment["STUDYHALL_SERVER__INTERNAL_BIND"] = f"127.0.0.1:{free_port()}"
    # Ports of its own from the start: a `make run` beside it may be about to take the usual ones.
    ports = {kind.name: free_port() for kind in ALL}
    (data / "ports.json").write_text(json.dumps(ports), encoding="utf-8")
    login = None
    for start in ("first", "second"):
        server = Server(data, environment)
        try:
            address, printed = server.await_ready()
            # The first login must still hold on the data that the second start finds.
            login = login or printed
            log_in_and_look_around(address, *login)
            server.stop()
            print(f"smoke: {start} start, login and clean stop are fine", flush=True)
        except BaseException:
            server.abandon()
            print(server.printed(), file=sys.stderr)
            raise


def main():
    raise_on_signals()
    data = Path(tempfile.mkdtemp(prefix="studyhall-smoke-"))
    data.chmod(0o711)
    try:
        smoke(data)
    except (AssertionError, OSError, KeyError, ValueError, subprocess.TimeoutExpired) as error:
        print(f"smoke failed: {type(error).__name__}: {error}\nsmoke: 0 passed, 1 failed", flush=True)
        return 1
    except Stopped as stopped:
        return 128 + stopped.signum
    finally:
        shutil.rmtree(data, ignore_errors=True)
    print("smoke: 1 passed, 0 failed", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
