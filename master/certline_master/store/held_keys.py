"""The keys of many lines by slot, wherever they are, in a fixed number of queries."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select

from certline_master.domain.access import SYSTEM
from certline_master.domain.custody import Key, KeyMaterial
from certline_master.domain.model import Custody, HeldKey, Line, LineCsr, LineSnapshot, Slot, Version, VersionState
from certline_master.store.keys import Keys
from certline_master.store.session import Session, several
from certline_master.store.tables import certificates, lines, versions

_ROLLING = select(lines.c.id, lines.c.name, lines.c.key_id).where(
    lines.c.key_id.in_(several("keys")),
    lines.c.rollover.is_not(None),
    lines.c.paused.is_(None),
    lines.c.custody == Custody.MASTER,
)
_READY = (
    select(versions.c.line_id)
    .distinct()
    .join(certificates, certificates.c.version_id == versions.c.id)
    .where(
        versions.c.line_id.in_(several("lines")),
        versions.c.state.in_([VersionState.STAGED, VersionState.LIVE]),
        certificates.c.spki_sha256.in_(several("pins")),
    )
)


@dataclass(frozen=True, slots=True)
class HeldKeys:
    """What the store knows of the keys of some lines."""

    keys: Mapping[str, Key]  # by id
    materials: Mapping[str, list[KeyMaterial]]  # by key id
    elsewhere: frozenset[str]  # pins of the master's that some version has and its line's key has not
    waiting: Mapping[str, tuple[tuple[str, str], ...]]  # key id -> ids and names of lines that hold its rollover up

    def into(self, snapshot: LineSnapshot, csrs: Sequence[LineCsr]) -> LineSnapshot:
        """The snapshot with its keys; `csrs`: its line's, in every slot."""
        line = snapshot.line
        key, kept = self.keys.get(line.key_id or ""), self.materials.get(line.key_id or "", [])
        current = frozenset(one.spki_sha256 for one in kept if one.slot is Slot.CURRENT)
        former = frozenset(pin for pin in _pins(snapshot.versions) if pin in self.elsewhere)
        told = snapshot if key is None else replace(snapshot, key_options=key.options)
        return replace(
            told,
            kept_keys=frozenset(one.spki_sha256 for one in kept) | former,
            current_keys=current,
            next_csrs=tuple(csr for csr in csrs if csr.slot is Slot.NEXT),
            keys=tuple(_of_master(kept) if line.custody is Custody.MASTER else _of_follower(csrs)),
            key_name=key.name if key is not None else line.name,
            kin=tuple(name for other, name in self.waiting.get(line.key_id or "", ()) if other != line.id),
        )


def of(
    session: Session,
    wishes: Iterable[Line],
    history: Mapping[str, Sequence[Version]],
    csrs: Mapping[str, Sequence[LineCsr]],
) -> HeldKeys:
    """For these lines, with their versions and requests by line id."""
    wishes = list(wishes)
    ids = sorted({line.key_id for line in wishes if line.key_id})
    found = Keys(session)
    materials = found.materials(SYSTEM, ids)
    known = {one.spki_sha256 for kept in materials.values() for one in kept}
    at_home = [line.id for line in wishes if line.custody is Custody.FOLLOWER]
    known |= {csr.spki_sha256 for line_id in at_home for csr in csrs.get(line_id, ())}
    strange = sorted({pin for line in wishes for pin in _pins(history.get(line.id, ()))} - known)
    elsewhere = frozenset(one.spki_sha256 for one in found.by_pins(SYSTEM, strange))
    keys = {key.id: key for key in found.by_ids(SYSTEM, ids)}
    return HeldKeys(keys, materials, elsewhere, _waiting(session, materials))


def _pins(held: Iterable[Version]) -> set[str]:
    return {certificate.spki_sha256 for version in held for certificate in version.certificates}


def _waiting(session: Session, materials: Mapping[str, list[KeyMaterial]]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Of each key that is rolled over: the lines that are to have a certificate for the next one, and have none."""
    rolling = session.rows(_ROLLING, {"keys": sorted(materials)}) if materials else []
    if not rolling:
        return {}
    pins = [one.spki_sha256 for kept in materials.values() for one in kept if one.slot is Slot.NEXT]
    asked = {"lines": [row.id for row in rolling], "pins": pins}
    ready = {row.line_id for row in session.rows(_READY, asked)} if pins else set()
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in rolling:
        if row.id not in ready:
            found[row.key_id].append((row.id, row.name))
    return {key_id: tuple(sorted(waiting, key=lambda one: one[1])) for key_id, waiting in found.items()}


def _of_master(kept: Iterable[KeyMaterial]) -> list[HeldKey]:
    return [
        HeldKey(one.key_type, one.slot, one.spki_sha256, one.created, one.moved or one.created)
        for one in sorted(kept, key=lambda one: (one.key_type, one.slot, one.created))
    ]


def _of_follower(csrs: Iterable[LineCsr]) -> list[HeldKey]:
    return [
        HeldKey(one.key_type, one.slot, one.spki_sha256, one.created, one.moved or one.created)
        for one in sorted(csrs, key=lambda one: (one.key_type, one.slot))
    ]
