"""The throw-away set and what is run on it: the tests, one command, or a developer's own shell."""

import os
import shlex
import shutil
import signal
import sys

from .common import ROOT, Failure, cargo_environment, say, write_private
from .process import Stopped, run_to_end
from .stack import TemporaryStack


def test(extra):
    """All tests, then the smoke test. A selection of tests (`extra`) leaves the smoke test out."""
    if shutil.which("cargo-nextest"):
        command = ["cargo", "nextest", "run", "--workspace", "--no-fail-fast", *extra]
    else:
        say("cargo-nextest is not installed: running the tests with cargo test")
        command = ["cargo", "test", "--workspace", "--all-targets", "--no-fail-fast", *extra]
    code = execute(command)
    if extra:
        return code
    # The smoke test brings up a set of its own, the way `run` does.
    smoke = run_to_end([sys.executable, ROOT / "dev" / "smoke.py"], cwd=ROOT, env=cargo_environment())
    return code or smoke


def execute(command):
    if not command:
        raise Failure("which command? For example: python3 dev/stack.py exec -- cargo nextest run")
    with TemporaryStack() as stack:
        environment = {**cargo_environment(), **stack.test_environment()}
        # Tests mostly wait for servers.
        environment.setdefault("NEXTEST_TEST_THREADS", str(2 * (os.cpu_count() or 1)))
        return run_to_end(command, cwd=ROOT, env=environment)


def up(env_file):
    with TemporaryStack() as stack:
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in stack.test_environment().items()]
        # Whole or not at all: a shell may be waiting for it.
        partial = env_file.with_name(f"{env_file.name}.{os.getpid()}")
        write_private(partial, "".join(lines))
        partial.replace(env_file)
        say(f"up; `source {env_file}` gives a shell the addresses. Ctrl-C or SIGTERM stops it (pid {os.getpid()})")
        try:
            while True:
                signal.pause()
        except Stopped:
            return 0
        finally:
            env_file.unlink(missing_ok=True)
