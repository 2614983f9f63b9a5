"""Dataclasses to canonical JSON and strictly back, driven by their field types alone."""

import base64
import binascii
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, NoReturn, TypeVar, Union, cast, get_args, get_origin, get_type_hints

MOST_DEPTH = 20
MOST_INTEGER = 2**53 - 1  # what every JSON reader keeps exactly (RFC 8259 section 6)

T = TypeVar("T")


class BadMessage(ValueError):
    """A body that is not what the protocol says; the text names the member, what was wrong and what is expected.

    `pointer` is the member's JSON pointer (RFC 6901), `detail` the text without it.
    """

    def __init__(self, detail: str, pointer: str = "") -> None:
        super().__init__(f"{pointer}: {detail}" if pointer else detail)
        self.detail = detail
        self.pointer = pointer


def base64url(data: bytes) -> str:
    """RFC 4648 section 5, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """The bytes of the one spelling that `base64url` makes of them. Raises ValueError for any other."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        data = b""
    if base64url(data) != text:
        raise ValueError("not base64url without padding")
    return data


# Writing


def write(value: object, *, without: tuple[str, ...] = ()) -> bytes:
    """Canonical JSON of a dataclass: sorted members, no spaces, UTF-8.

    Left out: members named in `without`, members that are None, and empty ones whose default is empty too.
    """
    members = _members(value)
    return canonical({name: member for name, member in members.items() if name not in without})


