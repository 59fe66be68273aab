"""`make run`: the servers with data that stays, the secrets, the executable, the demo, and the way down."""

import base64
import json
import os
import secrets
import subprocess
import urllib.request

from .common import ROOT, Failure, cargo_environment, locked, say, write_private
from .process import Process, Stopped, run_to_end
from .stack import Stack, remove

READY_LIMIT = 120


def run(data):
    """Serves until a signal comes. Returns 0 after a clean stop."""
    with locked(data / "lock", busy=f"already running on {data}: stop that one first"):
        stack = Stack(data, keep=True)
        stack.install()
        program = build()
        serve = None
        try:
            stack.start()
            environment = {**os.environ, **secret_keys(data), **stack.application_environment()}
            # Nobody sends text messages from here: codes are read in the log, and among the e-mails.
            environment.setdefault("STUDYHALL_PHONE__LOG_CODES", "true")
            # Who tries it out opens a room at once, without reading their mail first.
            environment.setdefault("STUDYHALL_ROOMS__REQUIRE_VERIFIED_EMAIL", "false")
            one_shot(program, "migrate", environment)
            logins = demo_logins(one_shot(program, "seed", environment))
            serve = Process("serve", [program, "serve"], stack.pids, environment=environment, cwd=ROOT)
            address = address_of(environment)
            serve.await_ready(lambda: answers(f"{address}/health/ready"), READY_LIMIT)
            announce(address, logins, stack.mails())
            code = serve.popen.wait()
            raise Failure(f"studyhall serve ended by itself with {code}")
        except Stopped:
            say("stopping")
            code, serve = (serve.stop() if serve else 0), None
            if code != 0:
                raise Failure(f"studyhall serve ended with {code} instead of 0") from None
            return 0
        finally:
            if serve:
                serve.stop()
            stack.stop()
            say("all stopped")


def build():
    """Builds the executable and returns its path."""
    profile = os.environ.get("STUDYHALL_PROFILE", "release")
    if profile not in ("release", "debug"):
        raise Failure(f"STUDYHALL_PROFILE is {profile!r}: release or debug")
    say(f"building ({profile}); the first time this takes a while")
    environment = cargo_environment()
    flags = ["--release"] if profile == "release" else []
    if run_to_end(["cargo", "build", "-p", "cli", *flags], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL) != 0:
        raise Failure("cargo build failed")
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    shown = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    return f"{json.loads(shown.stdout)['target_directory']}/{profile}/studyhall"


def secret_keys(data):
    """The keys of this installation, made on the first start. What is set outside wins."""
    file = data / "secrets.env"
    if not file.exists():

        def random_key():
            return base64.b64encode(secrets.token_bytes(32)).decode()

        write_private(
            file, f"STUDYHALL_SECURITY__MASTER_KEY={random_key()}\nSTUDYHALL_SECURITY__JWT_KEYS=k1:{random_key()}\n"
        )
    lines = file.read_text(encoding="utf-8").splitlines()
    keys = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {name: os.environ.get(name, value) for name, value in keys.items()}


def one_shot(program, verb, environment):
    """Runs `studyhall migrate` and the like to the end and returns what it printed."""
    say(f"studyhall {verb}")
    done = subprocess.run(
        [program, verb], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    if done.returncode != 0:
        print(done.stdout, end="", flush=True)
        raise Failure(f"studyhall {verb} ended with {done.returncode}")
    return done.stdout


def demo_logins(printed):
    return [line.strip() for line in printed.splitlines() if line.strip().startswith("demo login: ")]


def address_of(environment):
    """The address at which this machine reaches what `STUDYHALL_SERVER__BIND` names."""
    host, _, port = environment.get("STUDYHALL_SERVER__BIND", "127.0.0.1:8080").rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    return f"http://{host}:{port}"


def answers(url):
    # Without the proxies of the environment: it is this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:  # also every HTTP status from 400 on
        return False


def announce(address, logins, mails):
    print(f"\nStudyhall is ready at {address}")
    for line in logins:
        print(f"  {line}")
    if mails:
        print(f"  e-mails go to {mails / 'new'}, and nowhere else")
    print("Ctrl-C stops it. The data stays in the data folder for the next start.\n", flush=True)


def clean(data):
    """Deletes what `run` keeps, and what was installed inside the clone."""
    with locked(data / "lock", busy=f"running on {data}: stop that first"):
        remove(data)
    return 0
