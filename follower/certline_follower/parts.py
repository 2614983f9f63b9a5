"""What an output holds: PEM blocks in a stated order, or a PKCS #12 container; pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

Part = Literal["key", "certificate", "chain", "root", "dh", "ec", "next-key", "previous-key"]
OutputKind = Literal[
    "key", "cert", "chain", "fullchain", "combined", "fullchain-root", "key-fullchain", "next-key", "previous-key",
    "params", "pkcs12", "pkcs12-legacy", "parts",
]  # fmt: skip
Pieces = Mapping[Part, bytes]
"""What there is of a line and key type; what is not there, or not wanted, is left out."""

PARTS: tuple[Part, ...] = get_args(Part)
OUTPUT_KINDS: tuple[OutputKind, ...] = get_args(OutputKind)
# Key first in the combined file: Postfix wants it so (smtpd_tls_chain_files), HAProxy takes any order.
ORDER: Mapping[OutputKind, tuple[Part, ...]] = {
    "key": ("key",),
    "cert": ("certificate",),
    "chain": ("chain",),
    "fullchain": ("certificate", "chain"),
    "combined": ("key", "certificate", "chain"),
    "fullchain-root": ("certificate", "chain", "root"),
    "key-fullchain": ("key", "certificate", "chain"),
    "next-key": ("next-key",),
    "previous-key": ("previous-key",),
    "params": ("dh", "ec"),
}
CONTAINERS: tuple[OutputKind, ...] = ("pkcs12", "pkcs12-legacy")
KEYS: tuple[Part, ...] = ("key", "next-key", "previous-key")

_OPTIONAL: tuple[Part, ...] = ("chain", "dh", "ec")  # a file is whole without them
_WHY: Mapping[Part, str] = {
    "root": "there is no root_file for it",
    "key": "its key is not on this host",
    "next-key": "there is no next key",
    "previous-key": "no previous key is kept",
}


def order_of(kind: OutputKind, parts: tuple[Part, ...] = ()) -> tuple[Part, ...]:
    """The parts of an output: those that are set, else those of its kind."""
    if kind in CONTAINERS:
        return ("key", "certificate", "chain")
    return parts or ORDER.get(kind, ())


def bears_key(parts: Iterable[Part]) -> bool:
    return any(part in KEYS for part in parts)


def joined(parts: Sequence[Part], pieces: Pieces) -> bytes:
    return b"".join(pieces.get(part, b"") for part in parts)


def why_left_out(parts: Sequence[Part], pieces: Pieces) -> str | None:
    """Why an output of these parts cannot be written now; None when it can."""
    missing = [part for part in parts if part not in pieces]
    needed = [part for part in missing if part not in _OPTIONAL]
    if needed:
        return _WHY.get(needed[0], f"there is no {needed[0]}")
    return "there is nothing to put into it" if len(missing) == len(parts) else None
