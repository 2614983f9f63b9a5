"""Strict YAML: what stands there is what is read, and what could surprise is a fault with its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certline_master.cli.yaml_reader import YamlFault, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: shop", "shop"),
        ("a: 'no'", "no"),
        ('a: "12:30"', "12:30"),
        ("a: true", True),
        ("a: false", False),
        ("a: 0", 0),
        ("a: 53", 53),
        ("a: -1", -1),
        ("a:", None),
        ("a: null", None),
        ("a: [b, 'c']", ["b", "c"]),
        ("a: {b: c}", {"b": "c"}),
        ("a: |\n  two\n  lines\n", "two\nlines\n"),
        ("a: https://ca.example/dir", "https://ca.example/dir"),
        ("a: bücher.example", "bücher.example"),
    ],
)
def test_a_plain_value_is_what_it_seems(text: str, value: object) -> None:
    document = read(text)

    assert document.data == {"a": value}
    assert document.faults == []


@pytest.mark.parametrize(
    "scalar",
    ["no", "Yes", "ON", "12:30", "1.20", "0x1f", "017", "1_000", "2026-11-20", ".inf", "~", "9" * 5000],
)
def test_a_value_that_may_mean_several_things_is_a_fault(scalar: str) -> None:
    document = read(f"a: 1\nb: {scalar}\n")

    [(pointer, line, text)] = document.faults
    assert (pointer, line) == ("/b", 2)
    assert "in quotes" in text
    assert len(text) < 250


def test_a_word_for_true_is_told_to_be_written_as_true() -> None:
    [(_, _, text)] = read("a: yes").faults

    assert text == 'yes may mean several things in YAML: write true or false, or "yes" in quotes if text is meant'


def test_a_key_that_stands_twice_is_a_fault_at_its_second_line_and_the_first_is_kept() -> None:
    document = read("a: 1\nb: 2\na: 3\n")

    assert document.data == {"a": 1, "b": 2}
    assert document.faults == [("/a", 3, "stands here twice, first in line 1: keep one")]


def test_all_single_faults_are_found_in_one_reading() -> None:
    document = read("a: no\nb: {c: 1.5, c: x}\nd: [on]\n")

    assert [(pointer, line) for pointer, line, _ in document.faults] == [
        ("/a", 1),
        ("/b/c", 2),
        ("/b/c", 2),
        ("/d/0", 3),
    ]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: [1, 2", 2, "not YAML"),
        ("a: 1\n b: 2", 2, "not YAML"),
        ("a: &x 1\nb: *x", 1, "anchors, aliases and tags"),
        ("a: 1\nb: !!python/object:os.system x", 2, "anchors, aliases and tags"),
        ("a: 1\n<<: {b: 2}", 2, "plain name"),
        ("? [a, b]\n: 1", 1, "plain name"),
        ("a: 1\n---\nb: 2", 2, "another document"),
        ("a: \x00", 1, "not YAML"),
        ("a: " + "[" * 100_000, 1, "deeper than 16"),
        ("a: " + "{b: " * 100_000, 1, "deeper than 16"),
        ("- " * 100_000, 1, "deeper than 16"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else str(value),
)
def test_what_is_no_yaml_of_ours_is_told_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(YamlFault) as fault:
        read(text)

    assert fault.value.line == line
    assert said in str(fault.value)


def test_the_line_of_a_value_is_that_of_its_key_and_of_a_list_item_its_own() -> None:
    document = read("lines:\n  shop:\n    names:\n      - a.example\n      - b.example\n  a/b~c: 1\n")

    assert document.line_of("/lines/shop") == 2
    assert document.line_of("/lines/shop/names/1") == 5
    assert document.line_of("/lines/a~1b~0c") == 6


def test_the_line_of_what_is_not_there_is_that_of_what_is_around_it() -> None:
    document = read("lines:\n  shop: {names: [a.example]}\n")

    assert document.line_of("/lines/shop/follower") == 2
    assert document.line_of("/zones") == 1


def test_an_empty_text_is_no_data() -> None:
    assert read("# nothing yet\n").data is None


@given(st.text(max_size=200))
def test_any_text_is_read_or_told_with_a_line(text: str) -> None:
    assert 1 <= last_line_told(text) <= len(text) + 1


def last_line_told(text: str) -> int:
    try:
        return max((line for _, line, _ in read(text).faults), default=1)
    except YamlFault as fault:
        return fault.line
