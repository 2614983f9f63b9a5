"""Hosts for tests of the API: one that enrols, one that is enrolled; both sign, and check what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx

from certline_shared import enrolment, sealing, signing
from certline_shared.codec import base64url
from certline_shared.keys import KeyType, PrivateKey, generate, make_csr
from certline_shared.manifest import Manifest, from_wire, open_signed
from certline_shared.messages import EnrolAnswer, EnrolRequest, LineWish, decode, encode

if TYPE_CHECKING:
    from tests.integration.api_bed import Bed

HOST = "master.example"
JSON = "application/json"
MASTER_PRIVATE, MASTER_PUBLIC = signing.generate_identity()
SEALING_PRIVATE, SEALING_PUBLIC = sealing.generate()


@dataclass
class FollowerClient:
    """A host that signs its requests and checks the answers."""

    bed: Bed
    private: bytes = field(repr=False)
    public: bytes
    name: str = "stranger"
    follower_id: str = ""
    key: PrivateKey = field(default_factory=lambda: generate(KeyType.ECDSA_P256))

    def __post_init__(self) -> None:
        self.follower_id = self.follower_id or self.bed.engine.chance.uuid()

    def signed(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: str = "",
        nonce: str | None = None,
        created: datetime | None = None,
        keyid: str | None = None,
    ) -> dict[str, str]:
        """The headers of a good request, unless told otherwise."""
        parts = signing.RequestParts(method, HOST, path, query, JSON if body else None, body)
        headers = signing.sign_request(
            self.private,
            parts,
            keyid=keyid or self.follower_id,
            nonce=nonce or base64url(self.bed.engine.chance.token(16)),
            created=created or self.bed.clock.now(),
        )
        return headers | {"Host": HOST} | ({"Content-Type": JSON} if body else {})

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> httpx.Response:
        return self.bed.http.request(method, path, headers=dict(headers), content=body or None, timeout=60)

    def ask(
        self, method: str, path: str, body: bytes = b"", *, etag: str | None = None, query: str = ""
    ) -> httpx.Response:
        """A good request; the answer's signature is checked."""
        nonce = base64url(self.bed.engine.chance.token(16))
        headers = self.signed(method, path, body, query=query, nonce=nonce)
        if etag:
            headers["If-None-Match"] = etag
        answer = self.send(method, f"{path}?{query}" if query else path, headers, body)
        check_signature(answer, nonce)
        return answer

    def wish(self, line: str, *names: str, key: PrivateKey | None = None, csr_names: Any = None) -> httpx.Response:
        """PUT a wish with a request for it."""
        csr = make_csr(key or self.key, tuple(csr_names or names))
        return self.ask("PUT", f"/v1/follower/lines/{line}", encode(LineWish(names or None, {"ecdsa-p256": csr})))

    def manifest(self, etag: str | None = None, wait: int = 0) -> httpx.Response:
        return self.ask("GET", "/v1/follower/manifest", etag=etag, query=f"wait={wait}" if wait else "")


def check_signature(answer: httpx.Response, nonce: str) -> None:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    signing.verify_answer((MASTER_PUBLIC,), headers, status=answer.status_code, body=answer.content, nonce=nonce)


@dataclass
class NewHost:
    """A host with fresh keys that enrols with an enrolment string."""

    bed: Bed
    string: enrolment.EnrolmentString
    address: str = "127.0.0.1"  # where it comes from: the limit of one attempt a second is per address

    def __post_init__(self) -> None:
        self.private, self.public = signing.generate_identity()
        self.nonce = base64url(self.bed.engine.chance.token(16))

    def request(self, **changes: Any) -> EnrolRequest:
        """The message; `changes` are made before its MAC."""
        fields: dict[str, Any] = {
            "token_id": self.string.token_id,
            "identity_key": self.public,
            "sealing_key": SEALING_PUBLIC,
            "sealing_suite": sealing.SUITE,
            "nonce": self.nonce,
            "protocol": 1,
            "agent": "certline-follower test",
        }
        bare = EnrolRequest(**{**fields, **changes})
        mac = enrolment.request_mac(enrolment.mac_key(self.string.secret), encode(bare, without=("mac",)))
        return EnrolRequest(**{**fields, **changes, "mac": mac})

    def enrol(
        self, message: EnrolRequest | None = None, *, keyid: str | None = None, created: datetime | None = None
    ) -> httpx.Response:
        body, headers = self.prepared(message, keyid=keyid, created=created)
        transport = httpx.HTTPTransport(local_address=self.address)
        with httpx.Client(base_url=self.bed.url, transport=transport, timeout=60) as http:
            return http.post("/v1/enroll", content=body, headers=headers)

    def prepared(
        self, message: EnrolRequest | None = None, *, keyid: str | None = None, created: datetime | None = None
    ) -> tuple[bytes, dict[str, str]]:
        """Body and headers of the request."""
        body = encode(message or self.request())
        parts = signing.RequestParts("POST", HOST, "/v1/enroll", "", JSON, body)
        headers = signing.sign_request(
            self.private,
            parts,
            keyid=keyid or self.string.token_id,
            nonce=base64url(self.bed.engine.chance.token(16)),
            created=created or self.bed.clock.now(),
        )
        return body, headers | {"Host": HOST, "Content-Type": JSON}

    def believed(self, answer: httpx.Response) -> EnrolAnswer:
        """The answer's content, if its MAC holds."""
        read = decode(EnrolAnswer, answer.content)
        mac = enrolment.answer_mac(enrolment.mac_key(self.string.secret), encode(read, without=("mac",)))
        assert enrolment.mac_holds(mac, read.mac)
        assert read.nonce == self.nonce
        return read


def opened(host: FollowerClient, etag: str | None = None) -> Manifest:
    """The manifest that the host gets now, its signature checked."""
    answer = host.manifest(etag)
    assert answer.status_code == 200, answer.text
    return open_signed(
        from_wire(answer.content), keys=(MASTER_PUBLIC,), follower_id=host.follower_id, epoch=0, serial=0, now=None
    )
