"""Somebody between host and master ends TLS, with a CA that the host trusts: he reads all, and gets nothing of it."""

import base64
import json
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certline_shared import enrolment, keys, signing
from certline_shared.codec import base64url, from_base64url
from certline_shared.messages import EnrolRequest
from tests.end_to_end.assertions import assert_pair
from tests.end_to_end.harness import Bed, fleet
from tests.end_to_end.host import CHANGED, FAILED, FollowerHost, HostLine
from tests.end_to_end.master import MasterProcess
from tests.testbed.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.testbed.http_message import Answer, Request

SHOP, MAIL, OWN = "shop.example.test", "mail.example.test", "own.example.test"
SHARED = {name: {"custody": "master", "names": [dns]} for name, dns in (("shop", SHOP), ("mail", MAIL))}
OUTPUTS = {name: {"fullchain": f"{name}.pem", "key": f"{name}.key"} for name in ("shop", "mail", "own")}

SHARED_FILES = [file for name in SHARED for file in OUTPUTS[name].values()]

Change = Callable[[Answer], Answer]


@dataclass
class Intercepted:
    """A master in `chain` mode, a host that reaches it by way of `between` alone, and the string to enrol it."""

    master: MasterProcess
    host: FollowerHost
    between: FaultProxy
    string: str
    kept: list[Answer] = field(default_factory=list)

    def enrolled(self) -> None:
        self.host.enrol(self.string).well()

    def installed(self) -> dict[str, bytes | None]:
        files = [file for files in OUTPUTS.values() for file in files.values()]
        return {file: self.host.output(file) for file in files}

    @contextmanager
    def altered(self, path: str, change: Change) -> Iterator[Fault]:
        fault = self.between.add(Fault(path=path, change=change))
        yield fault
        self.between.heal()
        assert fault.struck, f"nothing was asked of {path}"

    def renewed(self) -> None:
        """A new version of each line is live on the master."""
        for name in ("shop", "mail", "own@web"):
            before = self.master.live_serial(name)
            self.master.renew(name)
            self.master.issued(name, after=before)


@pytest.fixture
def intercepted(here: Bed) -> Iterator[Intercepted]:
    master, host = here.master(), here.host("web")
    with fault_proxy(master.listening.port, upstream_ca=master.folder / "tls" / "ca.pem") as between:
        _trust_by_chain(master.config_file, between.url)
        master.start()
        pulls = {"web": {"grants": {"request": [OWN], "pull": ["shop", "mail"]}}}
        master.set_fleet(fleet(here.ca, {}, lines=SHARED) | {"followers": pulls})
        lines = [
            HostLine("shop", outputs=OUTPUTS["shop"]),  # type: ignore[arg-type]  # its keys are kinds
            HostLine("mail", outputs=OUTPUTS["mail"]),  # type: ignore[arg-type]  # as above
            HostLine("own", (OWN,), outputs=OUTPUTS["own"]),  # type: ignore[arg-type]  # as above
        ]
        host.configure(*lines, master=f'ca_file = "{between.ca_file}"')
        for name in SHARED:
            master.issued(name)
        yield Intercepted(master, host, between, master.token("web"))


def _trust_by_chain(config: Path, origin: str) -> None:
    """The origin that followers are told is that of the one in between, as with any proxy that ends TLS."""
    text = config.read_text()
    origins = tomllib.loads(text)["api"]["origins"]
    lines = [line for line in text.splitlines() if not line.startswith(("origins", "trust"))]
    at = lines.index("[api]") + 1
    config.write_text(
        "\n".join([*lines[:at], f"origins = {json.dumps([origin, *origins])}", 'trust = "chain"', *lines[at:]])
    )


# What he reads


def test_all_that_passes_in_both_directions_holds_no_secret(intercepted: Intercepted) -> None:
    intercepted.enrolled()
    intercepted.host.sync().well(CHANGED)
    intercepted.renewed()
    intercepted.host.sync().well(CHANGED)

    seen = everything_in(intercepted.between)
    assert any(b"certline-manifest" in one or b'"custody":"master"' in one for one in seen), "it was not read at all"
    public = signing.identity_public(secrets_of(intercepted)["the identity key"])
    assert any(spelt in one for one in seen for spelt in spellings(public)), "what does pass is not found"
    assert b"PRIVATE KEY" not in b"".join(seen)
    for name, secret in secrets_of(intercepted).items():
        for spelt in spellings(secret):
            assert not any(spelt in one for one in seen), f"{name} passed in between"