def canonical(value: object) -> bytes:
    """Canonical JSON bytes of plain JSON data."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _members(value: object) -> dict[str, object]:
    members = {}
    for name, default in _defaults(cast("Any", type(value))):
        member = getattr(value, name)
        if member is not None and (member or member != default):
            members[name] = _plain(member)
    return members


@cache
def _defaults(kind: Any) -> tuple[tuple[str, object], ...]:
    return tuple((item.name, _default(item)) for item in fields(kind))


def _default(item: "Field[Any]") -> object:
    if item.default_factory is not MISSING:
        return item.default_factory()
    return item.default


def _plain(value: object) -> object:
    match value:
        case str() | int():
            return value
        case bytes():
            return base64url(value)
        case tuple():
            return [_plain(item) for item in value]
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case _:
            return _members(value)


# Reading


def read(kind: type[T], body: bytes, *, most_bytes: int) -> T:
    """The dataclass that a JSON body says. Raises BadMessage; what is refused: `messages.decode`."""
    return cast("T", _reader(cast("Any", kind))(parse(body, most_bytes=most_bytes), ""))


def parse(body: bytes, *, most_bytes: int) -> object:
    """Plain data of a JSON body, read strictly. Raises BadMessage."""
    if len(body) > most_bytes:
        raise BadMessage(f"the body has {len(body)} bytes: at most {most_bytes} are read")
    try:
        value = _DECODER.decode(body.decode())
        if b"\\u" in body:  # the one way for a lone surrogate to get in
            canonical(value)
    except UnicodeError:
        raise BadMessage("the body is not valid UTF-8") from None
    except json.JSONDecodeError as error:
        raise BadMessage(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise _too_deep() from None
    if body.count(b"[") + body.count(b"{") > MOST_DEPTH:
        _check_depth(value)
    return value


def _too_deep() -> BadMessage:
    return BadMessage(f"the body is nested deeper than {MOST_DEPTH} levels")


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        inside = [
            list(item.values()) if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)
        ]
        if not inside:
            return
        level = [child for children in inside for child in children]
    raise _too_deep()


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]  # linear: a body may have thousands
        raise BadMessage(f"the member {twice[:80]!a} stands twice in one object")
    return members


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MOST_INTEGER:
        raise BadMessage(f"a number is beyond ±{MOST_INTEGER}")
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > 40 or abs(float(digits)) > MOST_INTEGER:
        raise BadMessage(f"a number is beyond ±{MOST_INTEGER}, or has too many digits")
    return float(digits)


def _constant(word: str) -> NoReturn:
    raise BadMessage(f"{word} is no JSON number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant, strict=True
)

Reader = Callable[[object, str], object]


@cache
def _reader(kind: Any) -> Reader:
    """How to read one type; made once per type."""
    if isinstance(kind, type) and is_dataclass(kind):
        return _ObjectReader.of(kind)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        (one,) = [item for item in inner if item is not NoneType]
        return _optional(_reader(one))
    if origin is tuple:
        return _array(_reader(inner[0]))
    if origin is dict:
        return _map(_reader(inner[1]))
    return _SIMPLE[kind]


def _expect(wanted: str, value: object, pointer: str) -> NoReturn:
    found = next((name for kind, name in _JSON_NAMES if isinstance(value, kind)), "null")
    place = "" if pointer else " as the whole body"
    raise BadMessage(f"expected {wanted}{place}, found {found}", pointer)


_JSON_NAMES = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a fraction"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
)


def _string(value: object, pointer: str) -> str:
    return value if isinstance(value, str) else _expect("a string", value, pointer)


def _whole(value: object, pointer: str) -> int:
    return (
        value if isinstance(value, int) and not isinstance(value, bool) else _expect("a whole number", value, pointer)
    )


def _truth(value: object, pointer: str) -> bool:
    return value if isinstance(value, bool) else _expect("true or false", value, pointer)


def _bytes(value: object, pointer: str) -> bytes:
    try:
        return from_base64url(_string(value, pointer))
    except BadMessage:
        raise
    except ValueError:
        raise BadMessage("expected bytes as base64url without padding", pointer) from None


_SIMPLE: dict[object, Reader] = {str: _string, int: _whole, bool: _truth, bytes: _bytes}


def _optional(reader: Reader) -> Reader:
    return lambda value, pointer: None if value is None else reader(value, pointer)


def _array(reader: Reader) -> Reader:
    def read_array(value: object, pointer: str) -> tuple[object, ...]:
        if not isinstance(value, list):
            _expect("an array", value, pointer)
        return tuple(reader(item, f"{pointer}/{index}") for index, item in enumerate(value))

    return read_array


def _map(reader: Reader) -> Reader:
    def read_map(value: object, pointer: str) -> dict[str, object]:
        if not isinstance(value, dict):
            _expect("an object", value, pointer)
        return {name: reader(item, _at(pointer, name)) for name, item in value.items()}

    return read_map


def _at(pointer: str, name: str) -> str:
    return f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"  # RFC 6901 section 3


@dataclass(frozen=True, slots=True)
class _ObjectReader:
    """Reads one dataclass: its members by their types, unknown ones ignored unless `crit` lists them."""

    kind: Callable[..., object]
    readers: Mapping[str, Reader]
    needed: tuple[str, ...]
    absent: Mapping[str, None]  # members without a default that may be left out

    @classmethod
    def of(cls, kind: type) -> "_ObjectReader":
        hints = get_type_hints(kind)
        bare = [name for name, default in _defaults(kind) if default is MISSING]
        needed = tuple(name for name in bare if NoneType not in get_args(hints[name]))
        absent = dict.fromkeys(name for name in bare if name not in needed)
        return cls(kind, {name: _reader(hint) for name, hint in hints.items()}, needed, absent)

    def __call__(self, value: object, pointer: str) -> object:
        if not isinstance(value, dict):
            _expect("an object", value, pointer)
        if "crit" in value:
            self._check_critical(value["crit"], _at(pointer, "crit"))
        for name in self.needed:
            if name not in value:
                raise BadMessage("this member is missing", _at(pointer, name))
        members = {name: read(value[name], _at(pointer, name)) for name, read in self.readers.items() if name in value}
        return self.kind(**{**self.absent, **members})

    def _check_critical(self, listed: object, pointer: str) -> None:
        if not isinstance(listed, list):
            _expect("an array", listed, pointer)
        for name in listed:
            if not isinstance(name, str) or name not in self.readers:
                raise BadMessage(f"lists {str(name)[:80]!a}, which is unknown here: this side is too old", pointer)
