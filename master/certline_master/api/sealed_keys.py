"""Private keys of the master sealed to the followers that may have them, each once, and who was given them."""

import logging
from collections.abc import Iterable, Sequence

from certline_master.api.services import Services
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.custody import KEY_SECRET, KeyCopy, SealedKey
from certline_master.domain.model import Certificate, Follower
from certline_master.domain.placement import local_name
from certline_master.domain.ports import Records
from certline_master.domain.sealed_files import SealWanted, fitting_seal, sealed_to
from certline_shared import sealing
from certline_shared.failpoints import failpoint

log = logging.getLogger("certline.api.sealed_keys")


def seal(services: Services, follower: Follower, wanted: Sequence[SealWanted]) -> None:
    """Sealing is random, so what is made is kept: the manifest names its hash. Raises Unavailable (the vault)."""
    made = [found for one in wanted if (found := _sealed(services, follower, one))]
    if made:
        services.store.write(lambda records: _keep(records, follower, wanted, made))
        failpoint("key.sealed")


def _sealed(services: Services, follower: Follower, wanted: SealWanted) -> SealedKey | None:
    certificate = wanted.certificate
    private = _private(services, certificate)
    info = sealing.key_info(follower.id, local_name(wanted.line, follower), wanted.version, certificate.key_type)
    try:
        data = sealing.seal(private, follower.sealing_key or b"", info)
    except ValueError as fault:
        log.error("a key cannot be sealed", extra={"follower": follower.name, "error": str(fault)})
        return None
    return SealedKey(
        follower_id=follower.id,
        line_id=wanted.line.id,
        version=wanted.version,
        key_type=certificate.key_type,
        spki_sha256=certificate.spki_sha256,
        sealed_to=sealed_to(follower),
        data=data,
        created=services.clock.now(),
    )


def _private(services: Services, certificate: Certificate) -> bytes:
    with services.store.read() as records:
        secret = records.keys.by_pins(SYSTEM, [certificate.spki_sha256])[0].secret
        return records.secrets.read(SYSTEM, KEY_SECRET, secret)


def _keep(records: Records, follower: Follower, wanted: Iterable[SealWanted], made: Iterable[SealedKey]) -> None:
    """Unless another request of the same follower was quicker: then that one's is in its manifest."""
    present = records.keys.sealed(SYSTEM, follower.id)
    known = {
        (one.line.id, one.version, one.certificate.key_type)
        for one in wanted
        if fitting_seal(follower, one.line.id, one.version, one.certificate, present)
    }
    for one in made:
        if (one.line_id, one.version, one.key_type) not in known:
            records.keys.keep_sealed(SYSTEM, one)


def release(records: Records, actor: Caller, copies: Iterable[KeyCopy]) -> None:
    """Write down, before they are answered, that these keys are given away."""
    for copy in copies:
        if records.keys.give(actor, copy):
            text = f"the {copy.key_type} key of line {copy.line} was released to {copy.follower}, sealed"
            data = {"follower": copy.follower, "key_type": copy.key_type, "spki_sha256": copy.spki_sha256}
            records.events.add(actor, "key.released", f"line:{copy.line}", text, now=copy.released, data=data)
