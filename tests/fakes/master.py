"""A small master for the follower's tests: real HTTPS in a thread, the real protocol, answers that a test may set.

It issues from a CA of its own, at once or when told, and keeps what it was asked and told.
"""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from certline_shared import certificates, codec, keys, manifest, messages, sealing, signing
from certline_shared.bundles import BUNDLE, Bundle, Receipt, open_receipt, read_receipt
from certline_shared.chance import SystemChance
from certline_shared.clock import Clock, SystemClock
from certline_shared.enrolment import EnrolmentString, answer_mac, mac_holds, mac_key, request_mac, to_text
from certline_shared.keys import KeyType
from certline_shared.manifest import CsrWanted, Manifest, ManifestFile, ManifestLine, StagedVersion
from certline_shared.messages import (
    DeploymentReport,
    EnrolAnswer,
    EnrolRequest,
    KeyChange,
    LineAnswer,
    LineAsk,
    LineTold,
    LineWish,
    Problem,
    Report,
    VersionContent,
)  # fmt: skip
from tests.fakes.tls import TlsAuthority

FRESH = timedelta(seconds=60)
FOLLOWER_ID = "0b9f3a52-6c1d-4e8e-9a34-2f1d8c7b6a50"


@dataclass(frozen=True)
class Reply:
    """An answer before it is signed."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Line:
    """A line as this master has it; versions count from 1."""

    names: tuple[str, ...]
    key_types: tuple[str, ...] = ("ecdsa-p256",)
    csrs: dict[str, bytes] = field(default_factory=dict)
    versions: dict[int, dict[str, str]] = field(default_factory=dict)
    live: int | None = None
    rollback: bool = False
    error: str | None = None
    custody: str | None = None  # "master": a version's keys are made here and sealed to the follower
    next_csrs: dict[str, bytes] = field(default_factory=dict)
    wants_next: bool = False
    staged: int | None = None
    activate_at: datetime | None = None


@dataclass
class Tampering:
    """How answers are falsified, each as a function of what was right. All None: not at all."""

    manifest: Callable[[Manifest], Manifest] | None = None
    content: Callable[[VersionContent], VersionContent] | None = None
    before_signing: Callable[[str, Reply], Reply] | None = None  # path, reply
    after_signing: Callable[[str, Reply], Reply] | None = None
    signing_key: bytes | None = None  # of answers and manifests, in place of ours


class FakeMaster:
    """Start it by `running()`. All that a test sets or reads is safe to touch while it runs, under `lock`."""

    def __init__(self, folder: Path, *, issue_at_once: bool = True) -> None:
        self.lock = threading.Condition()
        self.api_authority = TlsAuthority("certline API")
        self.issuing = TlsAuthority("issuing")
        self.clock: Clock = SystemClock()
        self.chance = SystemChance()
        self.signing_key, self.signing_public = signing.generate_identity()
        self.issue_at_once = issue_at_once
        self.issued_days = 90  # how long certificates last
        self.grants: tuple[str, ...] = ()
        self.lines: dict[str, Line] = {}
        self.epoch, self.serial = 1, 0
        self.secrets: dict[str, bytes] = {}
        self.used: dict[str, bytes] = {}  # token id -> identity key
        self.followers: dict[str, bytes] = {}  # id -> identity key
        self.sealing_key = b""  # of the follower that enrolled last
        self.made_keys: list[str] = []  # PKCS#8 in PEM, of lines of our custody
        self.copies: list[dict[str, tuple[str, ...]]] = []  # as reported
        self.next_keys: dict[str, bytes] = {}  # id -> identity key announced
        self.takes_back = False  # what a host hands back after it was restored
        self.takes_keys = True
        self.sequences: list[int | None] = []  # of changing requests
        self.refuses: dict[str, str] = {}  # what a host may not ask for, and why
        self.revoked = False
        self.suspended = ""  # why
        self.requests: list[str] = []  # "GET /path?query"
        self.deployments: list[DeploymentReport] = []
        self.reports: list[Report] = []
        self.tampering = Tampering()
        self.ready_replies: list[Reply] = []  # unsigned, given to the next requests in place of an answer
        self.holds = True  # long-polls
        self._nonces: set[str] = set()
        self._tag = ""
        self._folder = folder
        self.port = 0
        self._present(self.api_authority.server_chain())

    # What a test does

    @property
    def origin(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def token(self, *, trust: str = "pin") -> str:
        """A new enrolment string."""
        token_id = f"t{len(self.secrets) + 1}"
        self.secrets[token_id] = self.chance.token(32)
        pins = (self.api_authority.pin,) if trust == "pin" else ()
        return to_text(
            EnrolmentString(
                self.origin, token_id, self.secrets[token_id], trust, pins, signing.thumbprint(self.signing_public),
                self.clock.now() + timedelta(minutes=30),
            )
        )  # fmt: skip

    def present(self, chain: str) -> None:
        """From the next connection on, show this certificate chain (key and certificates, PEM)."""
        self._present(chain)

    def issue(self, name: str) -> int:
        """Make the line's next version from its requests; its number."""
        with self.lock:
            line = self.lines[name]
            number = max(line.versions, default=0) + 1
            sealed = self._make_keys(name, line, number) if line.custody == "master" else {}
            chains = {f"{kind}/chain.pem": self._certify(der) for kind, der in line.csrs.items()}
            line.versions[number] = {**chains, **sealed}
            line.live = number
            self.lock.notify_all()
        return number

    def roll(self, name: str) -> int:
        """Issue for the next keys, which become the current ones."""
        with self.lock:
            line = self.lines[name]
            line.csrs, line.next_csrs = {**line.csrs, **line.next_csrs}, {}
        return self.issue(name)

    def stage(self, name: str, activate_at: datetime | None = None, *, roll: bool = False) -> int:
        """Make the line's next version, for its next keys if so wished, which is not live yet."""
        with self.lock:
            live = self.lines[name].live
            number = self.roll(name) if roll else self.issue(name)
            self.set_line(name, live=live, staged=number, activate_at=activate_at)
        return number

    def go_live(self, name: str) -> None:
        """What is staged becomes the live version."""
        self.set_line(name, live=self.lines[name].staged, staged=None, activate_at=None)

    def set_line(self, name: str, **changes: object) -> None:
        """Change members of a line, or make it."""
        with self.lock:
            line = self.lines.setdefault(name, Line(()))
            for member, value in changes.items():
                setattr(line, member, value)
            self.lock.notify_all()

    def share(self, name: str, *names: str, key_types: tuple[str, ...] = ("ecdsa-p256",)) -> int:
        """Make a line whose key is kept here, or take one into our custody; its version with new keys."""
        self.set_line(name, names=names, key_types=key_types, custody="master", csrs={})
        return self.issue(name)

    def hand_back(self, name: str) -> None:
        """From now on the follower is to have a key of its own."""
        self.set_line(name, custody=None, csrs={})

    def bundle(self) -> Bundle:
        """What is carried to a host without a connection."""
        with self.lock:
            made = self.manifest()
            live = [(name, line, line.live) for name, line in sorted(self.lines.items()) if line.live]
            contents = tuple(VersionContent(name, number, line.versions[number]) for name, line, number in live)
            signed = manifest.sign(made, self.tampering.signing_key or self.signing_key)
        if self.tampering.content:
            contents = tuple(map(self.tampering.content, contents))
        return Bundle(BUNDLE, signed, contents)

    def hear(self, file: bytes) -> Receipt:
        """A receipt that was carried back: its wishes and reports count."""
        receipt = open_receipt(read_receipt(file), self.followers[FOLLOWER_ID], FOLLOWER_ID)
        with self.lock:
            for name, wish in receipt.wishes.items():
                assert self._put(name, wish).status == 200
            self.deployments += receipt.report.deployments
        return receipt

    def remove_line(self, name: str) -> None:
        with self.lock:
            del self.lines[name]
            self.lock.notify_all()

    def grant(self, *names: str) -> None:
        with self.lock:
            self.grants = names
            self.lock.notify_all()

    def last_report(self, line: str) -> DeploymentReport | None:
        with self.lock:
            return next((one for one in reversed(self.deployments) if one.line == line), None)

    def asked(self, start: str) -> list[str]:
        """The requests that begin so, such as `PUT /v1`."""
        with self.lock:
            return [request for request in self.requests if request.startswith(start)]

    @contextmanager
    def running(self, port: int = 0) -> Iterator["FakeMaster"]:
        """Listen on 127.0.0.1; may be done again on the same port after it ended."""
        server = _Server(("127.0.0.1", port), _handler_of(self))
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            with self.lock:
                self.lock.notify_all()
            server.drop_all()
            thread.join()

    # What it does

    def _present(self, chain: str) -> None:
        file = self._folder / "api.pem"
        file.write_text(chain)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        self.tls = context

    def _make_keys(self, name: str, line: Line, number: int) -> dict[str, str]:
        """New keys with their requests; what travels of them."""
        made = {kind: keys.generate(KeyType(kind)) for kind in line.key_types}
        line.csrs = {kind: keys.make_csr(key, line.names) for kind, key in made.items()}
        self.made_keys += [keys.to_pem(key).decode() for key in made.values()]
        return {f"{kind}/key.sealed": self.seal(keys.to_pem(key), name, number, kind) for kind, key in made.items()}

    def seal(self, pem: bytes, line: str, version: int, kind: str, *, follower: str = FOLLOWER_ID) -> str:
        """A private key as it travels to the follower that enrolled here."""
        info = sealing.key_info(follower, line, version, kind)
        return codec.base64url(sealing.seal(pem, self.sealing_key, info))

    def _certify(self, csr: bytes) -> str:
        return self.issuing.certify(csr, self.clock.now(), self.issued_days) + self.issuing.pem

    def manifest(self) -> Manifest:
        """What the follower is to follow now; the serial rises when it changes."""
        lines = tuple(_manifest_line(name, line) for name, line in sorted(self.lines.items()))
        now = self.clock.now()
        made = Manifest(
            FOLLOWER_ID, self.epoch, self.serial, messages.time_text(now), messages.time_text(now + timedelta(days=30)),
            self.grants, (self.signing_public,), (self.api_authority.pin,), lines,
        )  # fmt: skip
        if manifest.content_tag(made) != self._tag:
            self._tag = manifest.content_tag(made)
            self.serial += 1
        return self._with_serial(made)

    def _with_serial(self, made: Manifest) -> Manifest:
        made = replace(made, serial=self.serial)
        return self.tampering.manifest(made) if self.tampering.manifest else made

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """The whole of one exchange: who asks, what, and the signature under the answer."""
        with self.lock:
            self.requests.append(f"{method} {target}")
            if self.ready_replies:
                return self.ready_replies.pop(0)
            path, _, query = target.partition("?")
            parts = signing.RequestParts(
                method, headers.get("host", ""), path, query, headers.get("content-type"), body
            )
            try:
                claims = signing.read_request_claims(headers)
            except signing.BadSignature as error:
                return _problem(401, "unauthorized", error.reason)
            if path == "/v1/enroll":
                return self._enrol(headers, parts)
            reply = self._known(claims, headers, parts)
            return self._signed(path, reply, claims.nonce)

    def _known(self, claims: signing.SignatureClaims, headers: dict[str, str], parts: signing.RequestParts) -> Reply:
        public = self.followers.get(claims.keyid)
        if public is None:
            return _problem(401, "unauthorized", "not authenticated")
        if self.revoked:
            return _problem(401, "revoked", "the follower is revoked")
        if self.suspended:
            return _problem(403, "suspended", f"this follower is suspended ({self.suspended})")
        if abs(claims.created - self.clock.now()) > FRESH and claims.nonce.partition(".")[0] not in self._nonces:
            nonce = codec.base64url(self.chance.token(16))
            self._nonces.add(nonce)
            return Reply(401, _problem(401, "stale", "sign again").body, {"certline-nonce": nonce})
        known = (public, self.next_keys.get(claims.keyid))
        signer = next((key for key in known if key and _signs(key, headers, parts)), None)
        if signer is None:
            return _problem(401, "unauthorized", "signature does not hold")
        if signer != public:
            self.followers[claims.keyid] = self.next_keys.pop(claims.keyid)
        return self._route(parts, headers)

    def _change_keys(self, body: bytes) -> Reply:
        if not self.takes_keys:
            return _problem(404, "not-found", "there is no such route")
        change = messages.decode(KeyChange, body)
        self.sequences.append(change.seq)
        said = messages.KEY_CHANGE_PREFIX + messages.canonical(body, without=("proof",))
        if not signing.verify(change.identity_key, change.proof, said):
            return _problem(422, "invalid", "the proof does not hold")
        self.next_keys[FOLLOWER_ID] = change.identity_key
        return Reply(204)

    def _route(self, parts: signing.RequestParts, headers: dict[str, str]) -> Reply:
        match (parts.method, *parts.path.strip("/").split("/")[2:]):
            case ("GET", "manifest"):
                return self._manifest(parts.query, headers.get("if-none-match"))
            case ("PUT", "lines", name):
                wish = messages.decode(LineWish, parts.body)
                self.sequences.append(wish.seq)
                return self._put(name, wish)
            case ("POST", "lines", name, ("renew" | "rollover") as what):
                self.sequences.append(messages.decode(LineAsk, parts.body).seq)
                return self._ask_line(name, what)
            case ("POST", "keys"):
                return self._change_keys(parts.body)
            case ("GET", "lines", name, "versions", number):
                return self._version(name, int(number))
            case ("PUT", "lines", name, "versions", number) if self.takes_back:
                content = messages.decode(VersionContent, parts.body)
                self.lines[name].versions[int(number)] = content.files
                self.lines[name].live = int(number)
                return Reply(204)
            case ("POST", "reports"):
                report = messages.decode(Report, parts.body)
                self.sequences.append(report.seq)
                self.reports.append(report)
                self.deployments += report.deployments
                self.copies += [report.keys] if report.keys is not None else []
                self.lock.notify_all()
                return Reply(204)
        return _problem(404, "not-found", "there is no such route")

    def _manifest(self, query: str, etag: str | None) -> Reply:
        wait = float(query.removeprefix("wait=") or 0) if self.holds else 0.0
        self.lock.wait_for(lambda: self._tag_now() != etag, timeout=wait)
        tag = self._tag_now()
        if tag == etag:
            return Reply(304, b"", {"etag": tag})
        signed = manifest.sign(self.manifest(), self.tampering.signing_key or self.signing_key)
        return Reply(200, manifest.to_wire(signed), {"etag": tag})

    def _tag_now(self) -> str:
        return manifest.content_tag(self.manifest())

    def _put(self, name: str, wish: LineWish) -> Reply:
        missing = tuple(wanted for wanted in wish.names or () if wanted not in self.grants)
        if missing:
            return _problem(403, "not-granted", f"no grant for {', '.join(missing)}", names=missing)
        if wish.names is None and name not in self.lines:
            return _problem(404, "not-found", "no such line")
        line = self.lines.setdefault(name, Line(wish.names or ()))
        changed = _asked_for(line.csrs) != _asked_for(wish.csrs) or (
            wish.names is not None and line.names != wish.names
        )
        line.csrs, line.names, line.key_types = wish.csrs, wish.names or line.names, tuple(wish.csrs)
        line.next_csrs = {**line.next_csrs, **wish.next_csrs}
        if self.issue_at_once and changed:
            self.issue(name)
        self.lock.notify_all()
        return Reply(200, messages.encode(LineAnswer(f"{name}@host", "waiting", line.names)))

    def _ask_line(self, name: str, what: str) -> Reply:
        if name not in self.lines:
            return _problem(404, "not-found", "no such line")
        if what in self.refuses:
            return _problem(409, "conflict", self.refuses[what])
        self.issue(name)
        return Reply(200, messages.encode(LineTold(f"{name}@host", "asked for by hand")))

    def _version(self, name: str, number: int) -> Reply:
        line = self.lines.get(name)
        if line is None or number not in line.versions:
            return _problem(404, "not-found", "no such version")
        content = VersionContent(name, number, line.versions[number])
        return Reply(200, messages.encode(self.tampering.content(content) if self.tampering.content else content))

    def _enrol(self, headers: dict[str, str], parts: signing.RequestParts) -> Reply:
        request = messages.decode(EnrolRequest, parts.body)
        secret = self.secrets.get(request.token_id)
        bare = messages.canonical(parts.body, without=("mac",))
        if secret is None or not mac_holds(request_mac(mac_key(secret), bare), request.mac):
            return _problem(401, "unauthorized", "not authenticated")
        signing.verify_request(request.identity_key, headers, parts)
        if self.used.setdefault(request.token_id, request.identity_key) != request.identity_key:
            return _problem(409, "conflict", "the token was used")
        self.followers[FOLLOWER_ID] = request.identity_key
        self.sealing_key = request.sealing_key
        answer = EnrolAnswer(
            FOLLOWER_ID, "host", (self.signing_public,), (self.api_authority.pin,), self.epoch,
            messages.time_text(self.clock.now()), request.nonce, 1,
        )  # fmt: skip
        mac = codec.base64url(answer_mac(mac_key(secret), messages.encode(answer, without=("mac",))))
        return self._tampered(
            "/v1/enroll", Reply(200, codec.canonical(json.loads(messages.encode(answer)) | {"mac": mac}))
        )

    def _tampered(self, path: str, reply: Reply) -> Reply:
        return self.tampering.after_signing(path, reply) if self.tampering.after_signing else reply

    def _signed(self, path: str, reply: Reply, nonce: str) -> Reply:
        if self.tampering.before_signing:
            reply = self.tampering.before_signing(path, reply)
        key = self.tampering.signing_key or self.signing_key
        headers = signing.sign_answer(
            key, status=reply.status, body=reply.body, etag=reply.headers.get("etag"), nonce=nonce,
            created=self.clock.now(), keyid=signing.thumbprint(signing.identity_public(key)),
        )  # fmt: skip
        return self._tampered(path, Reply(reply.status, reply.body, {**reply.headers, **headers}))


