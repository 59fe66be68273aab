"""Installs what is missing: Debian packages, and pinned Python packages in a virtual environment."""

import glob
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .common import ROOT, Failure, cache, locked, outside_cache, say

REQUIREMENTS = ROOT / "dev" / "requirements.txt"
CARGO_DENY = "0.20.2"
POLICY = Path("/usr/sbin/policy-rc.d")


def postgres_bin():
    """The folder of the newest PostgreSQL server, or None. Debian keeps them off the PATH."""
    found = [path for path in glob.glob("/usr/lib/postgresql/*/bin") if os.path.exists(f"{path}/initdb")]
    if found:
        return Path(max(found, key=lambda path: float(path.split("/")[-2])))
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def ensure(postgres=True, redis=True, openssl=False):
    """Makes everything ready that the wanted servers and the build need; quick when all is there."""
    with locked(cache() / "install.lock"):
        packages = missing_packages(postgres, redis, openssl)
        if packages:
            apt_install(packages)
            still = missing_packages(postgres, redis, openssl)
            if still:
                raise Failure(f"still missing after the installation: {', '.join(still)}")
        ensure_venv()


def missing_packages(postgres, redis, openssl):
    wanted = {
        "postgresql": not postgres or postgres_bin(),
        "redis-server": not redis or shutil.which("redis-server"),
        "python3-venv": base_python(),
        "build-essential": shutil.which("cc") and shutil.which("make"),
        "pkg-config": shutil.which("pkg-config"),
        "libssl-dev": not openssl or has_library("openssl"),
        "ca-certificates": not Path("/etc/debian_version").exists()
        or Path("/etc/ssl/certs/ca-certificates.crt").exists(),
    }
    return [name for name, there in wanted.items() if not there]


def has_library(name):
    """Whether programs can be built with this library."""
    return shutil.which("pkg-config") and subprocess.run(["pkg-config", "--exists", name]).returncode == 0


def apt_install(packages):
    if not shutil.which("apt-get"):
        raise Failure(f"please install these (named as in Debian) and try again: {', '.join(packages)}")
    if os.geteuid() == 0:
        root = []
    elif shutil.which("sudo"):
        root = ["sudo"]
    else:
        raise Failure(f"not root and no sudo: please install {', '.join(packages)} and try again")
    say(f"installing {', '.join(packages)}")
    apt = root + ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    # The packages would start servers of their own; we only want the binaries.
    ours = not POLICY.exists()
    if ours:
        subprocess.run(
            root + ["sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' >{POLICY}; chmod 755 {POLICY}"], check=True
        )
    try:
        for step in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            quietly(f"apt-get {step[0]}", apt + step)
    finally:
        if ours:
            subprocess.run(root + ["rm", "-f", str(POLICY)], check=True)


def npm_ci(folder):
    """Installs what the lock file in this folder says."""
    quietly("npm ci", ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)


def quietly(name, command, **options):
    """Runs a command whose output is of interest only if it fails: then its end is shown."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    if done.returncode != 0:
        raise Failure(f"{name} failed:\n{done.stdout[-3000:]}")


def base_python():
    """A Python that can make the virtual environment: this one or the system's, 3.10 or newer."""
    here = sys.version_info >= (3, 10) and importlib.util.find_spec("ensurepip")
    if here:
        return sys.executable
    for candidate in ("/usr/bin/python3", "python3.13", "python3.12", "python3.11", "python3.10"):
        path = shutil.which(candidate)
        question = "import sys, ensurepip; sys.exit(sys.version_info < (3, 10))"
        if path and subprocess.run([path, "-c", question], capture_output=True).returncode == 0:
            return path
    return None


def venv(requirements=REQUIREMENTS):
    """The virtual environment's folder: keyed by the pins, so a change of them makes a new one."""
    key = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    return cache() / "venv" / key


def venv_bin(name):
    return venv() / "bin" / name


def ensure_venv(requirements=REQUIREMENTS):
    folder, named = venv(requirements), requirements.relative_to(ROOT)
    complete, own_python = folder / "complete", folder / "bin" / "python"
    # A system upgrade may have taken away the Python that the environment points to.
    if complete.exists() and own_python.exists():
        return
    say(f"installing the Python packages of {named} into {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    python = base_python()
    if python is None:
        raise Failure(f"Python 3.10 or newer is needed for the packages of {named}")
    for step in (
        [python, "-m", "venv", str(folder)],
        [
            str(own_python),
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "--no-input",
            "--no-deps",
            "--only-binary",
            ":all:",
            "-r",
            str(requirements),
        ],
    ):
        quietly(" ".join(step[:4]), step)
    complete.touch()


def ensure_cargo_deny():
    """The pinned cargo-deny, or a newer one from the PATH. Built once per machine: it takes minutes."""
    on_path = shutil.which("cargo-deny")
    if on_path:
        text = subprocess.run([on_path, "--version"], capture_output=True, text=True).stdout
        found = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
        if found and tuple(map(int, found.groups())) >= tuple(map(int, CARGO_DENY.split("."))):
            return Path(on_path)
    home = outside_cache() / "tools" / f"cargo-deny-{CARGO_DENY}"
    with locked(outside_cache() / "tools" / "install.lock"):
        binary = home / "bin" / "cargo-deny"
        if not binary.exists():
            say(f"building cargo-deny {CARGO_DENY} once; this takes some minutes")
            command = [
                "cargo",
                "install",
                "cargo-deny",
                "--locked",
                "--quiet",
                "--version",
                CARGO_DENY,
                "--root",
                str(home),
            ]
            if subprocess.run(command, cwd=outside_cache(), stdin=subprocess.DEVNULL).returncode != 0:
                raise Failure("cargo install cargo-deny failed")
    return binary
