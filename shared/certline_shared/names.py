"""Names: DNS names in one normal form (A-labels, lower case, no trailing dot), and names of our own objects."""

import ipaddress
import re
import unicodedata
from encodings import idna
from stringprep import in_table_a1

LINE_NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,62}"

_OBJECT_NAME = re.compile(LINE_NAME_PATTERN)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_JOINERS = "\u200c\u200d"
# IDNA 2003 maps these away and IDNA 2008 keeps them (RFC 5894 section 7.2): one spelling would be two names.
_DEVIATIONS = "\u00df\u1e9e\u03c2" + _JOINERS
_OTHER_DOTS = "\u3002\uff0e\uff61"


class BadName(ValueError):
    """A name that cannot be used; the text says which one, why, and what to do."""


def normalise(text: str) -> str:
    """One DNS name in normal form: lower case, A-labels (RFC 5890), no trailing dot; a leading `*.` is kept.

    Two spellings of one name give the same text, so grants and sets compare by plain equality; a wildcard
    never equals its base. Raises BadName for an empty name, an IP address, over 253 octets, a label that is empty, over
    63 octets or not letters-digits-hyphens, a wildcard elsewhere than in front, a single label, and for the characters
    on which IDNA 2003 and 2008 disagree (sharp s, final sigma, joiners: to be written as xn--).
    """
    if not text:
        raise BadName("an empty name: write a DNS name such as www.example.org")
    if len(text) > 255:  # before any work that grows with the length
        raise _bad(text, "is longer than 253 octets")
    bare = text.removesuffix(".")
    if _is_address(bare):
        raise _bad(text, "is an IP address: write a DNS name")
    wildcard, labels = _split(text, bare)
    name = ".".join([*wildcard, *(_a_label(label, text) for label in labels)])
    if len(name) > 253:
        raise _bad(text, "is longer than 253 octets")
    return name


def _split(text: str, bare: str) -> tuple[list[str], list[str]]:
    labels = bare.split(".")
    wildcard = labels[:1] if labels[0] == "*" else []
    labels = labels[len(wildcard) :]
    if "*" in "".join(labels):
        raise _bad(text, "has a wildcard elsewhere than as its whole first label: write *.example.org")
    if "" in labels:
        raise _bad(text, "has an empty label: remove the extra dot")
    if len(labels) < 2:
        raise _bad(text, "has a single label: write the full name with its domain")
    if labels[-1].isdigit():
        raise _bad(text, "ends in a number: that is no DNS name that a CA may certify")
    return wildcard, labels


def _a_label(label: str, text: str) -> str:
    label = label.lower() if label.isascii() else _to_ascii(label, text)
    if _LABEL.fullmatch(label) is None:
        raise _bad(text, _why_no_label(label))
    if label.startswith("xn--"):
        _check_a_label(label, text)
    elif label[2:4] == "--":  # reserved, RFC 5890 section 2.3.1
        raise _bad(text, f"has the label {label!r} with hyphens in third and fourth place, which is reserved")
    return label


def _to_ascii(label: str, text: str) -> str:
    for character in label:
        if character in _DEVIATIONS:
            raise _bad(text, f"has {_show(character)}, on which IDNA 2003 and 2008 disagree: write that label as xn--")
        if character in _OTHER_DOTS or in_table_a1(character):
            raise _bad(text, f"has {_show(character)}, unknown to the converter: write a plain dot, or xn--")
    try:
        return idna.ToASCII(label).decode("ascii").lower()
    except UnicodeError as error:
        raise _bad(text, f"has the label {label!r}, which is not a valid internationalised label ({error})") from None


def _check_a_label(label: str, text: str) -> None:
    """Refuse an A-label that nobody's encoder makes (RFC 5891 section 4.2): two texts could then mean one name."""
    decoded = _u_label(label)
    if decoded is None:
        raise _bad(text, f"has the label {label!r}, which is not valid punycode: check the xn-- form")
    hidden = any(unicodedata.category(c)[0] in "CZ" and c not in _JOINERS for c in decoded)
    if hidden or decoded.isascii() or unicodedata.normalize("NFC", decoded.lower()) != decoded:
        raise _bad(text, f"has the label {label!r}, which no valid internationalised label encodes to")


def _u_label(label: str) -> "str | None":
    try:
        decoded = label[4:].encode("ascii").decode("punycode")
        return decoded if decoded.encode("punycode").decode("ascii") == label[4:] else None
    except UnicodeError:  # surrogates, which punycode can spell, are refused by the encoder
        return None


def _why_no_label(label: str) -> str:
    if len(label) > 63:
        return f"has a label of {len(label)} octets (at most 63)"
    if "_" in label:
        return f"has the label {label!r} with an underscore, which may not stand in a certificate's name"
    if label.strip("-") != label:
        return f"has the label {label!r}, which begins or ends with a hyphen"
    return f"has the label {label!r}: only letters, digits and hyphens may stand in it"


def _is_address(text: str) -> bool:
    if ":" not in text and not text[-1:].isdigit():  # the usual name: parsing it as an address would cost the most
        return False
    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _show(character: str) -> str:
    return f"U+{ord(character):04X} ({unicodedata.name(character, 'no name')})"


def _bad(text: str, why: str) -> BadName:
    shown = text if len(text) <= 260 else text[:60] + "…"
    return BadName(f"the name {ascii(shown) if not shown.isprintable() else repr(shown)} {why}")


def is_wildcard(name: str) -> bool:
    """Whether a normal name is a wildcard."""
    return name.startswith("*.")


def base(name: str) -> str:
    """The name a CA authorizes: of `*.x` it is `x` (RFC 8555 section 7.1.3)."""
    return name.removeprefix("*.")


def display(name: str) -> str:
    """The name for people: `xn--bcher-kva.example (bücher.example)` for an IDN, else the name itself."""
    labels = [_u_label(label) or label if label.startswith("xn--") else label for label in name.split(".")]
    shown = ".".join(labels)
    return name if shown == name else f"{name} ({shown})"


def normalise_all(texts: "list[str] | tuple[str, ...]", *, most: int = 100) -> tuple[str, ...]:
    """Normal names in their first order, without duplicates.

    Raises BadName for none, for more than `most`, and for a wildcard together with a name it covers directly
    (`*.x` with `y.x`), which CAs refuse; both are named.
    """
    normal = tuple(dict.fromkeys(normalise(text) for text in texts))
    if not normal:
        raise BadName("no names: give at least one")
    if len(normal) > most:
        raise BadName(f"{len(normal)} names: at most {most} fit one certificate, split them over several lines")
    for name in normal:
        covering = "*." + name.partition(".")[2]
        if not is_wildcard(name) and covering in normal:
            raise BadName(f"{covering!r} already covers {name!r}, and a CA refuses both together: remove one")
    return normal


def check_object_name(text: str, what: str) -> str:
    """`text` if it may name a line, follower, issuer or zone object (`[a-z0-9][a-z0-9._-]{0,62}`), else BadName."""
    if _OBJECT_NAME.fullmatch(text) is None:
        shown = ascii(text if len(text) <= 80 else text[:60] + "…")
        raise BadName(
            f"the {what} name {shown} cannot be used: write 1 to 63 of a-z, 0-9, '.', '_' and '-', "
            "beginning with a letter or digit"
        )
    return text
