"""Secrets in every place that takes one, errors on every way, the log at its loudest: none of them is to be found.

Security note, I2 and G9. What may hold a secret: the files made for it, and the one answer that hands a token out.
"""

import base64
import json
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from certline_master import identity
from certline_master.cli.client import load_profile
from certline_master.domain.access import SYSTEM
from certline_master.domain.ports import Records
from certline_master.store.kek import read_kek
from certline_master.store.opening import open_store
from certline_shared import enrolment
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock
from certline_shared.codec import base64url
from tests.integration.cli_bed import Master, Said, installed, serving

TSIG = base64.b64encode(b"canary-of-the-tsig-key-0123456789").decode()
SECOND_TSIG = base64.b64encode(b"canary-of-the-second-tsig-key-012").decode()
WRONG_TOKEN = "certline_0badf00d_" + "CanaryOfAWrongAdminToken".ljust(43, "x")
ZONE = {
    "solver": "rfc2136",
    "settings": {"server": "127.0.0.1", "port": 9, "key_name": "k", "algorithm": "hmac-sha256"},
}
HOST_FILE = """state_dir = "state"
[[line]]
name = "shop"
names = ["shop.example.test"]
"""


@dataclass
class Heard:
    """All that was said, by whom; and a master to say things to."""

    http: httpx.Client
    said: dict[str, bytes] = field(default_factory=dict)

    def ask(self, method: str, path: str, token: str, body: Any = None) -> httpx.Response:
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        answer = self.http.request(method, path, headers={"Authorization": f"Bearer {token}"}, content=content)
        text = str(answer.headers).encode() + answer.content
        self.said[f"{len(self.said)}: {method} {path} {answer.status_code}"] = text
        return answer

    def command(self, words: Iterable[str], done: Said) -> Said:
        self.said[f"{len(self.said)}: {' '.join(words)}"] = f"{done.out}{done.err}".encode()
        return done


def spellings(secret: bytes) -> set[bytes]:
    """How a secret may stand in a text."""
    padded, urls = base64.b64encode(secret), base64url(secret).encode()
    return {secret, secret.hex().encode(), padded.rstrip(b"="), urls, repr(secret)[2:-1].encode()}


def test_no_secret_is_said_logged_or_stored_in_clear(tmp_path: Path) -> None:
    with serving(tmp_path / "etc", ["[logging]", 'level = "debug"']) as master, client(master) as http:
        heard, token = Heard(http), load_profile(master.folder / "admin.toml").token
        strings = [*drive_admin_errors(heard, token), *drive_a_host(heard, token, tmp_path / "host")]
        running = Path(f"/proc/{master.process.pid}")
        heard.said |= {name: (running / name).read_bytes() for name in ("cmdline", "environ")}
    heard.said["log"] = master.log.read_bytes()
    heard.said |= {path.name: path.read_bytes() for path in (master.folder / "data").iterdir() if path.is_file()}
    secrets = [*secrets_of(master), *secrets_of_the_host(tmp_path / "host"), *(s.secret for s in strings)]
    secrets += [text.encode() for text in (token, WRONG_TOKEN, TSIG, SECOND_TSIG, *map(enrolment.to_text, strings))]
    secrets += [base64.b64decode(TSIG), base64.b64decode(SECOND_TSIG)]
    assert len(secrets) >= 14
    assert len(heard.said) > 25
    found = [(where, n) for where, text in heard.said.items() for n, s in enumerate(secrets) if said_in(s, text)]
    assert found == []


def said_in(secret: bytes, text: bytes) -> bool:
    return any(spelling in text for spelling in spellings(secret))


def client(master: Master) -> httpx.Client:
    context = ssl.create_default_context(cafile=master.folder / "tls" / "ca.pem")
    return httpx.Client(base_url=f"https://localhost:{master.port}", verify=context, trust_env=False)


