"""Keys that the master keeps and seals to this host: opened, checked, and accounted for."""

from collections.abc import Mapping
from dataclasses import replace

from certline_follower.custody import sealed_name
from certline_follower.host import Host
from certline_follower.identity import Identity
from certline_follower.settings import Settings
from certline_follower.state import State
from certline_shared import codec, keys, sealing


def opened(
    identity: Identity, line: str, version: int, files: Mapping[str, str], pins: Mapping[str, str],
    *, passphrase: bytes | None = None,
) -> dict[str, str]:  # fmt: skip
    """The files to keep of a version whose hashes were checked: in place of the sealed keys of these types the keys.

    Those of other types are of no use here and stay sealed. Raises ValueError for a key that was sealed for another
    use, or is not the one that the manifest names.
    """
    found: dict[str, str] = {}
    for key_type, pin in pins.items():
        sealed = files.get(sealed_name(key_type))
        if sealed is not None:
            info = sealing.key_info(identity.follower_id, line, version, key_type)
            found |= _key_files(key_type, _open(identity, codec.from_base64url(sealed), info), pin, passphrase)
    return {**found, **{name: text for name, text in files.items() if not name.endswith("/key.sealed")}}


def _key_files(key_type: str, pem: bytes, spki_sha256: str, passphrase: bytes | None) -> dict[str, str]:
    key = keys.from_pem(pem)
    if keys.key_type_of(key) != key_type or keys.spki_sha256(key) != spki_sha256:
        raise ValueError(f"its {key_type} key is not the one that the manifest names")
    pem = keys.to_pem(key, passphrase)  # in our own spelling, and without what may stand beside it
    return {f"{key_type}/key.pin": spki_sha256, f"{key_type}/key.pem": pem.decode("ascii")}


def _open(identity: Identity, sealed: bytes, info: bytes) -> bytes:
    """Raises ValueError."""
    for key in identity.sealing_keys:
        try:
            return sealing.open_sealed(sealed, key, info)
        except ValueError as error:
            fault = error
    raise ValueError(f"its key cannot be opened: {fault}") from None


def counted(host: Host) -> State:
    """The state with the copies that are on disk now, in the cache and in kept generations."""
    found: dict[str, set[str]] = {}
    for line, pin in host.material.copies() | host.installer.copies():
        found.setdefault(line, set()).add(pin)
    return replace(host.state, copies={line: tuple(sorted(found[line])) for line in sorted(found)})


def left_over(host: Host, settings: Settings) -> bool:
    """Whether the cache holds versions of lines that left the file."""
    return host.material.strays({line.name for line in settings.lines})
