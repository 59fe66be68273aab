"""A set of servers: laid out in one folder, started and stopped together."""

import json
import os
import shutil
import tempfile
from pathlib import Path

from . import install
from .common import free_port, is_free, say, write_private
from .process import command_line, stop_stale
from .services import ALL, MailCatcher, Postgres, data_elsewhere

# A server that somebody else runs is used instead of ours when its URL is configured.
OUTSIDE = {
    "postgres": "STUDYHALL_POSTGRES__URL",
    "redis": "STUDYHALL_REDIS__URL",
    "nats": "STUDYHALL_NATS__URL",
    "mongodb": "STUDYHALL_MONGODB__URL",
    "smtp": "STUDYHALL_MAIL__URL",
}
TEMPORARY = "studyhall-test-"


class Stack:
    """The servers in `folder`. With `keep` the data stays and the ports are remembered."""

    def __init__(self, folder, keep):
        self.folder, self.keep = Path(folder), keep
        self.pids = self.folder / "pids"
        self.outside = {name: os.environ[variable] for name, variable in OUTSIDE.items() if os.environ.get(variable)}
        self.services = []

    def install(self):
        install.ensure(postgres="postgres" not in self.outside, redis="redis" not in self.outside)

    def start(self):
        self.pids.mkdir(parents=True, exist_ok=True)
        stop_stale(self.pids)
        for name in self.outside:
            say(f"{name}: using {OUTSIDE[name]}")
        self.services = [kind(self.folder, port, self.keep) for kind, port in self.ports()]
        # All at once, then wait for each: the slowest one decides.
        for service in self.services:
            service.start(self.pids)
        for service in self.services:
            service.await_ready()
        say("ready: " + ", ".join(f"{service.name} on port {service.port}" for service in self.services))

    def ports(self):
        remembered_file = self.folder / "ports.json"
        try:
            remembered = json.loads(remembered_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            remembered = {}
        chosen = []
        for kind in ALL:
            if kind.name in self.outside:
                continue
            port = remembered.get(kind.name, kind.usual_port) if self.keep else 0
            if not port or not is_free(port) or port in (taken for _, taken in chosen):
                port = free_port()
            chosen.append((kind, port))
        remembered.update({kind.name: port for kind, port in chosen})
        remembered_file.write_text(json.dumps(remembered, indent=2), encoding="utf-8")
        return chosen

    def stop(self):
        for service in reversed(self.services):
            if service.process:
                service.process.stop()

    def mails(self):
        """The folder where e-mails end up, or None when a real server takes them."""
        return next((service.mails() for service in self.services if isinstance(service, MailCatcher)), None)

    def application_environment(self):
        """The configuration with which `studyhall` finds the servers."""
        urls = dict(self.outside)
        for service in self.services:
            urls[service.name] = service.application_url() if isinstance(service, Postgres) else service.url()
        return {OUTSIDE[name]: url for name, url in urls.items()}

    def test_environment(self):
        """What the tests ask for: an administrator's URL of each server, and the description of the set."""
        descriptions = {name: {"url": url, "outside": True} for name, url in self.outside.items()}
        descriptions.update({service.name: {**service.description(), "outside": False} for service in self.services})
        binaries = {
            "python": str(install.venv_bin("python")),
            "nats-server": str(install.venv_bin("nats-server")),
            "redis-server": shutil.which("redis-server"),
            "mongodb": shutil.which("mongod") or str(install.venv_bin("secantusd-py")),
            "postgres": str(bin_folder / "postgres") if (bin_folder := install.postgres_bin()) else None,
        }
        file = self.folder / "stack.json"
        write_private(
            file, json.dumps({"folder": str(self.folder), "binaries": binaries, "services": descriptions}, indent=2)
        )
        environment = {f"STUDYHALL_TEST_{name.upper()}_URL": there["url"] for name, there in descriptions.items()}
        environment["STUDYHALL_TEST_STACK_FILE"] = str(file)
        if self.mails():
            environment["STUDYHALL_TEST_MAIL_DIR"] = str(self.mails())
        return environment


class TemporaryStack(Stack):
    """A set whose data is thrown away: `with TemporaryStack() as stack`."""

    def __init__(self):
        super().__init__(tempfile.mkdtemp(prefix=TEMPORARY), keep=False)
        # Others may pass through (PostgreSQL's user must), but not look.
        self.folder.chmod(0o711)
        (self.folder / "owner").write_text(f"{os.getpid()} {command_line(os.getpid())}", encoding="utf-8")

    def __enter__(self):
        try:
            remove_abandoned(self.folder.parent)
            self.install()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            remove(self.folder)


def remove(folder):
    for path in (folder, data_elsewhere(folder)):
        shutil.rmtree(path, ignore_errors=True)


def remove_abandoned(parent):
    """Clears away throw-away sets whose owner was killed before it could do so."""
    for folder in parent.glob(f"{TEMPORARY}*"):
        try:
            owner, _, started_as = (folder / "owner").read_text(encoding="utf-8").partition(" ")
            # The temporary folder is open to all: only what is ours is believed.
            if folder.lstat().st_uid != os.geteuid() or command_line(int(owner)) == started_as:
                continue
        except (OSError, ValueError):
            continue  # just being made, or somebody else's
        say(f"removing {folder}, which a killed run left")
        stop_stale(folder / "pids")
        remove(folder)
