"""The parts of `make check` that need more than one command."""

import subprocess

from . import install
from .common import ROOT, say
from .process import run_to_end


def install_only():
    install.ensure()
    return 0


def deny():
    """`cargo deny check`; without the advisories when their database cannot be had."""
    binary = install.ensure_cargo_deny()
    fetched = subprocess.run([binary, "fetch", "db"], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True)
    checks = ["advisories", "bans", "licenses", "sources"]
    if fetched.returncode != 0:
        checks.remove("advisories")
        say("the advisory database cannot be fetched from here: checking bans, licences and sources only")
    return run_to_end([binary, "--log-level", "error", "check", *checks], cwd=ROOT)
