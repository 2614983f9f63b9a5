"""What this master is to its followers: its signing keys and the CAs of its API, kept in the vault."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from certline_master import api_certificate
from certline_master.api.services import MasterIdentity
from certline_master.api_certificate import KeyPair
from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Unavailable
from certline_master.domain.ports import Records
from certline_master.files import write_whole
from certline_shared import signing

SIGNING_KEY = "signing-key"
API_CA_KEY = "api-ca-key"
SLOTS = ("current", "next")

EPOCH = "epoch"
FORMER_KEYS = "signing-key:former"  # public ones, hex, with blanks between
ANNOUNCED = "signing-key:announced"  # since when followers can learn the next one; unset until the first rotation


@dataclass(frozen=True, slots=True)
class Identity:
    """The master's own keys. `certificates` are the API's CAs, current first."""

    manifests: MasterIdentity
    certificates: tuple[KeyPair, ...] = field(repr=False)


def make(records: Records, now: datetime) -> bool:
    """Make what is missing: signing keys and CAs (each current and next) and the epoch. Tells whether anything was."""
    made = False
    for slot in SLOTS:
        if records.instance.get(SYSTEM, f"{SIGNING_KEY}:{slot}") is None:
            private, _ = signing.generate_identity()
            secret = records.secrets.add(SYSTEM, SIGNING_KEY, private)
            records.instance.set(SYSTEM, f"{SIGNING_KEY}:{slot}", secret)
            made = True
        if records.instance.get(SYSTEM, f"{API_CA_KEY}:{slot}") is None:
            ca = api_certificate.make_ca(now)
            records.instance.set(SYSTEM, f"{API_CA_KEY}:{slot}", records.secrets.add(SYSTEM, API_CA_KEY, ca.key))
            records.instance.set(SYSTEM, f"api-ca:{slot}", ca.certificate)
            made = True
    if records.instance.get(SYSTEM, EPOCH) is None:
        records.instance.set(SYSTEM, EPOCH, str(int(now.timestamp())))
    return made


def rotate(records: Records, now: datetime) -> Identity:
    """The next signing key becomes the present one, and a new next one is announced; all in the caller's transaction.

    The former private key is gone for good; its public half stays, for what it sealed.
    """
    former = _secret(records, SIGNING_KEY, "current")
    kept = (records.instance.get(SYSTEM, FORMER_KEYS) or "").split()
    public = signing.identity_public(former).hex()
    records.instance.set(SYSTEM, FORMER_KEYS, " ".join([public, *kept]))
    ended = _fact(records, f"{SIGNING_KEY}:current")
    records.instance.set(SYSTEM, f"{SIGNING_KEY}:current", _fact(records, f"{SIGNING_KEY}:next"))
    made = records.secrets.add(SYSTEM, SIGNING_KEY, signing.generate_identity()[0])
    records.instance.set(SYSTEM, f"{SIGNING_KEY}:next", made)
    records.instance.set(SYSTEM, ANNOUNCED, now.isoformat())
    records.secrets.delete(SYSTEM, ended)
    return load(records)


def load(records: Records) -> Identity:
    """Raises Unavailable when the vault is sealed, or this store was never initialised."""
    privates = [_secret(records, SIGNING_KEY, slot) for slot in SLOTS]
    publics = [signing.identity_public(private) for private in privates]
    cas = tuple(KeyPair(_secret(records, API_CA_KEY, slot), _fact(records, f"api-ca:{slot}")) for slot in SLOTS)
    manifests = MasterIdentity(
        private=privates[0],
        public=publics[0],
        keyid=signing.thumbprint(publics[0]),
        next_public=publics[1],
        epoch=int(_fact(records, EPOCH)),
        tls_pins=tuple(ca.pin for ca in cas),
        former=tuple(map(bytes.fromhex, (records.instance.get(SYSTEM, FORMER_KEYS) or "").split())),
    )
    return Identity(manifests, cas)


def keep_api_certificate(folder: Path, ca: KeyPair, origins: tuple[str, ...], now: datetime) -> str | None:
    """Issue the API's certificate anew when it has to be; returns why it was, None when it serves on.

    `api.pem` holds key and chain in one file, so that one rename replaces both; `ca.pem` is for admin commands.
    """
    path = folder / "api.pem"
    present = path.read_text() if path.is_file() else None
    reason = api_certificate.reason_to_renew(present, ca, origins, now) if present else "there was none"
    if reason is not None:
        leaf = api_certificate.issue(ca, origins, now)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, leaf.key + leaf.certificate.encode(), mode=0o600)
        write_whole(folder / "ca.pem", ca.certificate.encode(), mode=0o644)
    return reason


def _secret(records: Records, kind: str, slot: str) -> bytes:
    return records.secrets.read(SYSTEM, kind, _fact(records, f"{kind}:{slot}"))


def _fact(records: Records, key: str) -> str:
    value = records.instance.get(SYSTEM, key)
    if value is None:
        raise Unavailable(f"the store was never initialised (no {key}): run `certline init`")
    return value
