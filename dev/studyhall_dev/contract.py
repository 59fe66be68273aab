"""`make contract`: a running server is held against its own descriptions.

Serves on throw-away servers and then: redocly and asyncapi judge the two descriptions, a TypeScript program
is compiled with the types that openapi-typescript makes of the first, and schemathesis asks for everything
that it promises, with every check and in every phase. `dev/contract/` has what these tools are told.
"""

import hashlib
import json
import os
import random
import shutil
import time
import urllib.request

from . import install
from .common import ROOT, Failure, cache, free_port, locked, say
from .process import Process, run_to_end
from .run import answers, build, one_shot, secret_keys
from .stack import TemporaryStack

FOLDER = ROOT / "dev" / "contract"
REQUIREMENTS = FOLDER / "requirements.txt"
READY_LIMIT = 60
PASSWORD = "blue kettle on monday"
# Ana asks, Ben must not see what is hers, Cleo is the one she writes to. None of them has more rights than
# anybody: no route asks for more.
PEOPLE = ("ana", "ben", "cleo")
# Those that differ from the defaults, because one person asks for thousands of things in a few minutes.
SETTINGS = {
    "STUDYHALL_LIMITS__ENABLED": "false",
    "STUDYHALL_ROOMS__MAX_OWNED": "1000",
    # Accounts that are made up cannot read their mail.
    "STUDYHALL_ROOMS__REQUIRE_VERIFIED_EMAIL": "false",
    "STUDYHALL_USERS__REPORTS_PER_DAY": "1000",
    "STUDYHALL_MESSAGES__MAX_NEW_CONVERSATIONS_PER_DAY": "1000",
    # Accounts are opened by the hundred, and nobody is to be protected.
    "STUDYHALL_ACCOUNTS__ARGON2_MEMORY_KIB": "64",
    "STUDYHALL_ACCOUNTS__ARGON2_ITERATIONS": "1",
    # Positions are made up, and none of them comes.
    "STUDYHALL_PROJECTIONS__READ_WAIT_MS": "50",
    # Nobody reads text messages here.
    "STUDYHALL_PHONE__LOG_CODES": "true",
    "STUDYHALL_LOG__FILTER": "warn",
}


def contract(arguments):
    """Runs all of it; `arguments` go to schemathesis, and its seed is told so that a run can be repeated."""
    if not shutil.which("npm"):
        raise Failure("node (20.19 or newer) and npm are needed for `make contract`")
    # An optimised build takes longer to make than it saves here.
    os.environ.setdefault("STUDYHALL_PROFILE", "debug")
    install.ensure(postgres=False, redis=False)
    with locked(cache() / "install.lock"):
        install.ensure_venv(REQUIREMENTS)
        packages = npm_install()
    program = build()
    with TemporaryStack() as stack:
        return serve_and_judge(stack, program, packages, arguments)


def serve_and_judge(stack, program, packages, arguments):
    url = f"http://127.0.0.1:{free_port()}"
    environment = {
        **os.environ,
        **secret_keys(stack.folder),
        **stack.application_environment(),
        **SETTINGS,
        "STUDYHALL_SERVER__BIND": url.removeprefix("http://"),
        "STUDYHALL_SERVER__INTERNAL_BIND": f"127.0.0.1:{free_port()}",
        "STUDYHALL_SERVER__PUBLIC_ORIGIN": url,
    }
    one_shot(program, "migrate", environment)
    one_shot(program, "seed", environment)
    serve = Process("serve", [program, "serve"], stack.pids, environment=environment, cwd=ROOT)
    try:
        serve.await_ready(lambda: answers(f"{url}/health/ready"), READY_LIMIT)
        work = stack.folder / "contract"
        work.mkdir()
        for name in ("openapi", "asyncapi"):
            (work / f"{name}.json").write_bytes(read(f"{url}/api/{name}.json"))
        failed = [
            name
            for name, command, changed in steps(url, work, packages / "node_modules" / ".bin", arguments)
            if not passes(name, command, changed, work)
        ]
        if serve.popen.poll() is not None:
            failed.append("the server, which did not survive")
        print("\ncontract: " + (f"failed: {', '.join(failed)}" if failed else "all passed"), flush=True)
        return 1 if failed else 0
    finally:
        serve.stop()


def steps(url, work, tools, arguments):
    """Name, command, and what is different in its environment."""
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    yield "redocly", [tools / "redocly", "lint", "--config", FOLDER / "redocly.yaml", "openapi.json"], quiet
    # CI=true: it reports to its makers otherwise.
    yield "asyncapi", [tools / "asyncapi", "validate", "--fail-severity", "warn", "asyncapi.json"], {
        "CI": "true",
        "SUPPRESS_NO_CONFIG_WARNING": "true",
        "NODE_ENV": "",
    }
    yield "openapi-typescript", [tools / "openapi-typescript", "openapi.json", "-o", "api.ts"], {}
    shutil.copy(FOLDER / "sample.ts", work)
    strict = ["--strict", "--noEmit", "--target", "es2022", "--module", "es2022", "--lib", "es2022,dom"]
    yield "tsc --strict", [tools / "tsc", *strict, "sample.ts"], {}
    # `--seed` of the arguments counts: it comes later.
    seed = ["--seed", str(random.randrange(1_000_000))]
    schemathesis = install.venv(REQUIREMENTS) / "bin" / "schemathesis"
    command = [schemathesis, "--config-file", FOLDER / "schemathesis.toml", "run", f"{url}/api/openapi.json"]
    yield "schemathesis", [*command, "--checks", "all", *seed, *arguments], {
        "SCHEMATHESIS_HOOKS": "hooks",
        "PYTHONPATH": str(FOLDER),
        "STUDYHALL_CONTRACT_PEOPLE": str(work / "people.json"),
        "STUDYHALL_CONTRACT_IDS": " ".join(people(url, work / "people.json")),
    }


def passes(name, command, changed, work):
    print(f"\n-- {name}", flush=True)
    began = time.monotonic()
    # The server is here: no proxy leads to it.
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    code = run_to_end(command, cwd=work, env={**environment, **changed})
    print(f"-- {name}: {'passed' if code == 0 else 'failed'} after {time.monotonic() - began:.0f} s", flush=True)
    return code == 0


def people(url, file):
    """Registers those who ask, and returns their ids; the file tells how they log in (Web Fuzzing Commons)."""
    entries, ids = [], []
    for name in PEOPLE:
        credentials = {"email": f"{name}@people.example", "password": PASSWORD}
        registered = read(f"{url}/api/auth/register", {**credentials, "fullName": f"{name.title()} Example"})
        ids.append(json.loads(registered)["user"]["id"])
        login = {
            "verb": "POST",
            "endpoint": "/api/auth/login",
            "contentType": "application/json",
            "payloadRaw": json.dumps(credentials),
            "token": {
                "extractFrom": "body",
                "extractSelector": "/session/accessToken",
                "sendIn": "header",
                "sendName": "Authorization",
                "sendTemplate": "Bearer {token}",
            },
        }
        entries.append({"name": name, "loginEndpointAuth": login})
    file.write_text(json.dumps({"auth": entries}), encoding="utf-8")
    return ids


def read(url, body=None):
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"content-type": "application/json"} if data else {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return answer.read()


def npm_install():
    """Installs what the lock file says; returns the folder, which is keyed by it."""
    key = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = cache() / "node" / key
    complete = folder / "complete"
    if complete.exists():
        return folder
    say(f"installing the packages of dev/contract/package-lock.json into {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(FOLDER / name, folder)
    install.npm_ci(folder)
    complete.touch()
    return folder
