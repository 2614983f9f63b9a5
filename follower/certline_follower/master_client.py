"""The follower's only way to its master, and only importer of httpx: it signs requests and verifies answers."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from ssl import SSLContext
from typing import TypeVar

from certline_follower.master_faults import Refused, Unreachable, Untrusted
from certline_follower.trust import PinMismatch, PinnedContext
from certline_shared import __version__, codec, messages, signing
from certline_shared.chance import Chance
from certline_shared.clock import Clock
from certline_shared.manifest import MOST_MANIFEST_BYTES, BadManifest, SignedManifest, from_wire
from certline_shared.messages import (
    IntroductionAnswer,
    KeyChange,
    LineAnswer,
    LineAsk,
    LineTold,
    LineWish,
    Problem,
    RehearsalWish,
    Report,
    VersionContent,
)

# httpx imports its own command line (click, rich, pygments) where those are installed: 0.15 s that no follower needs.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
import httpx  # noqa: E402 after the line above, or it has no effect

AGENT = f"certline-follower {__version__}"
JSON = "application/json"
SECONDS = 15.0  # for one answer, beside the wait that was asked for
MOST_RETRY_AFTER = 3_600  # seconds, security note 4.5
CLOCK_IS_WRONG = timedelta(seconds=30)
_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)  # X509_verify_cert_error_string(3), and self-signed ones
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # says nothing of what was asked

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Credentials:
    """As whom to sign, and whose answers to believe."""

    keyid: str  # the follower's id; while it enrols, the token's
    key: bytes = field(repr=False)  # Ed25519, raw private key
    signing_keys: tuple[bytes, ...]  # the master's, current and next; none while it enrols


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came, not yet believed."""

    status: int
    headers: Mapping[str, str]  # lower-case names, repeated ones joined with ", "
    body: bytes
    nonce: str  # of the request


@dataclass(frozen=True, slots=True)
class ManifestAnswer:
    """What the master wants of this host; `signed` is None when nothing changed since the tag that was sent."""

    signed: SignedManifest | None
    etag: str | None
    retry_after: int | None = None  # seconds, from a master that could not hold the request open


