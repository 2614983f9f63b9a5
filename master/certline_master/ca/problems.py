"""What a CA's errors mean for us: problem documents and Retry-After, read leniently, never with an exception."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from certline_master.ca.transport import Answer
from certline_master.domain.errors import CaError, CaRefused, CaUnreachable, Subproblem
from certline_master.domain.model import FailureClass

LEAST_WAIT = timedelta(seconds=1)
MOST_WAIT = timedelta(days=1)
RATE_LIMIT_WAIT = timedelta(hours=1)  # for a rate limit that names no time
MOST_TEXT = 1000

_PREFIX = "urn:ietf:params:acme:error:"

# RFC 8555 section 6.7, RFC 9773 section 7.4, draft-ietf-acme-profiles. What is not here is tried again, with back-off.
_CLASSES: Mapping[str, FailureClass] = {
    "accountDoesNotExist": FailureClass.NEEDS_PERSON,
    "badCSR": FailureClass.FIX_CONFIGURATION,
    "badPublicKey": FailureClass.FIX_CONFIGURATION,
    "badRevocationReason": FailureClass.FIX_CONFIGURATION,
    "badSignatureAlgorithm": FailureClass.FIX_CONFIGURATION,
    "caa": FailureClass.FIX_CONFIGURATION,
    "externalAccountRequired": FailureClass.FIX_CONFIGURATION,
    "invalidContact": FailureClass.FIX_CONFIGURATION,
    "invalidProfile": FailureClass.FIX_CONFIGURATION,
    "malformed": FailureClass.FIX_CONFIGURATION,
    "rateLimited": FailureClass.RETRY_AT,
    "rejectedIdentifier": FailureClass.FIX_CONFIGURATION,
    "unauthorized": FailureClass.NEEDS_PERSON,  # of a request: the account may not, e.g. it was deactivated
    "unsupportedContact": FailureClass.FIX_CONFIGURATION,
    "unsupportedIdentifier": FailureClass.FIX_CONFIGURATION,
    "userActionRequired": FailureClass.NEEDS_PERSON,
}
_MOST_URGENT_FIRST = (FailureClass.NEEDS_PERSON, FailureClass.FIX_CONFIGURATION, FailureClass.RETRY_AT)
_PAUSED = re.compile(r"\bunpause\b|\bpaused\b", re.IGNORECASE)


class ServerInternal(CaUnreachable):
    """The CA said in a problem document that it failed itself (type serverInternal)."""


def failure_of(answer: Answer, now: datetime) -> CaError:
    """The error that an answer with a status of 300 or more stands for."""
    at = retry_after(answer, now)
    problem = _problem(answer)
    if problem is None:
        return _without_problem(answer, at, now)
    kind = type_of(problem)
    if kind == "serverInternal":
        return ServerInternal(f"the CA failed itself ({answer.status}): {_detail(problem)}", at)
    if answer.status >= 500 and kind != "rateLimited":
        return CaUnreachable(f"the CA cannot answer now ({answer.status}): {_detail(problem)}", at)
    return _refused(problem, answer.status, at, now, location=answer.header("location"))


def validation_failure(problem: Mapping[str, Any], now: datetime) -> CaRefused:
    """The error inside an order or challenge that is invalid (RFC 8555 section 7.1.6): there `unauthorized` says that
    the proof was not found."""
    refused = _refused(problem, 0, None, now)
    if refused.type == "unauthorized" and not refused.subproblems:
        refused.failure = FailureClass.RETRY_SOON
    return refused


def is_bad_nonce(answer: Answer) -> bool:
    if answer.status < 400:
        return False
    problem = _problem(answer)
    return problem is not None and type_of(problem) == "badNonce"


def retry_after(
    answer: Answer, now: datetime, *, least: timedelta = LEAST_WAIT, most: timedelta = MOST_WAIT
) -> datetime | None:
    """When the CA wants to be asked again (RFC 9110 section 10.2.3: seconds or a date), between `least` and `most` from
    now; None when it does not say so in a way that can be read."""
    text = answer.header("retry-after")
    seconds = None if text is None else _seconds(text.strip()[:100], now)
    if seconds is None or math.isnan(seconds):
        return None
    return now + timedelta(seconds=min(max(seconds, least.total_seconds()), most.total_seconds()))


def read_object(answer: Answer, what: str) -> dict[str, Any]:
    """The JSON object of an answer. Raises CaUnreachable when it is none."""
    found = _json(answer)
    if not isinstance(found, dict):
        raise CaUnreachable(f"the CA's {what} is not a JSON object: that is no answer of ACME")
    return found


def clean(text: object) -> str:
    """A text of the CA, safe to show: one line, printable, of bounded length."""
    words = "".join(letter if letter.isprintable() else " " for letter in str(text)[:MOST_TEXT])
    return " ".join(words.split())


def type_of(problem: Mapping[str, Any]) -> str:
    """The type without its urn prefix."""
    return clean(str(problem.get("type", "about:blank")).removeprefix(_PREFIX))[:100]


def _refused(
    problem: Mapping[str, Any], status: int, at: datetime | None, now: datetime, *, location: str | None = None
) -> CaRefused:
    kind, detail = type_of(problem), _detail(problem)
    subproblems, classes = _subproblems(problem)
    failure = _class_of(kind, detail)
    if kind == "compound":
        failure = next((one for one in _MOST_URGENT_FIRST if one in classes), FailureClass.RETRY_SOON)
    if failure is FailureClass.RETRY_AT:
        at = at or now + RATE_LIMIT_WAIT
    return CaRefused(kind, detail, failure, status=status, subproblems=subproblems, retry_at=at, location=location)


def _class_of(kind: str, detail: str) -> FailureClass:
    if kind == "rateLimited" and _PAUSED.search(detail):
        return FailureClass.NEEDS_PERSON  # paused until a person follows the link in the text
    return _CLASSES.get(kind, FailureClass.RETRY_SOON)


def _subproblems(problem: Mapping[str, Any]) -> tuple[tuple[Subproblem, ...], set[FailureClass]]:
    """RFC 8555 section 6.7.1, with the classes found."""
    listed = problem.get("subproblems")
    parts = [part for part in listed if isinstance(part, dict)] if isinstance(listed, list) else []
    found = tuple(Subproblem(_identifier(part), type_of(part), _detail(part)) for part in parts)
    return found, {_class_of(sub.type, sub.detail) for sub in found}


def _identifier(part: Mapping[str, Any]) -> str:
    identifier = part.get("identifier")
    return clean(identifier.get("value", "?")) if isinstance(identifier, dict) else "?"


def _detail(problem: Mapping[str, Any]) -> str:
    """What the CA says, with the page that it wants a person to see (RFC 8555 section 7.3.3)."""
    detail = clean(problem.get("detail") or problem.get("title") or "no reason given")
    page = problem.get("instance")
    return f"{detail} (see {clean(page)})" if isinstance(page, str) and page else detail


def _without_problem(answer: Answer, at: datetime | None, now: datetime) -> CaError:
    if answer.status == 429:
        return CaRefused(
            "rateLimited",
            "too many requests",
            FailureClass.RETRY_AT,
            status=429,
            retry_at=at or now + RATE_LIMIT_WAIT,
        )
    if 300 <= answer.status < 400:
        target = clean(answer.header("location") or "nowhere")[:200]
        return CaUnreachable(
            f"the CA answered with a redirect to {target}, which is not followed: "
            "the issuer's directory URL must be the final one",
            at,
        )
    return CaUnreachable(f"the CA answered {answer.status} without a problem document of ACME", at)


def _problem(answer: Answer) -> dict[str, Any] | None:
    found = _json(answer)
    return found if isinstance(found, dict) and isinstance(found.get("type"), str) else None


def _json(answer: Answer) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def _seconds(text: str, now: datetime) -> float | None:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)  # an HTTP-date is in GMT, whatever its form
    return (aware - now).total_seconds()
