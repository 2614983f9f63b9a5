"""What a lost host's keys expose, and when another host has moved on."""

from datetime import UTC, datetime, timedelta

import pytest

from certline_master.domain.lost_host import exposed, has_moved_on, newest_safe
from certline_master.domain.model import Certificate, Deployment, DeploymentState, Version, VersionState
from certline_shared.keys import KeyType

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LOST, NEW = "aa" * 32, "bb" * 32
INSTALLED, PULLED = DeploymentState.INSTALLED, DeploymentState.PULLED


def version(
    number: int,
    *pins: str,
    state: VersionState = VersionState.RETIRED,
    left: timedelta = timedelta(days=30),
    issued: bool = True,
) -> Version:
    certificates = tuple(
        Certificate(
            f"c{number}-{pin}", f"v{number}", KeyType.ECDSA_P256, b"csr", pin, ("a.example",),
            "PEM" if issued else None, "01", NOW, NOW + left,
        )
        for pin in pins
    )  # fmt: skip
    return Version(f"v{number}", "l", number, state, NOW, "why", certificates)


def reported(number: int, state: DeploymentState = INSTALLED, error: str | None = None) -> Deployment:
    return Deployment("f", "l", number, state, error, NOW, goal=INSTALLED)


def test_every_certificate_with_a_lost_key_is_exposed_while_it_is_valid() -> None:
    versions = [
        version(1, LOST, left=timedelta(0)),
        version(2, LOST),
        version(3, NEW),
        version(4, LOST, NEW, state=VersionState.LIVE),
        version(5, LOST, state=VersionState.ORDERED, issued=False),
        version(6, LOST, state=VersionState.FAILED, issued=False),
        version(7, LOST, state=VersionState.REVOKED),
    ]
    found = exposed(versions, {LOST}, NOW)
    assert [(one.version, one.certificate.spki_sha256) for one in found] == [(4, LOST), (2, LOST)]


@pytest.mark.parametrize(
    ("live", "safe"), [((LOST,), None), ((NEW,), 2), ((NEW, LOST), None)], ids=["old key", "new key", "half of it"]
)
def test_a_live_version_is_safe_only_with_new_keys_throughout(live: tuple[str, ...], safe: int | None) -> None:
    assert newest_safe([version(1, LOST), version(2, *live, state=VersionState.LIVE)], {LOST}) == safe


@pytest.mark.parametrize(
    ("said", "moved"),
    [
        ([], False),
        ([reported(1)], False),
        ([reported(1), reported(2, PULLED)], False),
        ([reported(1), reported(2, PULLED, "nginx: check failed")], False),
        ([reported(1), reported(2)], True),
        ([reported(2)], True),
        ([reported(2), reported(3)], False),
    ],
    ids=["silent", "the old one", "only pulled", "put back", "moved", "new host", "back on a lost key"],
)
def test_a_host_has_moved_on_once_what_it_uses_has_no_lost_key(said: list[Deployment], *, moved: bool) -> None:
    versions = [version(1, LOST), version(2, NEW, state=VersionState.LIVE), version(3, LOST)]
    assert has_moved_on(versions, said, {LOST}) is moved
