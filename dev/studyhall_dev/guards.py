"""`make guards`: takes every guard of `tests/guards/*.toml` out, one at a time, and sees its test fail.

A security test that passes without the guard that it is about proves nothing. Each entry names a guard, the
text of the code that it is, what is left when it is gone, and the test that must notice. The code is changed
in a copy of the last commit only. A guard whose text or test is not there any more fails at once.
"""

import re
import subprocess
import tomllib
from pathlib import Path

from .common import ROOT, Failure, cargo_environment
from .process import run_to_end
from .stack import TemporaryStack

FOLDER = ROOT / "tests" / "guards"
FIELDS = {"name", "file", "take", "leave", "test"}
# What the runner says of tests that failed; anything else is trouble of ours.
TESTS_FAILED = 100


def guards(arguments):
    """All of them, or those whose name or file holds one of the words."""
    chosen = [guard for guard in read() if not arguments or any(word in guard["id"] for word in arguments)]
    if not chosen:
        raise Failure(f"no guard is called like {' or '.join(arguments)}")
    require(chosen)
    with TemporaryStack() as stack:
        environment = {**cargo_environment(), **stack.test_environment(), "RUST_BACKTRACE": "0"}
        # Their own folder, so that the build of the clone is not undone; kept, so that the next run is short.
        folder = Path(environment.get("CARGO_TARGET_DIR") or ROOT / "target") / "guards"
        environment["CARGO_TARGET_DIR"] = str(folder)
        return take_out(chosen, folder / "copy", environment)


def check():
    """Whether every guard and its test are where the list says; nothing is built."""
    require(read())
    return 0


def require(listed):
    problems = [problem for guard in listed if (problem := missing(ROOT, guard))]
    if problems:
        raise Failure("; ".join(problems))


def read():
    found = []
    for file in sorted(FOLDER.glob("*.toml")):
        for guard in tomllib.loads(file.read_text(encoding="utf-8"))["guard"]:
            if set(guard) - {"package"} != FIELDS:
                raise Failure(f"{file.name}: a guard has {', '.join(sorted(FIELDS))}, not {', '.join(sorted(guard))}")
            found.append({**guard, "id": f"{file.stem}: {guard['name']}"})
    return found


def missing(root, guard):
    """What is wrong with an entry, in one sentence; None if it fits the code."""
    path = root / guard["file"]
    count = path.read_text(encoding="utf-8").count(guard["take"]) if path.is_file() else 0
    if count != 1:
        return f"{guard['id']}: its text is {count} times in {guard['file']}"
    function = guard["test"].rsplit("::", 1)[-1]
    folder = root / (guard.get("package") or "tests/tests")
    if not any(re.search(rf"fn {function}\(", file.read_text(encoding="utf-8")) for file in folder.rglob("*.rs")):
        return f"{guard['id']}: there is no test {guard['test']}"
    return None


def take_out(chosen, copy, environment):
    if copy.exists():
        # A run that was killed left it.
        run("git", "worktree", "remove", "--force", str(copy))
    run("git", "worktree", "prune")
    run("git", "worktree", "add", "--quiet", "--detach", str(copy), "HEAD")
    try:
        ended = {}
        for number, guard in enumerate(chosen, 1):
            ended[guard["id"]] = outcome = without(copy, guard, environment)
            print(f"{number:3}/{len(chosen)}  {outcome:18}  {guard['id']}", flush=True)
        not_noticed = [name for name, outcome in ended.items() if outcome != "noticed"]
        print(f"\nguards: {len(chosen) - len(not_noticed)} of {len(chosen)} noticed", flush=True)
        return 1 if not_noticed else 0
    finally:
        run("git", "worktree", "remove", "--force", str(copy))


def without(copy, guard, environment):
    path = copy / guard["file"]
    whole = path.read_text(encoding="utf-8")
    if missing(copy, guard):
        return "not committed"
    path.write_text(whole.replace(guard["take"], guard["leave"]), encoding="utf-8")
    try:
        return outcome(copy, guard, environment)
    finally:
        path.write_text(whole, encoding="utf-8")


def outcome(copy, guard, environment):
    """`noticed` if the tests were built, ran, and failed."""
    package = guard.get("package")
    # The stories start the program: it is built with them.
    packages = ["-p", package] if package else ["-p", "cli", "-p", "tests"]
    quiet = {"cwd": copy, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    # Warnings are expected: what the guard used is unused now.
    if run_to_end(["cargo", "nextest", "run", "--no-run", *packages], **quiet):
        return "does not compile"
    tests = f"test(={guard['test']})"
    code = run_to_end(["cargo", "nextest", "run", *packages, "--no-fail-fast", "-E", tests], **quiet)
    return {TESTS_FAILED: "noticed", 0: "NOT NOTICED"}.get(code, f"trouble ({code})")


def run(*command):
    subprocess.run(command, cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