def everything_in(between: FaultProxy) -> list[bytes]:
    """Heads and bodies of all requests and answers; and what the texts in them are in base64, however deep."""
    messages: list[Request | Answer] = [one.request for one in between.exchanges]
    messages += [one.answer for one in between.exchanges if one.answer]
    assert len(messages) > 10
    return [piece for message in messages for piece in [message.encoded(), *decoded(message.body)]]


def decoded(body: bytes) -> Iterator[bytes]:
    try:
        value = json.loads(body)
    except ValueError:
        return
    for text in texts(value):
        yield text.encode()
        for read in (from_base64url, base64.b64decode):
            try:
                inner = read(text)
            except ValueError:
                continue
            yield inner
            yield from decoded(inner)


def texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for one in value:
                yield from texts(one)
        case dict():
            for name, one in value.items():
                yield from texts(name)
                yield from texts(one)


def secrets_of(intercepted: Intercepted) -> dict[str, bytes]:
    """What nobody but master and host may know."""
    identity = json.loads((intercepted.host.state_dir / "identity.json").read_text())
    secret = enrolment.from_text(intercepted.string).secret
    sealing = from_base64url(identity["sealing_key"])
    found = {
        "the enrolment secret": secret,
        "the key made of it": enrolment.mac_key(secret),
        "the identity key": from_base64url(identity["identity_key"]),
        "the sealing key's seed": sealing[:64],
        "the sealing key's classic half": sealing[64:],
    }
    for path in (intercepted.host.state_dir / "generations").rglob("key.pem"):
        found[f"the key in {path}"] = scalar(path.read_bytes())
    assert len(found) >= 5 + 2 * 3
    return found


def scalar(pem: bytes) -> bytes:
    """What is secret in an EC key; in PKCS#8 it stands as it is."""
    key = keys.from_pem(pem)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value.to_bytes(32, "big")
    assert number in key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return number


def spellings(secret: bytes) -> Iterator[bytes]:
    yield secret
    yield secret.hex().encode()
    for at in range(3):  # wherever it stands in a longer text
        yield base64.b64encode(bytes(at) + secret)[4 if at else 0 : -4]
        yield base64.urlsafe_b64encode(bytes(at) + secret)[4 if at else 0 : -4]


def test_the_keys_that_the_host_made_are_those_that_the_master_knows(intercepted: Intercepted) -> None:
    intercepted.enrolled()
    identity = json.loads((intercepted.host.state_dir / "identity.json").read_text())
    public = signing.identity_public(from_base64url(identity["identity_key"]))
    (enrolled,) = intercepted.master.events("follower.enrolled")
    assert signing.thumbprint(public) in json.dumps(enrolled)
    intercepted.host.sync().well(CHANGED)  # and what is sealed to it opens
    for files in OUTPUTS.values():
        assert_pair(*(intercepted.host.output(files[kind]) or b"" for kind in ("fullchain", "key")))


# What he alters


def test_an_enrolment_with_keys_of_his_own_is_refused_and_the_right_one_still_works(intercepted: Intercepted) -> None:
    private, public = signing.generate_identity()

    def in_his_name(request: Request) -> Request:
        return request.with_json(lambda body: body | {"identity_key": base64url(public)})

    with his_requests(intercepted.between, "/v1/enroll", in_his_name):
        said = intercepted.host.enrol(intercepted.string)
    assert said.code != 0
    assert not (intercepted.host.state_dir / "identity.json").exists()
    assert len(private) == 32
    intercepted.enrolled()


@contextmanager
def his_requests(between: FaultProxy, path: str, change: Callable[[Request], Request]) -> Iterator[None]:
    fault = between.add(Fault(path=path, change_request=change))
    yield
    between.heal()
    assert fault.struck


def test_an_altered_answer_to_an_enrolment_is_not_believed(intercepted: Intercepted) -> None:
    other = base64url(signing.generate_identity()[1])
    wrong = {
        "signing_keys": [other],
        "tls_pins": ["ab" * 32],
        "epoch": 1,
        "mac": other,
        "follower_id": "x",
        "nonce": "x",
    }
    for member, value in wrong.items():
        with intercepted.altered("/v1/enroll", with_body(_replaced(member, value))):
            said = intercepted.host.enrol(intercepted.string).refused(FAILED)
        assert "is not the master that made the enrolment string" in said, member
        assert not (intercepted.host.state_dir / "identity.json").exists()
    intercepted.enrolled()


def with_body(change: Callable[[Any], Any]) -> Change:
    return lambda answer: answer.with_json(change) if answer.status == 200 else answer


