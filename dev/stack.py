#!/usr/bin/env python3
"""The local set of servers, and what runs on it. `python3 dev/stack.py --help` tells the rest."""

import argparse
import sys
from pathlib import Path

from studyhall_dev import check, clients, contract, guards, run, testing
from studyhall_dev.common import LOCAL, Failure, say
from studyhall_dev.process import Stopped, raise_on_signals


def parse(arguments):
    parser = argparse.ArgumentParser(prog="dev/stack.py", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("run", help="serve Studyhall on servers whose data is kept")
    command.add_argument("--data", type=Path, default=LOCAL, help="the data folder (.local)")
    command.set_defaults(do=lambda given: run.run(given.data.resolve()))

    command = commands.add_parser(
        "test", help="run all tests on throw-away servers; arguments after -- go to the test runner"
    )
    command.add_argument("rest", nargs=argparse.REMAINDER)
    command.set_defaults(do=lambda given: testing.test(after_dashes(given.rest)))

    command = commands.add_parser("exec", help="run one command on throw-away servers")
    command.add_argument("rest", nargs=argparse.REMAINDER, metavar="-- CMD …")
    command.set_defaults(do=lambda given: testing.execute(after_dashes(given.rest)))

    command = commands.add_parser("up", help="keep throw-away servers running until Ctrl-C or SIGTERM")
    command.add_argument(
        "--env-file", type=Path, required=True, help="written when ready: export lines for a shell to source"
    )
    command.set_defaults(do=lambda given: testing.up(given.env_file))

    command = commands.add_parser("clients", help="one conversation with three Socket.IO clients and a running server; unequal traces fail")
    command.add_argument("--url", default="http://127.0.0.1:8080")
    command.set_defaults(do=lambda given: clients.clients(given.url))

    command = commands.add_parser(
        "contract",
        help="hold a server against its descriptions, on throw-away servers; arguments after -- go to schemathesis",
    )
    command.add_argument("rest", nargs=argparse.REMAINDER)
    command.set_defaults(do=lambda given: contract.contract(after_dashes(given.rest)))

    command = commands.add_parser("guards", help="take every guard of tests/guards out and see its test fail; words choose some")
    command.add_argument("--check", action="store_true", help="only see whether the list fits the code")
    command.add_argument("words", nargs="*", metavar="WORD")
    command.set_defaults(do=lambda given: guards.check() if given.check else guards.guards(given.words))

    command = commands.add_parser("install", help="only install what is missing")
    command.set_defaults(do=lambda given: check.install_only())

    command = commands.add_parser("deny", help="check licences, sources, bans and advisories of all dependencies")
    command.set_defaults(do=lambda given: check.deny())

    command = commands.add_parser("clean", help="delete the data of `run` and what was installed inside the clone")
    command.set_defaults(do=lambda given: run.clean(LOCAL))
    return parser.parse_args(arguments)


def after_dashes(rest):
    return rest[1:] if rest[:1] == ["--"] else rest


def main():
    given = parse(sys.argv[1:])
    raise_on_signals()
    try:
        return given.do(given)
    except Failure as failure:
        say(f"failed: {failure}")
        return 1
    except Stopped as stopped:
        return 128 + stopped.signum


if __name__ == "__main__":
    sys.exit(main())
