"""What the files of a generation hold: the parts of a line's version, put together as its outputs ask; pure."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from certline_follower import containers, parameters
from certline_follower.generation import LineMaterial
from certline_follower.output import Output
from certline_follower.parts import CONTAINERS, Part, Pieces, joined, why_left_out

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SideFiles:
    """What the operator's own files hold that outputs are made of; of one that cannot be read nothing."""

    roots: Mapping[Path, bytes] = field(default_factory=dict)
    passwords: Mapping[Path, bytes] = field(default_factory=dict, repr=False)


NO_SIDE_FILES = SideFiles()


@dataclass(frozen=True, slots=True)
class Made:
    """The content of an output; with a `recipe` where making it again gives other bytes."""

    data: bytes = field(repr=False)
    recipe: str = ""


class LeftOutError(Exception):
    """An output that cannot be written now; the text says why."""


def pieces_of(material: LineMaterial) -> dict[Part, bytes]:
    """What there is of a line and key type."""
    leaf, *issuers = blocks_of(material.chain_pem)
    pieces: dict[Part, bytes] = {"certificate": leaf, "chain": b"".join(issuers)}
    keys: dict[Part, bytes | None] = {
        "key": material.key_pem,
        "next-key": material.next_pem,
        "previous-key": material.previous_pem,
    }
    return pieces | {part: pem.strip() + b"\n" for part, pem in keys.items() if pem}


def blocks_of(pem: str) -> list[bytes]:
    return [block.encode() + b"\n" for block in _CERTIFICATE.findall(pem)]


def content_of(
    output: Output, material: LineMaterial, pieces: Pieces, side: SideFiles, made: Mapping[str, bytes]
) -> Made:
    """`made`: containers that were made before, by their recipe. Raises LeftOutError."""
    own = {**pieces, **_parameters(output), **_root(output, material, side)}
    why = why_left_out(output.order, own)
    if why is not None:
        raise LeftOutError(why)
    if output.kind in CONTAINERS:
        return _container(output, material, side, made)
    return Made(joined(output.order, own))


def _parameters(output: Output) -> Pieces:
    found: dict[Part, bytes] = {}
    if output.dh is not None:
        found["dh"] = parameters.dh(output.dh)
    if output.ec is not None:
        found["ec"] = parameters.ec(output.ec)
    return found


def _root(output: Output, material: LineMaterial, side: SideFiles) -> Pieces:
    """Raises LeftOutError for a root that did not make the chain's last certificate."""
    pem = side.roots.get(output.root_file) if output.root_file else None
    if pem is None:
        return {}
    from certline_shared import certificates  # late: idle turns go without cryptography

    blocks = blocks_of(pem.decode("ascii", errors="replace"))
    if blocks and blocks[0] in blocks_of(material.chain_pem):
        return {"root": b""}  # the CA sends it with the chain
    try:
        certificates.read_chain(material.chain_pem.rstrip() + "\n" + b"".join(blocks[:1]).decode())
    except ValueError:
        raise LeftOutError(f"{output.root_file} is not the root of its chain: correct root_file") from None
    return {"root": blocks[0]} if blocks else {}


def _container(output: Output, material: LineMaterial, side: SideFiles, made: Mapping[str, bytes]) -> Made:
    password = side.passwords.get(output.password_file) if output.password_file else None
    if output.password_file and not password:
        raise LeftOutError(f"{output.password_file} cannot be read, or is empty: write the password into it")
    ingredients = [output.kind.encode(), material.line.encode(), material.key_pem, material.chain_pem.encode()]
    ingredients.append(password or b"")
    recipe = hashlib.sha256(b"".join(hashlib.sha256(one).digest() for one in ingredients)).hexdigest()
    if recipe in made:
        return Made(made[recipe], recipe)
    return Made(containers.pkcs12(material, password, legacy=output.kind == "pkcs12-legacy"), recipe)
