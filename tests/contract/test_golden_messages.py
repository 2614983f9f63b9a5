"""The golden messages: what stands in `golden/` byte for byte is the protocol, and both sides' code agrees with it.

A change of these files is a change of the protocol (docs/protocol.md). Another implementation may test itself against
them; the keys in `keys.json` are for that alone.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certline_shared import certificates, codec, enrolment, introduction, keys, manifest, messages, sealing, signing
from certline_shared.messages import Message
from certline_shared.signing import RequestParts

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FOLLOWER = "0b9f3a52-6c1d-4e8e-9a34-2f1d8c7b6a50"
TOKEN = "7d1e4c9a-1b2f-4f6d-8c3e-5a9b0d2e4f61"
AUTHORITY = "master.example:8443"
NONCE = "Zm9sbG93ZXItbm9uY2UtMQ"
CHAIN_FILE, KEY_FILE = "ecdsa-p256/chain.pem", "ecdsa-p256/key.sealed"


def raw(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def values(name: str) -> dict[str, str]:
    """A flat file of named texts."""
    loaded: dict[str, str] = json.loads(raw(name))
    return loaded


KEYS = {name: codec.from_base64url(text) for name, text in values("keys.json").items()}
IDENTITY, MASTER, NEXT = (signing.identity_public(KEYS[name]) for name in ("identity", "master", "master_next"))
LINE_KEY = keys.from_pem(KEYS["line_key_pem"])
SECRET = KEYS["enrolment_secret"]
MAC_KEY = enrolment.mac_key(SECRET)
TLS_PINS = (hashlib.sha256(b"the API's CA").hexdigest(), hashlib.sha256(b"the API's next CA").hexdigest())
CHAIN = json.loads(raw("version-content.json"))["files"][CHAIN_FILE]
SEALED = values("sealed-key.json")["sealed"]
CSR = messages.decode(messages.LineWish, raw("line-wish.json")).csrs["ecdsa-p256"]
NEXT_CSR = messages.decode(messages.LineWish, raw("line-wish-next.json")).next_csrs["ecdsa-p256"]

STRING = enrolment.EnrolmentString(
    f"https://{AUTHORITY}",
    TOKEN,
    SECRET,
    "pin",
    TLS_PINS,
    signing.thumbprint(MASTER),
    datetime(2026, 11, 20, 12, 30, tzinfo=UTC),
)
ENROL_REQUEST = messages.EnrolRequest(
    token_id=TOKEN,
    identity_key=IDENTITY,
    sealing_key=sealing.public_of(KEYS["sealing"]),
    sealing_suite=sealing.SUITE,
    nonce=NONCE,
    protocol=1,
    agent="certline-follower 0.1.0",
)
ENROL_ANSWER = messages.EnrolAnswer(
    follower_id=FOLLOWER,
    follower="web-7",
    signing_keys=(MASTER, NEXT),
    tls_pins=TLS_PINS,
    epoch=1_795_000_000,
    time="2026-11-20T12:00:00Z",
    nonce=NONCE,
    protocol=1,
)
IDENTITY_NEXT = signing.identity_public(KEYS["identity_next"])
KEY_CHANGE = messages.KeyChange(
    identity_key=IDENTITY_NEXT,
    sealing_key=sealing.public_of(KEYS["sealing_next"]),
    sealing_suite=sealing.SUITE,
    proof=b"",
    seq=1_795_176_000_123,
)
HOST_KEYS = introduction.HostKeys(IDENTITY, sealing.public_of(KEYS["sealing"]))
FINGERPRINT = introduction.fingerprint(HOST_KEYS.identity_key, HOST_KEYS.sealing_key, MASTER)
CODE = KEYS["introduction_code"]
INTRODUCTION = messages.Introduction(
    name="web-7",
    identity_key=IDENTITY,
    sealing_key=HOST_KEYS.sealing_key,
    sealing_suite=sealing.SUITE,
    nonce=NONCE,
    protocol=1,
    agent="certline-follower 0.2.0",
)
WAITS = messages.IntroductionAnswer("pending", (MASTER, NEXT), TLS_PINS, NONCE, 1)
JOIN = introduction.JoinString(
    f"https://{AUTHORITY}", FOLLOWER, "web-7", signing.thumbprint(IDENTITY), "pin", TLS_PINS, (MASTER, NEXT),
    1_795_000_000,
)  # fmt: skip
MESSAGES: Mapping[str, Message] = {
    "key-change.json": replace(
        KEY_CHANGE,
        proof=signing.sign(
            KEYS["identity_next"], messages.KEY_CHANGE_PREFIX + messages.encode(KEY_CHANGE, without=("proof",))
        ),
    ),
    "introduction.json": INTRODUCTION,
    "introduction-answer-pending.json": WAITS,
    "introduction-answer-approved.json": replace(
        WAITS,
        state="approved",
        follower_id=FOLLOWER,
        follower="web-7",
        epoch=1_795_000_000,
        time="2026-11-20T12:00:00Z",
        proof=introduction.approval(introduction.code_text(CODE), FINGERPRINT, FOLLOWER),
    ),
    "enrol-request.json": replace(
        ENROL_REQUEST, mac=enrolment.request_mac(MAC_KEY, messages.encode(ENROL_REQUEST, without=("mac",)))
    ),
    "enrol-answer.json": replace(
        ENROL_ANSWER, mac=enrolment.answer_mac(MAC_KEY, messages.encode(ENROL_ANSWER, without=("mac",)))
    ),
    "line-wish.json": messages.LineWish(("shop.example.org", "*.shop.example.org"), {"ecdsa-p256": CSR}),
    "line-wish-next.json": messages.LineWish(
        ("shop.example.org", "*.shop.example.org"), {"ecdsa-p256": CSR}, next_csrs={"ecdsa-p256": NEXT_CSR}
    ),
    "line-wish-of-the-operators.json": messages.LineWish(None, {"ecdsa-p256": CSR}),
    "rehearsal-wish.json": messages.RehearsalWish(None, {"ecdsa-p256": CSR}),
    "rehearsal-report.json": messages.Report(
        "certline-follower 0.3.0",
        3,
        (),
        rehearsals=(messages.DeploymentReport("shop", 0, "installed", "its reload failed", goal="reloaded"),),
    ),
    "line-ask.json": messages.LineAsk(1_795_176_000_123),
    "line-told.json": messages.LineTold("shop@web-7", "version 3 is live; asked for by hand"),
    "line-answer.json": messages.LineAnswer("shop@web-7", "waiting", ("shop.example.org", "*.shop.example.org")),
    "version-content.json": messages.VersionContent("shop", 3, {CHAIN_FILE: CHAIN}),
    "version-content-shared.json": messages.VersionContent("shop", 3, {CHAIN_FILE: CHAIN, KEY_FILE: SEALED}),
    "report.json": messages.Report(
        "certline-follower 0.1.0",
        41,
        (
            messages.DeploymentReport("shop", 3, "served"),
            messages.DeploymentReport("mail", 7, "installed", "postfix reload: exit status 1"),
        ),
    ),
    "problem-not-granted.json": messages.Problem(
        "urn:certline:problem:not-granted",
        "Names without a grant",
        403,
        "this follower has no grant for: other.example.org",
        errors=({"field": "/names/1", "detail": "no grant for other.example.org"},),
        names=("other.example.org",),
    ),
    "problem-too-many-requests.json": messages.Problem(
        "urn:certline:problem:too-many-requests",
        "Too many requests",
        429,
        "this follower may cause 20 orders a day",
        retry_at="2026-11-20T18:00:00Z",
    ),
}
MANIFEST = manifest.Manifest(
    follower_id=FOLLOWER,
    epoch=1_795_000_000,
    serial=41,
    issued_at="2026-11-20T12:00:00Z",
    expires_at="2026-12-20T12:00:00Z",
    grants=("*.shop.example.org", "shop.example.org"),
    signing_keys=(MASTER, NEXT),
    tls_pins=TLS_PINS,
    lines=(
        manifest.ManifestLine(
            name="mail",
            names=("mail.example.org",),
            key_types=("ecdsa-p256", "rsa-2048"),
            csr_wanted=(manifest.CsrWanted("ecdsa-p256"), manifest.CsrWanted("rsa-2048", "next")),
            version=None,
            files=(),
            spki_sha256={},
            not_after=None,
            error="mail.example.org: the zone example.org refuses updates (REFUSED)",
        ),
        manifest.ManifestLine(
            name="shop",
            names=("shop.example.org", "*.shop.example.org"),
            key_types=("ecdsa-p256",),
            csr_wanted=(),
            version=3,
            files=(manifest.ManifestFile(CHAIN_FILE, hashlib.sha256(CHAIN.encode()).hexdigest(), len(CHAIN.encode())),),
            spki_sha256={"ecdsa-p256": keys.spki_sha256(LINE_KEY)},
            not_after="2027-02-18T11:00:00Z",
            rollback=True,
        ),
    ),
)
SHARED = replace(
    MANIFEST,
    lines=(
        manifest.ManifestLine(
            name="shop",
            names=("shop.example.org", "*.shop.example.org"),
            key_types=("ecdsa-p256",),
            csr_wanted=(),
            version=3,
            files=tuple(
                manifest.ManifestFile(name, hashlib.sha256(text.encode()).hexdigest(), len(text.encode()))
                for name, text in ((CHAIN_FILE, CHAIN), (KEY_FILE, SEALED))
            ),
            spki_sha256={"ecdsa-p256": keys.spki_sha256(LINE_KEY)},
            not_after="2027-02-18T11:00:00Z",
            custody="master",
        ),
    ),
)
PUT = RequestParts("PUT", AUTHORITY, "/v1/follower/lines/shop", "", "application/json", raw("line-wish.json"))
GET = RequestParts("GET", AUTHORITY, "/v1/follower/manifest", "wait=55", None, b"")
POST = RequestParts("POST", AUTHORITY, "/v1/enroll", "", "application/json", raw("enrol-request.json"))
SIGNED_REQUESTS = {
    "signed-request-put.json": (PUT, FOLLOWER, NONCE),
    "signed-request-get.json": (GET, FOLLOWER, NONCE),
    "signed-request-server-nonce.json": (GET, FOLLOWER, "c2VydmVyLW5vbmNl.Zm9sbG93ZXItbm9uY2UtMg"),
    "signed-request-enrol.json": (POST, TOKEN, NONCE),
}
TAG = manifest.content_tag(MANIFEST)
SIGNED_ANSWERS: Mapping[str, tuple[int, bytes, str | None]] = {
    "signed-answer-manifest.json": (200, raw("signed-manifest.json"), TAG),
    "signed-answer-not-modified.json": (304, b"", TAG),
    "signed-answer-problem.json": (403, raw("problem-not-granted.json"), None),
    "signed-answer-report.json": (204, b"", None),
}


def headers_as_sent(parts: RequestParts, keyid: str, nonce: str) -> dict[str, str]:
    added = signing.sign_request(KEYS["identity"], parts, keyid=keyid, nonce=nonce, created=NOW)
    content = {"Content-Type": parts.content_type} if parts.content_type else {}
    return {"Host": parts.authority, "Certline-Protocol": "1"} | content | added


def headers_as_answered(status: int, body: bytes, etag: str | None) -> dict[str, str]:
    keyid = signing.thumbprint(MASTER)
    tag = {"ETag": etag} if etag else {}
    signed = signing.sign_answer(
        KEYS["master"], status=status, body=body, etag=etag, nonce=NONCE, created=NOW, keyid=keyid
    )
    return tag | signed


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def start_line(parts: RequestParts) -> str:
    return f"{parts.method} {parts.path}{'?' + parts.query if parts.query else ''} HTTP/1.1"


@pytest.mark.parametrize("name", MESSAGES)
def test_a_golden_message_is_what_we_write_and_reads_back_the_same(name: str) -> None:
    message = MESSAGES[name]
    assert messages.encode(message) == raw(name)
    assert messages.decode(type(message), raw(name)) == message


def test_the_golden_enrolment_string_reads_and_is_written_the_same() -> None:
    text = raw("enrolment-string.txt").decode("ascii")
    assert enrolment.from_text(text) == STRING
    assert enrolment.to_text(STRING) + "\n" == text


def test_the_golden_strings_of_known_keys_read_and_are_written_the_same() -> None:
    keys_text, join_text = raw("keys-string.txt").decode("ascii"), raw("join-string.txt").decode("ascii")
    assert introduction.keys_of(keys_text) == HOST_KEYS
    assert introduction.keys_text(HOST_KEYS) + "\n" == keys_text
    assert introduction.join_of(join_text) == JOIN
    assert introduction.join_text(JOIN) + "\n" == join_text


def test_the_golden_fingerprint_is_what_the_host_shows() -> None:
    assert introduction.shown(FINGERPRINT, CODE) + "\n" == raw("fingerprint.txt").decode("ascii")


def test_the_proof_of_a_golden_key_change_is_over_the_body_without_it() -> None:
    change = messages.decode(messages.KeyChange, raw("key-change.json"))
    over = messages.KEY_CHANGE_PREFIX + messages.canonical(raw("key-change.json"), without=("proof",))
    assert signing.verify(IDENTITY_NEXT, change.proof, over)


def test_the_golden_macs_hold_over_the_bodies_without_them() -> None:
    request = messages.decode(messages.EnrolRequest, raw("enrol-request.json"))
    over = messages.canonical(raw("enrol-request.json"), without=("mac",))
    assert enrolment.mac_holds(enrolment.request_mac(MAC_KEY, over), request.mac)
    answer = messages.decode(messages.EnrolAnswer, raw("enrol-answer.json"))
    over = messages.canonical(raw("enrol-answer.json"), without=("mac",))
    assert enrolment.mac_holds(enrolment.answer_mac(MAC_KEY, over), answer.mac)


@pytest.mark.parametrize("name", SIGNED_REQUESTS)
def test_a_golden_request_verifies_and_is_signed_the_same(name: str) -> None:
    parts, keyid, nonce = SIGNED_REQUESTS[name]
    golden = json.loads(raw(name))
    claims = signing.verify_request(IDENTITY, lower(golden["headers"]), parts)
    assert claims == signing.SignatureClaims(keyid, nonce, NOW)
    expected = {
        "start": start_line(parts),
        "headers": headers_as_sent(parts, keyid, nonce),
        "body": parts.body.decode(),
    }
    assert golden == expected


def test_the_signature_base_shown_in_the_protocol_page_is_that_of_the_golden_request() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    lines = [line.removeprefix("    ") for line in page.splitlines() if line.startswith('    "@')]
    signature = json.loads(raw("signed-request-get.json"))["headers"]["Signature"]
    proof = base64.b64decode(signature.removeprefix("sig=:").removesuffix(":"))
    assert signing.verify(IDENTITY, proof, "\n".join(lines).encode())


@pytest.mark.parametrize("name", SIGNED_ANSWERS)
def test_a_golden_answer_verifies_and_is_signed_the_same(name: str) -> None:
    status, body, etag = SIGNED_ANSWERS[name]
    golden = json.loads(raw(name))
    told = signing.verify_answer((MASTER, NEXT), lower(golden["headers"]), status=status, body=body, nonce=NONCE)
    assert told == NOW
    expected = {"status": status, "headers": headers_as_answered(status, body, etag), "body": body.decode()}
    assert golden == expected


def test_the_golden_manifest_may_be_followed_and_is_signed_the_same() -> None:
    signed = manifest.from_wire(raw("signed-manifest.json"))
    opened = manifest.open_signed(
        signed, keys=(MASTER, NEXT), follower_id=FOLLOWER, epoch=MANIFEST.epoch, serial=41, now=NOW
    )
    assert opened == MANIFEST
    assert manifest.encode(MANIFEST) == signed.manifest == raw("manifest.json")
    assert manifest.to_wire(manifest.sign(MANIFEST, KEYS["master"])) == raw("signed-manifest.json")


def test_the_golden_manifest_of_a_shared_line_names_the_sealed_key_that_is_sent() -> None:
    assert manifest.encode(SHARED) == raw("manifest-shared.json")
    (line,) = manifest.open_signed(
        manifest.sign(SHARED, KEYS["master"]), keys=(MASTER,), follower_id=FOLLOWER, epoch=0, serial=0, now=NOW
    ).lines
    sent = messages.decode(messages.VersionContent, raw("version-content-shared.json")).files
    named = {file.name: (file.sha256, file.length) for file in line.files}
    assert named == {name: (hashlib.sha256(text.encode()).hexdigest(), len(text)) for name, text in sent.items()}
    info = sealing.key_info(FOLLOWER, line.name, 3, "ecdsa-p256")
    opened = keys.from_pem(sealing.open_sealed(codec.from_base64url(sent[KEY_FILE]), KEYS["sealing"], info))
    assert {"ecdsa-p256": keys.spki_sha256(opened)} == line.spki_sha256


def test_the_golden_chain_belongs_to_the_golden_key_and_request() -> None:
    facts = keys.read_csr(CSR)
    assert facts.names == ("*.shop.example.org", "shop.example.org")
    issued = certificates.check_issued(CHAIN, names=facts.names, spki_sha256=facts.spki_sha256, now=NOW)
    assert messages.time_text(issued.not_after) == MANIFEST.lines[1].not_after
    assert certificates.matches(LINE_KEY, CHAIN)


def test_the_golden_sealed_key_opens_for_its_follower_line_version_and_kind() -> None:
    golden = values("sealed-key.json")
    info = sealing.key_info(FOLLOWER, "shop", 3, "ecdsa-p256")
    assert info == codec.from_base64url(golden["info"])
    assert golden["suite"] == sealing.SUITE
    opened = sealing.open_sealed(codec.from_base64url(golden["sealed"]), KEYS["sealing"], info)
    assert opened == KEYS["line_key_pem"]


def test_every_golden_file_is_read_by_a_test_here() -> None:
    known = {*MESSAGES, *SIGNED_REQUESTS, *SIGNED_ANSWERS}
    known |= {"keys.json", "enrolment-string.txt", "manifest.json", "signed-manifest.json", "sealed-key.json"}
    known |= {"manifest-shared.json"}
    known |= {"keys-string.txt", "join-string.txt", "fingerprint.txt"}
    known |= {"bundle.json", "receipt.json", "signed-receipt.json"}  # read in test_golden_bundles.py
    assert {path.name for path in GOLDEN.iterdir()} == known