def drive_admin_errors(heard: Heard, token: str) -> "list[enrolment.EnrolmentString]":
    """Each kind of refusal, with a secret in it where it takes one; the enrolment strings that were made."""
    assert heard.ask("PUT", "/v1/followers/web-1", token, {"grants": {"request": ["shop.example.test"]}}).is_success
    assert heard.ask("PUT", "/v1/zones/example.test", token, ZONE | {"secret": TSIG}).is_success
    assert heard.ask("PUT", "/v1/zones/example.test", token, ZONE | {"secret": SECOND_TSIG}).is_success
    for body in (
        ZONE | {"secret": [TSIG]},
        ZONE | {"secrets": TSIG},
        {"solver": "rfc2136", "settings": {"tsig": TSIG}},
        json.dumps(ZONE | {"secret": TSIG}).encode()[:-1] + b', "secret": "x"}',
        json.dumps(ZONE | {"secret": TSIG}).encode()[:-3],
    ):
        assert heard.ask("PUT", "/v1/zones/example.test", token, body).status_code in (400, 422)
    heard.ask("POST", "/v1/fleet/plan", token, {"desired": {"zones": {"example.org": ZONE | {"secret": TSIG}}}})
    for path in ("zones", "zones/example.test", "followers", "events", "status", "whoami", "issuers", "openapi.json"):
        assert heard.ask("GET", f"/v1/{path}", token).is_success
        heard.ask("GET", f"/v1/{path}", WRONG_TOKEN)
    heard.ask("DELETE", "/v1/zones/example.test", WRONG_TOKEN)
    made = [handed_out(heard, token) for _ in range(2)]
    heard.ask("POST", "/v1/enroll", token, {"token_id": made[0].token_id, "secret": base64url(made[0].secret)})
    heard.ask("POST", "/v1/enroll", token, enrolment.to_text(made[0]).encode())
    return made


def handed_out(heard: Heard, token: str) -> enrolment.EnrolmentString:
    answer = heard.ask("POST", "/v1/followers/web-1/token", token)
    del heard.said[next(reversed(heard.said))]
    return enrolment.from_text(answer.json()["enrolment"])


def drive_a_host(heard: Heard, token: str, folder: Path) -> "list[enrolment.EnrolmentString]":
    """A host that enrols, with its mistakes, and asks for a line."""
    folder.mkdir()
    (folder / "certline-follower.toml").write_text(HOST_FILE)
    string = handed_out(heard, token)
    text = enrolment.to_text(string)

    def follower(*words: str) -> Said:
        return heard.command(words, installed(*words, cwd=folder, command="certline-follower"))

    for wrong in (text[:-9], text[:60] + "A" + text[61:], text.replace("enrol-1", "enrol-9"), ""):
        (folder / "token").write_text(wrong)
        assert follower("enroll", "--token-file", "token").code != 0
    (folder / "token").write_text(text)
    assert follower("enroll", "--token-file", "token").code == 0
    assert follower("enroll", "--token-file", "token").code != 0
    follower("sync", "--timeout", "1")
    follower("status", "--output", "json")
    follower("plan")
    (folder / "state" / "keys" / "shop" / "ecdsa-p256.pem").chmod(0o600)
    return [string]


def secrets_of(master: Master) -> "list[bytes]":
    """What the vault holds, and its key."""
    kek = read_kek(f"file:{master.folder / 'kek'}", data_folder=master.folder / "data")
    url = f"sqlite:///{master.folder / 'data' / 'certline.sqlite'}"
    store = open_store(url, kek=kek, clock=SystemClock(), chance=SystemChance())
    try:
        with store.read() as records:
            return [kek.key, *private_keys(records)]
    finally:
        store.close()


def private_keys(records: Records) -> "list[bytes]":
    known = [records.instance.get(SYSTEM, f"{kind}:{slot}") for kind in KINDS for slot in identity.SLOTS]
    kinds = [kind for kind in KINDS for _ in identity.SLOTS]
    return [records.secrets.read(SYSTEM, kind, found or "") for kind, found in zip(kinds, known, strict=True)]


KINDS = (identity.SIGNING_KEY, identity.API_CA_KEY)


def secrets_of_the_host(folder: Path) -> "list[bytes]":
    held = json.loads((folder / "state" / "identity.json").read_text())
    pem = (folder / "state" / "keys" / "shop" / "ecdsa-p256.pem").read_bytes()
    return [held["identity_key"].encode(), held["sealing_key"].encode(), b"".join(pem.splitlines()[1:-1])]


def test_a_secret_that_was_said_would_be_found_in_any_spelling() -> None:
    secret = b"\x00\xffcanary\x80" * 4
    for spelling in spellings(secret):
        assert said_in(secret, b'{"detail":"' + spelling + b'"}')
    assert not said_in(secret, b'{"detail":"***"}')
