"""What schemathesis cannot know from the description.

`map_case` gives values to correct requests that a schema cannot describe and without which they would
rarely get anywhere: an emoji, a time zone. `filter_failure` knows the refusals of correct requests that
depend on more than their form, by the very code of the problem. Neither touches a request that is wrong on
purpose, and nothing else is forgiven.
"""

import itertools
import os
import unicodedata

import schemathesis
from schemathesis.core.failures import ServerError
from schemathesis.openapi.checks import (
    EnsureResourceAvailability,
    ObjectLevelAuthorizationViolation,
    RejectedPositiveData,
    UseAfterFree,
)

PASSWORD = "blue kettle on monday"
ANA, _, CLEO = os.environ["STUDYHALL_CONTRACT_IDS"].split()
ZONES = ("Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Kolkata", "UTC")
TAGS = ("*", '"v1"', '"v2"', 'W/"v1"')
EMOJI = ("👍", "❤️", ":tada:", "+1", "👩‍🔬")
# What people type; the rest of the text in a body is an id or one of a few words.
TYPED = {"fullName", "institution", "name", "description", "content", "reason", "text", "bio", "goals", "q", "category"}

# Refusals that no schema tells of; docs/api.md has the tests that cover them. Problems by their code …
REFUSED = {
    # Cursors, tokens, codes and tags come from answers: nobody makes one up.
    "invalid_cursor",
    "token_invalid",
    "otp_invalid",
    "version_mismatch",
    # A key that came with another request before.
    "idempotency_key_reused",
    # It was there, and was taken back.
    "gone",
    "resync_required",
}
# … and fields by where they are and what is wrong with them.
FIELDS = {
    # Text is trimmed and normalised before it is counted.
    *((f"/{field}", code) for field in TYPED for code in ("blank", "too_short", "too_long")),
    # Lists that are not in the description: common passwords, reserved names, time zones, emoji.
    *((f"/{field}", code) for field in ("password", "newPassword") for code in ("too_common", "too_obvious")),
    ("/username", "reserved"),
    ("/timeZone", "invalid_time_zone"),
    ("/languages", "invalid_language"),
    ("/emoji", "invalid_emoji"),
    # What must fit together.
    ("/availability", "invalid_time"),
    ("/availability", "overlapping"),
    ("/before", "conflicting"),
    ("/after", "conflicting"),
    # One or the other, in a query or in a cookie.
    ("/q", "required"),
    ("/refreshToken", "required"),
    # What is known of the person who asks.
    ("/currentPassword", "wrong_password"),
    ("/currentPassword", "required"),
    ("/newPassword", "unchanged"),
    ("/email", "unchanged"),
    ("/userId", "yourself"),
    ("/recipientId", "yourself"),
    ("/transferTo", "successor_not_a_member"),
    # What is answered has to be there.
    ("/replyToId", "not_found"),
}
# What is deleted and can be read all the same: rooms are archived, and of messages the number remains.
KEPT = {"DELETE /api/rooms/{roomId}", "DELETE /api/messages/{messageId}"}


def is_correct(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


def body_of(response):
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    problem = body_of(response)
    if isinstance(failure, RejectedPositiveData):
        return not is_more_than_form(problem)
    if isinstance(failure, UseAfterFree):
        return failure.operation not in KEPT
    if isinstance(failure, EnsureResourceAvailability):
        # What was made is there; the made-up subject that the request names beside it is not.
        return problem.get("code") != "subject_not_found"
    if isinstance(failure, ObjectLevelAuthorizationViolation):
        return not is_for_everyone(case)
    if isinstance(failure, ServerError):
        # Any position may be asked for; not every one comes in time.
        waited = response.status_code == 503 and problem.get("code") == "projection_lagging"
        return not (waited and "x-min-position" in case.headers and response.headers.get("retry-after"))
    return True


# The type that each room had last.
room_types = {}


@schemathesis.hook
def after_call(context, case, response):
    body = body_of(response)
    for room in [body, *(body["data"] if isinstance(body.get("data"), list) else [])]:
        if isinstance(room, dict) and "roomType" in room:
            room_types[room.get("id")] = room["roomType"]


def is_for_everyone(case):
    """Profiles, and public rooms with who is in them, are there to be found."""
    if case.operation.label == "GET /api/users/{userId}":
        return True
    of_room = ("GET /api/rooms/{roomId}", "GET /api/rooms/{roomId}/members")
    return case.operation.label in of_room and room_types.get(case.path_parameters["roomId"]) == "public"


def is_more_than_form(problem):
    if problem.get("code") == "validation_failed":
        errors = problem.get("errors") or [{}]
        return all((error.get("pointer"), error.get("code")) in FIELDS for error in errors)
    return problem.get("code") in REFUSED


@schemathesis.hook
def map_case(context, case):
    # Cookies are for pages of our own origin, and browsers say which one that is.
    if "X-Auth-Mode" in case.headers:
        case.headers["Origin"] = case.operation.schema.raw_schema["servers"][0]["url"]
    if not is_correct(case):
        return case
    # Made-up tags match nothing, and the coverage phase sends an empty one, which the pattern excludes.
    if "If-Match" in case.headers:
        case.headers["If-Match"] = one_of(TAGS, case.headers["If-Match"])
    if "emoji" in case.path_parameters:
        case.path_parameters["emoji"] = one_of(EMOJI, case.path_parameters["emoji"])
    # Of people it mostly knows the one that asks, and one cannot write to oneself.
    if case.method != "GET" and case.path_parameters.get("userId") == ANA:
        case.path_parameters["userId"] = CLEO
    # One of these at most.
    for anchor in [name for name in ("before", "after", "around") if name in case.query][1:]:
        del case.query[anchor]
    for fields in (case.query, case.body):
        tidy(fields)
    if case.path == "/api/auth/register" and isinstance(case.body, dict):
        # Most of its own addresses have an account soon.
        case.body["email"] = f"somebody-{next(numbers)}@people.example"
    return case


numbers = itertools.count()


def tidy(fields):
    if not isinstance(fields, dict):
        return
    for name, value in fields.items():
        if not isinstance(value, str):
            continue
        if name in TYPED:
            fields[name] = typed(value)
        elif name == "timeZone":
            fields[name] = one_of(ZONES, value)
        elif name in ("password", "newPassword"):
            fields[name] = PASSWORD
        elif name == "currentPassword" and "newPassword" not in fields:
            fields[name] = PASSWORD


def one_of(choices, value):
    return choices[len(str(value)) % len(choices)]


def typed(text):
    """As long, without blanks and in one form."""
    return "".join(c if unicodedata.category(c)[0] in "LNPS" and unicodedata.normalize("NFC", c) == c else "x" for c in text)