def _replaced(member: str, value: object) -> Callable[[Any], Any]:
    return lambda body: body | {member: value}


def _forged_manifest(body: Any) -> Any:
    """By a signing key of his own."""
    private, public = signing.generate_identity()
    manifest = from_base64url(body["manifest"])
    signature = signing.sign(private, b"certline-manifest/1\n" + manifest)
    return body | {"signature": base64url(signature), "keyid": signing.thumbprint(public)}


def _other_version(body: Any) -> Any:
    manifest = json.loads(from_base64url(body["manifest"]))
    for line in manifest["lines"]:
        line["names"] = ["evil.example.test"]
    return body | {"manifest": base64url(json.dumps(manifest).encode())}


def _other_text(body: Any) -> Any:
    return body | {"files": {name: text.replace("A", "B") for name, text in body["files"].items()}}


def _own_key(body: Any) -> Any:
    """Sealed to nobody."""
    return body | {"files": {name: text if "chain" in name else "AAAA" for name, text in body["files"].items()}}


ALTERATIONS: dict[str, tuple[str, Change]] = {
    "the manifest's lines": ("/manifest", with_body(_other_version)),
    "the manifest's signature": ("/manifest", with_body(_forged_manifest)),
    "no manifest at all": ("/manifest", lambda answer: answer.with_body(b"")),
    "nothing new": ("/manifest", lambda answer: answer.with_status(304).with_body(b"")),
    "the content's text": ("/versions/", with_body(_other_text)),
    "the sealed key": ("/versions/", with_body(_own_key)),
    "a missing version": ("/versions/", lambda answer: answer.with_status(404)),
}


def test_nothing_that_was_altered_is_installed_and_the_old_stays_until_he_is_gone(intercepted: Intercepted) -> None:
    intercepted.enrolled()
    intercepted.host.sync().well(CHANGED)
    before = intercepted.installed()
    old = [one.answer for one in intercepted.between.exchanges if "/manifest" in one.path and one.answer]
    intercepted.renewed()

    for what, (path, change) in ALTERATIONS.items():
        with intercepted.altered(path, change):
            said = intercepted.host.sync()
        assert said.code == FAILED, f"{what}: {said.out}{said.err}"
        assert intercepted.installed() == before, what
    with intercepted.altered("/manifest", lambda _answer: old[-1]):  # signed by the master, for a former request
        assert intercepted.host.sync().code == FAILED
    assert_two_lines_keys_swapped_are_refused(intercepted)
    assert {file: intercepted.host.output(file) for file in SHARED_FILES} == {
        file: before[file] for file in SHARED_FILES
    }

    intercepted.host.sync().well(CHANGED)
    after = intercepted.installed()
    assert all(after[files["fullchain"]] != before[files["fullchain"]] for files in OUTPUTS.values())


def assert_two_lines_keys_swapped_are_refused(intercepted: Intercepted) -> None:
    """He hands out of each line the answer that was for the other."""
    passed = [one for one in intercepted.between.exchanges if "/versions/" in one.path and one.answer]
    whole = {one.path.split("/")[4]: one.answer for one in passed if one.answer and one.answer.status == 200}
    intercepted.between.add(Fault(path="/lines/shop/versions/", reply=whole["mail"]))
    intercepted.between.add(Fault(path="/lines/mail/versions/", reply=whole["shop"]))
    said = intercepted.host.sync()
    intercepted.between.heal()
    assert said.code == FAILED
    assert "something in between changes it" in said.err


def test_an_altered_answer_to_a_report_changes_nothing_and_the_report_is_made_again(intercepted: Intercepted) -> None:
    intercepted.enrolled()
    with intercepted.altered("/reports", lambda answer: answer.with_status(200).with_body(b"{}")):
        said = intercepted.host.sync()
    assert said.code == FAILED
    for files in OUTPUTS.values():
        assert_pair(*(intercepted.host.output(files[kind]) or b"" for kind in ("fullchain", "key")))
    before = intercepted.between.count("/reports")
    intercepted.host.sync().well()
    assert intercepted.between.count("/reports") == before + 1


def test_the_recorded_enrolment_is_a_whole_request_with_the_hosts_own_keys(intercepted: Intercepted) -> None:
    """What is looked through above is really what travels."""
    intercepted.enrolled()
    (exchange,) = [one for one in intercepted.between.exchanges if one.path == "/v1/enroll"]
    sent = exchange.request.json()
    assert set(sent) == set(EnrolRequest.__dataclass_fields__)