def _manifest_line(name: str, line: Line) -> ManifestLine:
    lacking = () if line.custody == "master" else line.key_types
    wanted = tuple(CsrWanted(kind) for kind in lacking if kind not in line.csrs)
    if line.wants_next:
        wanted += tuple(CsrWanted(kind, "next") for kind in lacking if kind not in line.next_csrs)
    files = line.versions[line.live] if line.live else {}
    facts = _facts(files)
    ends = min((one.not_after for one in facts.values()), default=None)
    return ManifestLine(
        name, line.names, line.key_types, wanted, line.live, _listed(files),
        {kind: one.spki_sha256 for kind, one in facts.items()},
        messages.time_text(ends) if ends else None, line.rollback, line.error, line.custody,
        staged=_staged(line),
    )  # fmt: skip


def _asked_for(csrs: dict[str, bytes]) -> dict[str, tuple[str, ...]]:
    """What counts of requests: another signature by the same key is no news."""
    found = {kind: keys.read_csr(csr) for kind, csr in csrs.items()}
    return {kind: (one.spki_sha256, *one.names) for kind, one in found.items()}


def _facts(files: dict[str, str]) -> dict[str, certificates.CertificateFacts]:
    chains = {path.partition("/")[0]: text for path, text in files.items() if path.endswith("/chain.pem")}
    return {kind: certificates.read_chain(text) for kind, text in chains.items()}


