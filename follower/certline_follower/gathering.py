"""What is to be installed, put together from pulled versions, this host's keys and what is live."""

from collections.abc import Sequence
from dataclasses import replace

from certline_follower.choosing import Install
from certline_follower.custody import slot_of
from certline_follower.generation import LineMaterial
from certline_follower.host import Host
from certline_follower.settings import LineSettings
from certline_follower.state import VersionRef
from certline_shared import certificates, keys
from certline_shared.keys import KeyType


def materials(host: Host, step: Install) -> list[LineMaterial]:
    """Of each line the pulled version, or what is live. Raises ValueError, OSError."""
    live = host.installer.materials()
    lines = {line.name: line for line in host.settings.lines}
    found = [_of_line(host, lines[name], version, live.get(name, ())) for name, version in step.versions.items()]
    shown = [_as_shown(host, lines[one.line], one) for types in found for one in types]
    return [*shown, *(one for name, version in step.staged.items() for one in _staged(host, lines[name], version))]


def _staged(host: Host, line: LineSettings, version: VersionRef) -> list[LineMaterial]:
    """What was pulled ahead of its time, for the outputs that show it."""
    types = [one for one in line.key_types if host.material.has_chain(line.name, version, one)]
    found = [_material(host, line.name, version, one) for one in types]
    return [replace(_as_shown(host, line, one), staged=True) for one in found if one is not None]


def _as_shown(host: Host, line: LineSettings, material: LineMaterial) -> LineMaterial:
    """With its key encrypted where the line has a passphrase, and with the other keys that outputs show."""
    passphrase = host.material.keys.passphrase(line.name)
    pem = material.key_pem
    if passphrase is not None and not keys.is_encrypted(pem):
        pem = keys.to_pem(keys.from_pem(pem), passphrase)
    return _with_other_keys(host, line, replace(material, key_pem=pem, passphrase=passphrase))


def _with_other_keys(host: Host, line: LineSettings, material: LineMaterial) -> LineMaterial:
    """With the next and the previous key of its type, as far as there is one and an output shows it."""
    if material.is_copy:
        return material
    shown = {part for output in line.outputs for part in output.order}
    held, key_type = host.state.line(line.name), material.key_type
    pem = host.material.keys.pem
    upcoming = pem(line.name, key_type, "next") if "next-key" in shown and key_type in held.next_keys else None
    former = (
        pem(line.name, key_type, "previous") if "previous-key" in shown and key_type in held.previous_keys else None
    )
    return replace(material, next_pem=upcoming, previous_pem=former)


def _of_line(
    host: Host, line: LineSettings, version: VersionRef, live: Sequence[LineMaterial]
) -> Sequence[LineMaterial]:
    """One for each key type; where they need not go together, what is live of a type that the version lacks."""
    if version.same(host.state.installed(line.name)) and live:
        return [one for one in live if one.key_type in line.key_types] or live
    has = host.material.has_chain
    types = [one for one in line.key_types if line.together or has(line.name, version, one)]
    found = [_material(host, line.name, version, one) for one in types]
    usable = [one for one in found if one is not None]
    if line.together and len(usable) < len(found):
        raise ValueError(f"line {line.name}: version {version.number} is for a key that is not on this host any more")
    left = [one for one in live if one.key_type in set(line.key_types) - {one.key_type for one in usable}]
    return [*usable, *left]


def _material(host: Host, name: str, version: VersionRef, key_type: KeyType) -> LineMaterial | None:
    """None where its key is not here."""
    chain = host.material.chain(name, version, key_type)
    copy = host.material.copy_pem(name, version, key_type)
    if copy is not None:
        return LineMaterial(name, version.number, key_type, copy, chain, is_copy=True)
    pin = certificates.read_chain(chain).spki_sha256
    slot = slot_of(host.state.line(name), key_type, pin)
    if slot is None:
        return None
    return LineMaterial(name, version.number, key_type, host.material.keys.pem(name, key_type, slot), chain)
