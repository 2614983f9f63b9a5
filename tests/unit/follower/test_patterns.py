"""Names of files with fields in them: only the known ones, and nothing that a format string could do."""

from datetime import UTC, datetime

import pytest

from certline_follower import patterns
from certline_follower.patterns import BadPattern

NAME = ("name", "suffix")


def test_fields_are_filled_in_and_the_others_stay_for_later() -> None:
    assert patterns.filled("{name}_full{suffix}-{date}.key", {"name": "shop", "suffix": ""}) == "shop_full-{date}.key"


@pytest.mark.parametrize(("name", "safe"), [("*.example.org", "_.example.org"), ("a/../b", "a_.._b"), ("a\0b", "a_b")])
def test_a_name_cannot_leave_its_folder(name: str, safe: str) -> None:
    assert patterns.filled("etc/{name}.pem", {"name": name}) == f"etc/{safe}.pem"


def test_a_value_is_not_read_as_a_pattern_again() -> None:
    assert patterns.filled("{name}{suffix}", {"name": "{suffix}", "suffix": "x"}) == "{suffix}x"


@pytest.mark.parametrize(
    "pattern", ["{nmae}.pem", "{name.__class__}", "{name[0]}", "{name!r}", "{name:>9}", "{}", "{0}"]
)
def test_an_unknown_field_is_told_with_the_known_ones(pattern: str) -> None:
    with pytest.raises(BadPattern, match=r"unknown field \{.*: known here are \{name\}, \{suffix\}$"):
        patterns.fields_of(pattern, NAME)


@pytest.mark.parametrize("pattern", ["{name", "name}", "{{name}}", "{name}}", "a{b{name}"])
def test_a_brace_that_stands_alone_is_told(pattern: str) -> None:
    with pytest.raises(BadPattern, match="has a brace that stands alone"):
        patterns.fields_of(pattern, NAME)


@pytest.mark.parametrize(
    ("form", "written"),
    [
        (patterns.DATE, "2026_11_20_120503"),
        ("%Y-%m-%d", "2026-11-20"),
        ("%s", "1795176303"),
        ("%d.%m.%Y", "20.11.2026"),
    ],
)
def test_a_date_is_written_as_the_settings_say(form: str, written: str) -> None:
    patterns.check_date_form(form)
    assert patterns.written_date(datetime(2026, 11, 20, 12, 5, 3, tzinfo=UTC), form) == written


@pytest.mark.parametrize("form", ["", "today", "%Y/%m", "%A", "%Y%", "%%Y", "%Y*"])
def test_a_form_that_is_no_date_is_told_with_a_good_one(form: str) -> None:
    with pytest.raises(BadPattern, match=r"is no form of a date: .* as in '%Y_%m_%d_%H%M%S'$"):
        patterns.check_date_form(form)