def _listed(files: dict[str, str]) -> tuple[ManifestFile, ...]:
    return tuple(ManifestFile(path, sha256(text.encode()).hexdigest(), len(text)) for path, text in files.items())


def _staged(line: Line) -> StagedVersion | None:
    if line.staged is None:
        return None
    files = line.versions[line.staged]
    facts = _facts(files)
    return StagedVersion(
        line.staged, _listed(files), {kind: one.spki_sha256 for kind, one in facts.items()},
        messages.time_text(max(one.not_before for one in facts.values())),
        messages.time_text(min(one.not_after for one in facts.values())),
        messages.time_text(line.activate_at) if line.activate_at else None,
    )  # fmt: skip


def _signs(key: bytes, headers: dict[str, str], parts: signing.RequestParts) -> bool:
    try:
        signing.verify_request(key, headers, parts)
    except signing.BadSignature:
        return False
    return True


def _problem(status: int, kind: str, detail: str, names: tuple[str, ...] = ()) -> Reply:
    problem = Problem(f"urn:certline:problem:{kind}", kind, status, detail, names=names)
    return Reply(status, messages.encode(problem), {"content-type": "application/problem+json"})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.open: set[ssl.SSLSocket] = set()

    def handle_error(self, *_: object) -> None:
        """A connection that breaks off is the client's business."""

    def drop_all(self) -> None:
        for connection in list(self.open):
            connection.close()


def _handler_of(master: FakeMaster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def setup(self) -> None:
            self.request.settimeout(70)
            self.request = master.tls.wrap_socket(self.request, server_side=True)
            assert isinstance(self.server, _Server)
            self.server.open.add(self.request)
            super().setup()

        def finish(self) -> None:
            super().finish()
            assert isinstance(self.server, _Server)
            self.server.open.discard(self.request)
            self.request.close()

        def log_message(self, *_: object) -> None:
            """Quiet."""

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = master.answer(self.command, self.path, headers, body)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status not in (204, 304):
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_PUT = do_POST = _serve  # noqa: N815 the library's names

    return Handler
