"""What the paths of the API name, made for the access matrix: each object belongs to one follower, or to nobody."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta

from certline_master.api.admin_tokens import new_token
from certline_master.domain.access import SYSTEM, Role
from certline_master.domain.custody import Key
from certline_master.domain.model import (
    AdminToken,
    Certificate,
    Grant,
    GrantKind,
    Group,
    HttpName,
    Issuer,
    Line,
    LineCsr,
    Owner,
    Version,
    VersionState,
    Zone,
)
from certline_shared.keys import KeyType
from tests.integration.api_bed import Bed
from tests.integration.api_hosts import FollowerClient

Place = Mapping[str, str]  # what stands in the path's braces
Make = Callable[[Bed, FollowerClient], Place]


def line(bed: Bed, host: FollowerClient) -> Place:
    """An operator's line for that follower, with a version that is there to be pulled."""
    name, chance = f"line-{bed.engine.chance.uuid()[:8]}", bed.engine.chance
    names = (f"{name}.example.com",)
    made = Line(chance.uuid(), name, Owner.API, host.follower_id, names, issuer_id=_issuer(bed))
    csr = LineCsr(KeyType.ECDSA_P256, b"csr", _pin(made), names)
    version = _version(bed, made)
    bed.store.write(lambda records: records.lines.save(SYSTEM, made))
    bed.store.write(lambda records: records.lines.put_csr(SYSTEM, made.id, csr))
    bed.store.write(lambda records: records.versions.open(SYSTEM, version, ()))
    return {"name": name, "number": "1"}


def _pin(line: Line) -> str:
    """Each line has a key of its own."""
    return hashlib.sha256(line.name.encode()).hexdigest()


def _version(bed: Bed, line: Line) -> Version:
    now, version_id = bed.clock.now(), bed.engine.chance.uuid()
    certificate = Certificate(
        bed.engine.chance.uuid(), version_id, KeyType.ECDSA_P256, b"csr", _pin(line), line.names, "PEM\n", "3f2a",
        now, now + timedelta(days=90),
    )  # fmt: skip
    return Version(version_id, line.id, 1, VersionState.LIVE, now, "the first certificate", (certificate,))


def follower(bed: Bed, host: FollowerClient) -> Place:
    """With a line of its own."""
    line(bed, host)
    return {"name": host.name}


def group(bed: Bed, _host: FollowerClient) -> Place:
    name = f"group-{bed.engine.chance.uuid()[:8]}"
    made = Group(bed.engine.chance.uuid(), name, Owner.API, (Grant(GrantKind.REQUEST, "www.example.com"),))
    bed.store.write(lambda records: records.groups.save(SYSTEM, made))
    return {"name": name}


def token(bed: Bed, _host: FollowerClient) -> Place:
    name, made = f"token-{bed.engine.chance.uuid()[:8]}", new_token(bed.engine.chance)
    row = AdminToken(bed.engine.chance.uuid(), name, Role.VIEWER, made.prefix, bed.clock.now(), None)
    bed.store.write(lambda records: records.tokens.add(SYSTEM, row, made.sha256))
    return {"name": name}


def key(bed: Bed, _host: FollowerClient) -> Place:
    made = Key(bed.engine.chance.uuid(), f"key-{bed.engine.chance.uuid()[:8]}", Owner.API, declared=True)
    bed.store.write(lambda records: records.keys.save(SYSTEM, made))
    return {"name": made.name}


def issuer(bed: Bed, _host: FollowerClient) -> Place:
    _issuer(bed, name := f"ca-{bed.engine.chance.uuid()[:8]}")
    return {"name": name}


def zone(bed: Bed, _host: FollowerClient) -> Place:
    name = f"z{bed.engine.chance.uuid()[:8]}.example"
    made = Zone(bed.engine.chance.uuid(), name, Owner.API, "responder")
    bed.store.write(lambda records: records.zones.save(SYSTEM, made))
    return {"name": name}


def http_name(bed: Bed, _host: FollowerClient) -> Place:
    name = f"h{bed.engine.chance.uuid()[:8]}.example"
    made = HttpName(bed.engine.chance.uuid(), name, Owner.API)
    bed.store.write(lambda records: records.http.save(SYSTEM, made))
    return {"name": name}


def _issuer(bed: Bed, name: str = "ca") -> str:
    with bed.store.read() as records:
        found = next((one for one in records.issuers.all(SYSTEM) if one.name == name), None)
    made = found or Issuer(
        bed.engine.chance.uuid(), name, Owner.FILE if name == "ca" else Owner.API, "https://ca.test/"
    )
    if found is None:
        bed.store.write(lambda records: records.issuers.save(SYSTEM, made))
    return made.id


MAKERS: dict[str, Make] = {
    "/v1/follower/lines/": line,
    "/v1/lines/": line,
    "/v1/followers/": follower,
    "/v1/groups/": group,
    "/v1/keys/": key,
    "/v1/issuers/": issuer,
    "/v1/tokens/": token,
    "/v1/zones/": zone,
    "/v1/http/": http_name,
}
"""How a path begins -> how what it names is made. The longest beginning counts."""


def maker_of(path: str) -> Make:
    """Raises LookupError for a path with braces that nothing here can fill."""
    fitting = [start for start in MAKERS if path.startswith(start)]
    if not fitting:
        raise LookupError(f"{path} names an object of a kind that tests/integration/access_objects.py cannot make")
    return MAKERS[max(fitting, key=len)]


def path_with(path: str, place: Place) -> str:
    return path.format(**place)


def nothing_like(place: Place) -> Place:
    """Names of the same length on which nothing is."""
    return {
        key: value if key == "number" else ("1" if value[0] == "0" else "0") + value[1:] for key, value in place.items()
    }
