"""Child processes that never outlive their purpose, and the remains of those that a crash left."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from .common import Failure, say

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
POLL = 0.02


class Stopped(BaseException):
    """SIGINT, SIGTERM or SIGHUP arrived. Not an `Exception`, so that no retry swallows it."""

    def __init__(self, signum):
        super().__init__(signum)
        self.signum = signum


def raise_on_signals():
    def stop(signum, _frame):
        ignore_signals()  # the clean-up that follows is bounded and must not be torn in two
        raise Stopped(signum)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, stop)


def ignore_signals():
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)


def command_line(pid):
    """What a process was started as, or "" when there is none (a zombie counts as none)."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        if Path("/proc/self/cmdline").exists():
            return ""
    return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()


def tail(path, lines=15):
    try:
        return "\n".join(Path(path).read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


class Process:
    """One child in a process group of its own, noted in a pid file as long as it lives."""

    def __init__(
        self, name, argv, pids, log=None, environment=None, cwd=None, user=None, stop_signal=signal.SIGTERM, patience=20
    ):
        self.name, self.argv, self.log = name, [str(part) for part in argv], log
        self.stop_signal, self.patience = stop_signal, patience
        self.pid_file = pids / f"{name}.json"
        output = open(log, "ab") if log else None  # None: ours
        parent = os.getpid()

        def before_exec():
            # Should we be killed without a chance to clean up, the kernel stops the child.
            if LIBC is not None:
                LIBC.prctl(PR_SET_PDEATHSIG, stop_signal, 0, 0, 0)
                if os.getppid() != parent:
                    os._exit(1)
            # Children inherit ignored signals, and a server must hear its stop signal.
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(signum, signal.SIG_DFL)

        credentials = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        self.popen = subprocess.Popen(
            self.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if log else None,
            env=environment,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=before_exec,
            **credentials,
        )
        if output:
            output.close()
        note = {"pid": self.popen.pid, "argv": self.argv, "signal": int(stop_signal)}
        self.pid_file.write_text(json.dumps(note), encoding="utf-8")

    @property
    def pid(self):
        return self.popen.pid

    def await_ready(self, is_ready, limit):
        """Polls until `is_ready()`; fails with the end of the log when the child ends or time is up."""
        deadline = time.monotonic() + limit
        while not is_ready():
            ended = self.popen.poll()
            if ended is not None:
                raise Failure(f"{self.name} ended with {ended} while starting{self.log_tail()}")
            if time.monotonic() > deadline:
                raise Failure(f"{self.name} is not ready after {limit} s{self.log_tail()}")
            time.sleep(POLL)

    def log_tail(self):
        return f"; the end of {self.log}:\n{tail(self.log)}" if self.log else ""

    def stop(self):
        """Asks, waits, kills. Returns the exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(self.stop_signal)
            try:
                self.popen.wait(self.patience)
            except subprocess.TimeoutExpired:
                say(f"{self.name} did not stop within {self.patience} s: killing it")
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)  # also what it may have left in its group
        code = self.popen.wait()
        self.pid_file.unlink(missing_ok=True)
        return code


def stop_stale(pids):
    """Stops what a crashed run left behind. Only processes that are still what their note says."""
    for note in sorted(pids.glob("*.json")):
        try:
            content = json.loads(note.read_text(encoding="utf-8"))
            pid, argv, stop_signal = int(content["pid"]), content["argv"], content["signal"]
        except (ValueError, KeyError, OSError):
            note.unlink(missing_ok=True)
            continue

        def is_ours(pid=pid, argv=argv):
            # A script runs as "its-interpreter the-script …": compare the end.
            return command_line(pid).endswith(" ".join(argv).strip())

        if is_ours():
            say(f"stopping a {note.stem} (pid {pid}) that an earlier run left")
            os.kill(pid, stop_signal)
            deadline = time.monotonic() + 20
            while is_ours():
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                    deadline = time.monotonic() + 20
                time.sleep(POLL)
        note.unlink(missing_ok=True)


def run_to_end(argv, **options):
    """Runs a command of ours in the foreground, passes our signal on, returns its exit code."""
    child = subprocess.Popen([str(part) for part in argv], **options)
    return to_end(child, child.wait)


def run_and_read(argv, **options):
    """The same; returns the lines that it printed, too."""
    child = subprocess.Popen([str(part) for part in argv], stdout=subprocess.PIPE, encoding="utf-8", **options)
    lines = []

    def read():
        for line in child.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip("\n"))
        return child.wait()

    with child.stdout:
        return to_end(child, read), lines


def to_end(child, wait):
    try:
        return wait()
    except Stopped:
        # From a terminal the child heard Ctrl-C itself; one more does not hurt cargo or nextest.
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        raise