class MasterClient:
    """The follower protocol's calls. Each raises Unreachable, Refused or Untrusted."""

    def __init__(
        self, origin: str, context: SSLContext, credentials: Credentials, *, clock: Clock, chance: Chance
    ) -> None:
        self._origin = origin.rstrip("/")
        self._context = context
        self._credentials = credentials
        self._clock = clock
        self._chance = chance
        self._ahead = timedelta(0)  # the master's clock against ours
        self._skew: int | None = None
        self._http = httpx.Client(
            verify=context,
            trust_env=False,  # no proxy and no CA from the environment
            follow_redirects=False,
            limits=httpx.Limits(max_connections=2, max_keepalive_connections=1, keepalive_expiry=120),
            headers={
                "User-Agent": AGENT,
                "Accept-Encoding": "identity",
                "Accept": JSON,
                "Certline-Protocol": str(messages.PROTOCOL),
            },
        )

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    def now(self) -> datetime:
        """The master's time as far as known (its last verified answer), else this machine's; aware UTC."""
        return self._clock.now() + self._ahead

    def skew(self) -> int | None:
        """Seconds that this machine's clock is ahead of the master's, by its last verified answer; None before it."""
        return self._skew

    def believe(self, signing_keys: tuple[bytes, ...], tls_pins: tuple[str, ...]) -> None:
        """From now on verify by these keys of the master and its API (a signed manifest announced them)."""
        self._credentials = Credentials(self._credentials.keyid, self._credentials.key, signing_keys)
        if isinstance(self._context, PinnedContext):
            self._context.pins = frozenset(tls_pins)

    def sign_with(self, key: bytes) -> None:
        """From now on sign with this identity key."""
        self._credentials = replace(self._credentials, key=key)

    def change_keys(self, change: KeyChange) -> None:
        """POST /v1/follower/keys; the same change may be sent again."""
        self._verified("POST", "/v1/follower/keys", body=messages.encode(change))

    def enrol(self, body: bytes) -> bytes:
        """POST /v1/enroll; the answer's body, still to be checked by its MAC."""
        answer = self._ask("POST", "/v1/enroll", body=body)
        if answer.status in (200, 201):
            return answer.body
        raise _fault(answer, believed=answer.status not in _PASSING)  # nothing is remembered of it

    def introduce(self, body: bytes) -> IntroductionAnswer:
        """POST /v1/introductions; signed by the first of the keys that it names, whoever's they are."""
        answer = self._ask("POST", "/v1/introductions", body=body)
        if answer.status != 200:
            raise _fault(answer, believed=answer.status not in _PASSING)
        told = _read(IntroductionAnswer, answer)
        self._credentials = replace(self._credentials, signing_keys=told.signing_keys[:1])
        why_not = self._check(answer)
        if why_not is not None:
            raise Untrusted(f"the answer to the introduction is not signed by the key that it names: {why_not}")
        return told

    def manifest(self, etag: str | None, wait: int = 0) -> ManifestAnswer:
        """GET /v1/follower/manifest; held open by the master up to `wait` seconds while the tag is current."""
        headers = {"If-None-Match": etag} if etag else {}
        answer = self._verified(
            "GET",
            "/v1/follower/manifest",
            f"wait={wait}" if wait else "",
            headers=headers,
            most=2 * MOST_MANIFEST_BYTES,
        )
        if answer.status == 304:
            if answer.headers.get("etag") != etag:  # If-None-Match is not signed: it may have been changed on the way
                raise Untrusted(
                    "the answer says that another manifest than ours is current; something changed our request"
                )
            return ManifestAnswer(None, etag, _retry_after(answer))
        try:
            return ManifestAnswer(from_wire(answer.body), answer.headers.get("etag"))
        except BadManifest as error:
            raise Untrusted(str(error)) from None

    def put_line(self, name: str, wish: LineWish) -> LineAnswer:
        """PUT /v1/follower/lines/{name}; the same wish may be put again."""
        return _read(LineAnswer, self._verified("PUT", f"/v1/follower/lines/{name}", body=messages.encode(wish)))

    def ask_line(self, name: str, what: str, ask: LineAsk) -> LineTold:
        """POST /v1/follower/lines/{name}/renew or .../rollover."""
        return _read(LineTold, self._verified("POST", f"/v1/follower/lines/{name}/{what}", body=messages.encode(ask)))

    def rehearse(self, name: str, wish: RehearsalWish) -> LineAnswer:
        """The same for a rehearsal of the line, which it begins where it has no requests."""
        return _read(LineAnswer, self._verified("PUT", f"/v1/follower/lines/{name}", body=messages.encode(wish)))

    def version(self, line: str, number: int, *, test: bool = False) -> VersionContent:
        """GET /v1/follower/lines/{name}/versions/{n}; what it holds is checked against the manifest by the caller.

        `test`: of the line's rehearsal.
        """
        path, query = f"/v1/follower/lines/{line}/versions/{number}", "test=true" if test else ""
        return _read(VersionContent, self._verified("GET", path, query, most=messages.MOST_CONTENT_BYTES))

    def hand_back(self, content: VersionContent) -> None:
        """PUT /v1/follower/lines/{name}/versions/{n}: what the master lost; the same may be handed back again."""
        path = f"/v1/follower/lines/{content.line}/versions/{content.version}"
        self._verified("PUT", path, body=messages.encode(content))

    def report(self, report: Report) -> None:
        """POST /v1/follower/reports; the same report may be sent again."""
        self._verified("POST", "/v1/follower/reports", body=messages.encode(report))

    def _verified(
        self, method: str, path: str, query: str = "", *, body: bytes = b"", headers: Mapping[str, str] | None = None,
        most: int = messages.MOST_BODY_BYTES,
    ) -> Answer:  # fmt: skip
        """A 2xx or 304 answer that the master signed for this very request."""
        answer = self._ask(method, path, query, body=body, headers=headers or {}, most=most)
        why_not = self._check(answer)
        if why_not is None and (200 <= answer.status < 300 or (answer.status == 304 and headers)):
            return answer
        raise _fault(answer, believed=why_not is None, why_not=why_not or "")

    def _check(self, answer: Answer) -> str | None:
        """Why the answer is not the master's own word, or None; learns the master's time from it."""
        try:
            time = signing.verify_answer(
                self._credentials.signing_keys, answer.headers, status=answer.status, body=answer.body,
                nonce=answer.nonce,
            )  # fmt: skip
        except signing.BadSignature as error:
            return error.reason
        ahead = time - self._clock.now()
        self._skew = -round(ahead.total_seconds())
        self._ahead = ahead if abs(ahead) > CLOCK_IS_WRONG else timedelta(0)
        return None

    def _ask(
        self, method: str, path: str, query: str = "", *, body: bytes = b"", headers: Mapping[str, str] | None = None,
        most: int = messages.MOST_BODY_BYTES,
    ) -> Answer:  # fmt: skip
        """Send it; once more with the master's nonce when our clock is too wrong for it (protocol: stale)."""
        target = f"{path}?{query}" if query else path
        parts = signing.RequestParts(method, self._authority(), path, query, JSON if body else None, body)
        extra = dict(headers or {}) | ({"Content-Type": JSON} if body else {})
        answer = self._send(parts, target, extra, codec.base64url(self._chance.token(16)), most)
        theirs = answer.headers.get("certline-nonce")
        if answer.status == 401 and theirs:
            # With a part of our own, or whoever is in between could have us sign a nonce that it has an old answer to.
            own = codec.base64url(self._chance.token(16))
            answer = self._send(parts, target, extra, f"{theirs}.{own}", most)
        return answer

    def _send(
        self, parts: signing.RequestParts, target: str, extra: Mapping[str, str], nonce: str, most: int
    ) -> Answer:
        credentials = self._credentials
        try:
            signed = signing.sign_request(
                credentials.key, parts, keyid=credentials.keyid, nonce=nonce, created=self.now()
            )
        except ValueError:
            raise Untrusted("the answer holds a nonce that the master cannot have made") from None
        wait = int(parts.query.removeprefix("wait=")) if parts.query.startswith("wait=") else 0
        request = self._http.build_request(
            parts.method, self._origin + target, content=parts.body, headers={**extra, **signed},
            timeout=httpx.Timeout(SECONDS, read=SECONDS + wait),
        )  # fmt: skip
        try:
            return self._receive(request, nonce, most, self._clock.monotonic() + SECONDS + wait)
        except httpx.HTTPError as error:
            raise _no_answer(error, self._origin) from None

    def _receive(self, request: httpx.Request, nonce: str, most: int, until: float) -> Answer:
        response = self._http.send(request, stream=True)
        try:
            body = bytearray()
            for piece in response.iter_raw():
                body += piece
                if len(body) > most:
                    raise Untrusted(f"the answer has more than {most} bytes")
                if self._clock.monotonic() > until:
                    raise Unreachable("the answer did not end in time")
            return Answer(response.status_code, dict(response.headers.items()), bytes(body), nonce)
        finally:
            response.close()

    def _authority(self) -> str:
        return self._origin.removeprefix("https://").lower().removesuffix(":443")


