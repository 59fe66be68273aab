"""Places and small helpers that every part of the development set uses."""

import contextlib
import fcntl
import os
import random
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / ".local"


class Failure(Exception):
    """Something the person at the keyboard must know: said in one sentence, without a trace."""


def say(text):
    print(f"[stack] {text}", file=sys.stderr, flush=True)


def outside_cache():
    """The cache folder that outlives a clone, whether or not this clone keeps its things there."""
    configured = os.environ.get("STUDYHALL_CACHE")
    if configured:
        return Path(configured).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "studyhall"


def cache():
    """Where downloads go: outside the clone when that was asked for and in CI, else `.local`."""
    if os.environ.get("STUDYHALL_CACHE") or os.environ.get("CI"):
        return outside_cache()
    return LOCAL


def cargo_environment():
    """The environment for cargo: in CI the build lives in the cache, so that a fresh clone reuses it."""
    environment = dict(os.environ)
    if os.environ.get("CI"):
        environment.setdefault("CARGO_TARGET_DIR", str(outside_cache() / "target"))
    return environment


def write_private(path, text):
    """Writes a file that only its owner may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def is_free(port):
    with socket.socket() as probe:
        # As the servers do it: a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port():
    """A free port below the range from which the kernel serves outgoing connections, so that
    nobody gets it between this look and the server's start."""
    while True:
        port = random.randrange(20000, 32000)
        if is_free(port):
            return port


@contextlib.contextmanager
def locked(path, busy=None):
    """Holds a lock file. With `busy` given, fails with that text instead of waiting."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:
            raise Failure(busy) from None
        yield
