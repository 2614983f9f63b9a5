"""Names: DNS names in one normal form (A-labels, lower case, no trailing dot), and names of our own objects."""

LINE_NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,62}"


class BadName(ValueError):
    """A name that cannot be used; the text says which one, why, and what to do."""


def normalise(text: str) -> str:
    """One DNS name in normal form: lower case, A-labels (RFC 5890), no trailing dot; a leading `*.` is kept.

    Two spellings of one name give the same text, so grants and sets compare by plain equality; a wildcard
    never equals its base. Raises BadName for an empty name, an IP address, over 253 octets, a label that is empty, over 63
    octets or not letters-digits-hyphens, a wildcard elsewhere than in front, a single label, and for the characters on
    which IDNA 2003 and 2008 disagree (sharp s, final sigma, joiners: to be written as xn--).
    """
    raise NotImplementedError


def is_wildcard(name: str) -> bool:
    """Whether a normal name is a wildcard."""
    return name.startswith("*.")


def base(name: str) -> str:
    """The name a CA authorizes: of `*.x` it is `x` (RFC 8555 section 7.1.3)."""
    return name.removeprefix("*.")


def display(name: str) -> str:
    """The name for people: `xn--bcher-kva.example (bücher.example)` for an IDN, else the name itself."""
    raise NotImplementedError


def normalise_all(texts: "list[str] | tuple[str, ...]", *, most: int = 100) -> tuple[str, ...]:
    """Normal names in their first order, without duplicates.

    Raises BadName for none, for more than `most`, and for a wildcard together with a name it covers directly
    (`*.x` with `y.x`), which CAs refuse; both are named.
    """
    raise NotImplementedError


def check_object_name(text: str, what: str) -> str:
    """`text` if it may name a line, follower, issuer or zone object (`[a-z0-9][a-z0-9._-]{0,62}`), else BadName."""
    raise NotImplementedError
