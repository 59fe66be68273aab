"""`make clients`: three clients hold the same conversation with a running server, and see the same."""

import difflib
import os
import platform
import shutil

from . import install
from .common import ROOT, Failure, say
from .process import run_and_read, run_to_end

FOLDER = ROOT / "dev" / "clients"
RUST = FOLDER / "rust"


def clients(url):
    for tool, what in (("npm", "node (18 or newer) and npm are"), ("cargo", "cargo is")):
        if not shutil.which(tool):
            raise Failure(f"{what} needed for `make clients`")
    # rust_socketio brings native-tls, which is OpenSSL on Linux and the system's own elsewhere.
    install.ensure(postgres=False, redis=False, openssl=platform.system() == "Linux")
    npm_install()
    cargo_build()
    # Only the Rust client would ask a proxy, and the server is most likely here.
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    traces = {}
    failed = 0
    for name, command in (
        ("Python", [install.venv_bin("python"), FOLDER / "chat.py"]),
        ("JavaScript", ["node", FOLDER / "chat.mjs"]),
        ("Rust", ["cargo", "run", "--quiet", "--locked", "--"]),
    ):
        print(f"\n-- the {name} client", flush=True)
        code, traces[name] = run_and_read([*command, "--url", url], cwd=RUST, env=environment)
        failed += code != 0
    print(f"\nclients: {len(traces) - failed} passed, {failed} failed", flush=True)
    if failed:
        return 1
    unequal = differences(traces)
    print("\n".join(unequal) if unequal else "the traces are equal, line by line", flush=True)
    return 1 if unequal else 0


def differences(traces):
    """The lines in which a trace is not like the first one; none of them when all saw the same."""
    (first, expected), *others = traces.items()
    found = []
    for name, trace in others:
        found += difflib.unified_diff(expected, trace, first, name, n=0, lineterm="")
    return found


def cargo_build():
    """Builds the Rust client beforehand, in the open: it takes a while the first time."""
    if run_to_end(["cargo", "build", "--locked"], cwd=RUST) != 0:
        raise Failure("the Rust client does not build")


def npm_install():
    """Installs what the lock file says, unless that is what is there."""
    locked, installed = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= locked.stat().st_mtime:
        return
    say("installing the packages of dev/clients/package-lock.json")
    install.npm_ci(FOLDER)
