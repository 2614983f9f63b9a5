"""Names of files with fields such as {name} in them; pure, and nothing like Python's own format strings."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

DATE = "%Y_%m_%d_%H%M%S"

_FIELD = re.compile(r"\{([^{}]*)\}")
_UNSAFE = re.compile(r"[/*\0]")
_DIRECTIVES = "YmdHMSs"


class BadPattern(ValueError):
    """A pattern that cannot be used; the text says why and what to do."""


def fields_of(pattern: str, allowed: Iterable[str]) -> tuple[str, ...]:
    """The fields in it. Raises BadPattern for one that is not allowed there, and for a brace that stands alone."""
    found, known = fields_in(pattern), tuple(allowed)
    for name in found:
        if name not in known:
            listed = ", ".join(f"{{{one}}}" for one in known)
            raise BadPattern(f"{pattern!r} has the unknown field {{{name}}}: known here are {listed}")
    if set("{}") & set(_FIELD.sub("", pattern)):
        raise BadPattern(f"{pattern!r} has a brace that stands alone: braces stand around a field only, as in {{name}}")
    return found


def fields_in(pattern: str) -> tuple[str, ...]:
    """The fields of a pattern that was checked."""
    return tuple(_FIELD.findall(pattern))


def filled(pattern: str, values: Mapping[str, str]) -> str:
    """The pattern with what is known put in; other fields stay for later."""
    return _FIELD.sub(lambda found: _value(found, values), pattern)


def safe(text: str) -> str:
    """A name as part of a file's name: `*.example.org` becomes `_.example.org`."""
    return _UNSAFE.sub("_", text)


def written_date(moment: datetime, form: str = DATE) -> str:
    """A moment (aware) in a form that check_date_form let pass."""
    seconds = str(int(moment.timestamp()))
    return moment.strftime(form.replace("%s", seconds))


def check_date_form(form: str) -> None:
    """Raises BadPattern."""
    rest = re.sub(f"%[{_DIRECTIVES}]", "", form)
    if "%" in rest or _UNSAFE.search(rest) or rest == form:
        listed = ", ".join(f"%{one}" for one in _DIRECTIVES)
        raise BadPattern(f"{form!r} is no form of a date: put it together of {listed}, as in {DATE!r}")


def _value(found: "re.Match[str]", values: Mapping[str, str]) -> str:
    value = values.get(found[1])
    return found[0] if value is None else safe(value)
