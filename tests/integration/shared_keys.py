"""A master that keeps the key of the line `shop`, and hosts that may pull it: what tests of shared keys begin with."""

from collections.abc import Mapping
from typing import Any

from certline_master.domain.access import SYSTEM
from certline_master.domain.custody import KeyMaterial
from certline_master.domain.model import Slot
from certline_shared import enrolment, sealing
from certline_shared.codec import from_base64url
from certline_shared.manifest import ManifestLine
from certline_shared.messages import DeploymentReport, Report, VersionContent, decode, encode
from tests.integration.api_bed import Bed
from tests.integration.api_fleet import FLEET
from tests.integration.api_hosts import SEALING_PRIVATE, FollowerClient, NewHost, opened

SHOP = {"custody": "master", "names": ["shop.example.com"]}
OWN = {"custody": "follower", "follower": "web-1", "names": ["shop.example.com"]}


def fleet(**lines: Any) -> dict[str, Any]:
    """A fleet with one CA and zone, and web-1 and web-2 that may pull the line `shop` while the master has its key."""
    wanted = {"shop": SHOP} | lines
    pulls = {"grants": {"pull": ["shop"]}} if wanted["shop"]["custody"] == "master" else {}
    return FLEET | {"http": {}, "followers": {"web-1": pulls, "web-2": pulls}, "lines": wanted}


def applied(bed: Bed, desired: dict[str, Any]) -> None:
    answer = bed.apply(desired)
    assert answer.status_code == 200, answer.text


def enrolled(bed: Bed, name: str) -> FollowerClient:
    """From an address of its own: enrolments are limited by that."""
    host = NewHost(bed, bed.enrolment_string(name), f"127.0.0.{name[-1]}")
    follower_id = host.believed(host.enrol()).follower_id
    return FollowerClient(bed, host.private, host.public, name=name, follower_id=follower_id)


def rebuilt_host(bed: Bed, name: str, sealing_key: bytes) -> FollowerClient:
    made = bed.ask("POST", f"/v1/followers/{name}/token", {"replace": True})
    host = NewHost(bed, enrolment.from_text(made.json()["enrolment"]), "127.0.0.9")
    follower_id = host.believed(host.enrol(host.request(sealing_key=sealing_key))).follower_id
    return FollowerClient(bed, host.private, host.public, name=name, follower_id=follower_id)


def line_of(host: FollowerClient, name: str = "shop") -> ManifestLine | None:
    return next((line for line in opened(host).lines if line.name == name), None)


def pulled(host: FollowerClient, number: int, name: str = "shop") -> VersionContent:
    answer = host.ask("GET", f"/v1/follower/lines/{name}/versions/{number}")
    assert answer.status_code == 200, answer.text
    return decode(VersionContent, answer.content)


def key_in(host: FollowerClient, content: VersionContent) -> bytes:
    """The private key, opened as the host does."""
    info = sealing.key_info(host.follower_id, content.line, content.version, "ecdsa-p256")
    return sealing.open_sealed(from_base64url(content.files["ecdsa-p256/key.sealed"]), SEALING_PRIVATE, info)


def reports(
    host: FollowerClient, version: int, *, line: str = "shop", keys: Mapping[str, tuple[str, ...]] | None = None
) -> None:
    """The host says that it has installed that version, and which keys it has."""
    said = DeploymentReport(line, version, "installed", goal="installed")
    report = Report("certline-follower test", 1, (said,), keys=None if keys is None else dict(keys))
    answer = host.ask("POST", "/v1/follower/reports", encode(report))
    assert answer.status_code == 204, answer.text


def installs(host: FollowerClient, version: int, *, line: str = "shop") -> None:
    pulled(host, version, line)
    reports(host, version, line=line)


def materials(bed: Bed, name: str = "shop", *, ahead: bool = False) -> list[KeyMaterial]:
    """Those in use or out of use; or the ones made ahead."""
    with bed.store.read() as records:
        key = records.keys.get(SYSTEM, name)
        kept = records.keys.materials(SYSTEM, [key.id])[key.id]
    return [one for one in kept if (one.slot is Slot.NEXT) is ahead]
