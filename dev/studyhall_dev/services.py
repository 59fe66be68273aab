"""The servers: how each one is laid out, started, asked and described."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from . import install, probes
from .common import Failure, say, write_private
from .process import Process

START_LIMIT = 60


class Service:
    """A server of ours. `keep` tells data that must survive from data that is thrown away."""

    name = ""
    usual_port = 0  # uncommon on purpose: the common one is often taken
    stop_signal = signal.SIGTERM
    user = None

    def __init__(self, folder, port, keep):
        self.folder, self.port, self.keep = folder, port, keep
        self.data = folder / self.name
        self.log = folder / f"{self.name}.log"
        self.process = None

    def prepare(self):
        self.data.mkdir(parents=True, exist_ok=True)
        self.data.chmod(0o700)  # it has no other lock on a machine with other people

    def start(self, pids):
        self.prepare()
        self.log.unlink(missing_ok=True)
        self.process = Process(
            self.name,
            self.argv(self.port, self.data),
            pids,
            log=self.log,
            cwd=self.data,
            user=self.user,
            stop_signal=self.stop_signal,
        )

    def await_ready(self):
        self.process.await_ready(self.is_ready, START_LIMIT)

    def description(self):
        """What a test needs to start one more of the kind: `template` has {port} and {data} to fill in, and
        `pristine`, if it is there, is the folder that {data} has to be a copy of, its owner included."""
        return {
            "url": self.url(),
            "pid": self.process.pid,
            "port": self.port,
            "data": str(self.data),
            "log": str(self.log),
            "argv": self.process.argv,
            "template": [str(part) for part in self.argv("{port}", "{data}")],
        }

    def argv(self, port, data):
        raise NotImplementedError

    def is_ready(self):
        raise NotImplementedError

    def url(self):
        raise NotImplementedError


class Postgres(Service):
    name = "postgres"
    usual_port = 25432

    def __init__(self, folder, port, keep):
        super().__init__(folder, port, keep)
        self.bin = install.postgres_bin()
        # SIGINT ends sessions and writes a checkpoint, SIGQUIT saves itself that.
        self.stop_signal = signal.SIGINT if keep else signal.SIGQUIT
        if os.geteuid() == 0:  # the server refuses to run as root
            self.user = pwd.getpwnam("postgres")
            self.data = reachable_by(self.user, folder) / self.name
        self.password_file = folder / "postgres.password"

    def argv(self, port, data):
        settings = {
            "listen_addresses": "127.0.0.1",
            # The kernel's limit is 107 bytes; nobody knows how long a template gets.
            "unix_socket_directories": data if data != "{data}" and len(str(data)) < 80 else "",
            "max_connections": 300,
            "shared_buffers": "256MB",
            "fsync": "on",
            "idle_in_transaction_session_timeout": "60s",
            "log_checkpoints": "off",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [self.bin / "postgres", "-D", data, "-p", port, *options]

    def prepare(self):
        if not self.password_file.exists():
            write_private(self.password_file, secrets.token_urlsafe(24))
        if (self.data / "PG_VERSION").exists():
            self.refuse_other_version()
            return
        # Made beside its place and moved there when complete: whatever breaks this off leaves no half of it.
        fresh = self.data.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700, parents=True)
        given = self.data.with_name("postgres.initial")
        write_private(given, self.password())
        if self.user:
            for path in (fresh, given):
                os.chown(path, self.user.pw_uid, self.user.pw_gid)
        command = [
            self.bin / "initdb",
            "-D",
            fresh,
            "--username=postgres",
            f"--pwfile={given}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            *([] if self.keep else ["--no-sync"]),
        ]
        credentials = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", **credentials)
        given.unlink()
        if done.returncode != 0:
            raise Failure(f"initdb failed:\n{done.stdout}{done.stderr}")
        if not self.keep:
            # Making this takes seconds: servers that a test has for itself start on a copy.
            done = subprocess.run(["cp", "-a", fresh, self.pristine()], stdin=subprocess.DEVNULL)
            done.check_returncode()
        fresh.rename(self.data)

    def pristine(self):
        return self.data.with_name("postgres.pristine")

    def description(self):
        return {**super().description(), **({} if self.keep else {"pristine": str(self.pristine())})}

    def refuse_other_version(self):
        theirs = (self.data / "PG_VERSION").read_text(encoding="utf-8").strip()
        shown = subprocess.run([self.bin / "postgres", "--version"], capture_output=True, text=True).stdout
        if f" {theirs}." not in shown:
            raise Failure(
                f"{self.data} belongs to PostgreSQL {theirs}, but the server here is {shown.strip()}: "
                f"`make clean`, or install {theirs}"
            )

    def password(self):
        return self.password_file.read_text(encoding="utf-8")

    def is_ready(self):
        return probes.postgres(self.bin / "pg_isready", self.port)

    def url(self, role="postgres", database="postgres"):
        return f"postgres://{role}:{self.password()}@127.0.0.1:{self.port}/{database}"

    def query(self, sql, database="postgres"):
        command = [self.bin / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, self.url(database=database)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"psql failed: {done.stderr.strip()}")
        return done.stdout.strip()

    def application_url(self):
        """A database of its own and a role that is no superuser, made on the first call."""
        if not self.query("select 1 from pg_roles where rolname = 'studyhall'"):
            # pg_monitor: to name the transaction that holds the relay back.
            self.query(f"create role studyhall login password '{self.password()}'; grant pg_monitor to studyhall")
        if not self.query("select 1 from pg_database where datname = 'studyhall'"):
            self.query("create database studyhall owner studyhall")
        return self.url(role="studyhall", database="studyhall")


class Redis(Service):
    name = "redis"
    usual_port = 26379

    def argv(self, port, data):
        # Data that is kept goes to the append-only file; no snapshots in either case.
        return [
            shutil.which("redis-server"),
            "--bind",
            "127.0.0.1",
            "--port",
            port,
            "--dir",
            data,
            "--save",
            "",
            "--appendonly",
            "yes" if self.keep else "no",
            "--set-proc-title",
            "no",
        ]

    def is_ready(self):
        return probes.redis(self.port)

    def url(self):
        return f"redis://127.0.0.1:{self.port}/"


class Nats(Service):
    name = "nats"
    usual_port = 24222

    def prepare(self):
        super().prepare()
        # Kept data is synchronised with the disk at each message, so that a power cut loses nothing that
        # was acknowledged. For data that is thrown away the default (every 2 minutes) does: a killed
        # process loses nothing either way.
        interval = "always" if self.keep else "2m"
        text = f"max_payload: 8MB\njetstream {{ sync_interval: {interval} }}\n"
        self.config().write_text(text, encoding="utf-8")

    def config(self):
        return self.folder / "nats.conf"

    def argv(self, port, data):
        # No monitoring port: none is opened unless it is asked for.
        return [
            install.venv_bin("nats-server"),
            "--config",
            self.config(),
            "--addr",
            "127.0.0.1",
            "--port",
            port,
            "--jetstream",
            "--store_dir",
            data,
        ]

    def is_ready(self):
        return probes.nats(self.port)

    def url(self):
        return f"nats://127.0.0.1:{self.port}"


class MongoDb(Service):
    """`mongod` if there is one, else the stand-in that speaks its wire protocol."""

    name = "mongodb"
    usual_port = 27117

    def prepare(self):
        super().prepare()
        # Empty, but given: otherwise the stand-in would look for one in the home folder and /etc.
        (self.folder / "mongodb.toml").touch()

    def argv(self, port, data):
        mongod = shutil.which("mongod")
        if mongod:
            return [mongod, "--bind_ip", "127.0.0.1", "--port", port, "--dbpath", data]
        # Not synchronised at each commit: what it holds are read models, which can be rebuilt.
        return [
            install.venv_bin("secantusd-py"),
            "--config",
            self.folder / "mongodb.toml",
            "--host",
            "127.0.0.1",
            "--port",
            port,
            "--storage-path",
            data,
            "--cache-size",
            "256M",
            "--log-level",
            "WARNING",
        ]

    def is_ready(self):
        return probes.mongodb(self.port)

    def url(self):
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"


class MailCatcher(Service):
    """An SMTP server that delivers nothing: each e-mail becomes a file in a maildir."""

    name = "smtp"
    usual_port = 21025

    def argv(self, port, data):
        return [
            install.venv_bin("python"),
            "-m",
            "aiosmtpd",
            "--nosetuid",
            "--listen",
            f"127.0.0.1:{port}",
            "--class",
            "aiosmtpd.handlers.Mailbox",
            self.mails(),
        ]

    def mails(self):
        return self.folder / "mails"

    def is_ready(self):
        return probes.smtp(self.port)

    def url(self):
        return f"smtp://127.0.0.1:{self.port}"


ALL = (Postgres, Redis, Nats, MongoDb, MailCatcher)


def data_elsewhere(folder):
    """Where PostgreSQL's data of `folder` lies when it cannot lie inside."""
    return Path("/var/lib/studyhall") / str(folder).strip("/").replace("/", "-")


def reachable_by(user, folder):
    """`folder`, or where the user may not go there (a clone under /root) a place where they may."""
    command = ["test", "-x", str(folder)]
    credentials = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    if subprocess.run(command, **credentials).returncode == 0:
        return folder
    instead = data_elsewhere(folder)
    if not instead.exists():
        say(f"user {user.pw_name} may not enter {folder}; PostgreSQL's data goes to {instead}")
    instead.mkdir(parents=True, exist_ok=True)
    for path in (instead.parent, instead):
        path.chmod(0o711)
    return instead