def _read(kind: type[T], answer: Answer) -> T:
    try:
        return messages.decode(kind, answer.body)
    except messages.BadMessage as error:
        raise Untrusted(f"the master's answer is not what the protocol says: {error}") from None


def _fault(answer: Answer, *, believed: bool, why_not: str = "") -> Exception:
    """What an answer that is no success means; nothing is concluded of one that nobody signed (protocol, section 5)."""
    if believed:
        return Refused(_problem(answer), _retry_after(answer))
    if answer.status in _PASSING:
        return Unreachable(f"the master answers {answer.status}{_detail(answer)}", _retry_after(answer))
    if answer.status == 401:
        return Untrusted(f"the master does not know this host, or something in between says so (401){_detail(answer)}")
    if 300 <= answer.status < 400:
        return Untrusted(f"the master's address answers with a redirect ({answer.status}): is the origin right?")
    return Untrusted(
        f"the answer ({answer.status}) is not the master's own: {why_not}; something in between changes it"
    )


def _problem(answer: Answer) -> Problem:
    try:
        return messages.decode(Problem, answer.body)
    except messages.BadMessage:
        return Problem("about:blank", "refused", answer.status, f"the master refuses ({answer.status})")


def _detail(answer: Answer) -> str:
    detail = _problem(answer).detail
    return f": {detail}" if answer.body and "the master refuses" not in detail else ""


def _retry_after(answer: Answer) -> int | None:
    """RFC 9110 section 10.2.3, within 1 second and 1 hour."""
    text = answer.headers.get("retry-after", "")
    try:
        seconds = int(text[:12]) if text.isascii() and text.isdigit() else _until(text, answer.headers.get("date", ""))
    except (ValueError, OverflowError, TypeError):  # TypeError: one date with a zone, the other without
        return None
    return min(max(seconds, 1), MOST_RETRY_AFTER)


def _until(date: str, their_now: str) -> int:
    """By the answerer's own clock, since ours may be wrong."""
    return int((parsedate_to_datetime(date) - parsedate_to_datetime(their_now)).total_seconds())


def _no_answer(error: httpx.HTTPError, origin: str) -> Exception:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PinMismatch):
            return Untrusted(f"{origin}: {cause.args[-1]}")
        if type(cause).__name__ == "SSLCertVerificationError":
            why = getattr(cause, "verify_message", cause)
            return Untrusted(f"{origin}: the API's certificate is not trusted: {why}{_way_out(cause)}")
        cause = cause.__cause__ or cause.__context__
    what = str(error) or type(error).__name__
    return Unreachable(f"the master at {origin} cannot be reached: {what}")


def _way_out(error: BaseException) -> str:
    """What to do about an unknown issuer; a wrong date or host name is not mended by trusting another CA."""
    if getattr(error, "verify_code", None) not in _UNKNOWN_ISSUER:
        return ""
    return "; if a private CA issued it, name that CA's certificate in the settings: [master] ca_file"
