"""Placeholders in the arguments of a command: `{certificate_file}` becomes a value, `{certs}` one argument for each."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from string import Formatter


class BadPlaceholder(ValueError):
    """An argument that cannot be filled in; the text says why and what to do."""


def check(words: Sequence[str], *, single: Collection[str], several: Collection[str] = ()) -> None:
    """Raises BadPlaceholder for one that is not known, or that cannot stand where it does."""
    for place, word in enumerate(words):
        names = [name for _, name in _parts(word) if name is not None]
        for name in names:
            if name not in single and name not in several:
                known = ", ".join(f"{{{one}}}" for one in sorted({*single, *several})) or "none"
                raise BadPlaceholder(f"{{{name}}} is unknown here: choose among {known}; a plain brace is {{{{ or }}}}")
            if name in several and word != f"{{{name}}}":
                raise BadPlaceholder(f"{word!r}: {{{name}}} becomes several arguments: write it as one of its own")
        if names and place == 0:
            raise BadPlaceholder(f"{word!r}: the program itself cannot be filled in: write its path")


def names_in(words: Iterable[str]) -> frozenset[str]:
    """The placeholders of a command that was checked."""
    return frozenset(name for word in words for _, name in _parts(word) if name is not None)


def filled(words: Iterable[str], values: Mapping[str, str | Sequence[str]]) -> tuple[str, ...]:
    """The arguments with their values; one that has none is empty."""
    return tuple(argument for word in words for argument in _filled(word, values))


def _filled(word: str, values: Mapping[str, str | Sequence[str]]) -> Sequence[str]:
    texts: list[str] = []
    for literal, name in _parts(word):
        texts.append(literal)
        value = "" if name is None else values.get(name, "")
        if not isinstance(value, str):
            return value
        texts.append(value.replace("\0", ""))
    return ["".join(texts)]


def _parts(word: str) -> list[tuple[str, str | None]]:
    """Literal text and the placeholder after it. Raises BadPlaceholder."""
    try:
        found = list(Formatter().parse(word))
    except ValueError:
        raise BadPlaceholder(f"{word!r}: a brace stands alone: write {{{{ or }}}} for a plain one") from None
    for _, name, form, conversion in found:
        if form or conversion or (name is not None and not name.isidentifier()):
            raise BadPlaceholder(f"{word!r}: write the placeholder's name only, as in {{line}}")
    return [(literal, name) for literal, name, _, _ in found]
