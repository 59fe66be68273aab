"""`make clients`: the official clients hold the same conversation with a running server."""

import shutil
import subprocess

from . import install
from .common import ROOT, Failure, say
from .process import run_to_end

FOLDER = ROOT / "dev" / "clients"


def clients(url):
    if not shutil.which("npm"):
        raise Failure("node (18 or newer) and npm are needed for the JavaScript client")
    install.ensure(postgres=False, redis=False)
    npm_install()
    failed = 0
    for name, interpreter, script in (
        ("Python", install.venv_bin("python"), "chat.py"),
        ("JavaScript", "node", "chat.mjs"),
    ):
        print(f"\n-- the {name} client", flush=True)
        failed += run_to_end([interpreter, FOLDER / script, "--url", url]) != 0
    print(f"\nclients: {2 - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def npm_install():
    """Installs what the lock file says, unless that is what is there."""
    locked, installed = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= locked.stat().st_mtime:
        return
    say("installing the packages of dev/clients/package-lock.json")
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts"],
        cwd=FOLDER,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise Failure(f"npm ci failed:\n{done.stdout[-3000:]}")
