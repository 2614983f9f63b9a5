"""What may be a certificate's name, and how every spelling of it becomes one text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certline_shared import names


@pytest.mark.parametrize(
    ("spelling", "normal"),
    [
        ("www.example.org", "www.example.org"),
        ("WWW.Example.ORG", "www.example.org"),
        ("www.example.org.", "www.example.org"),
        ("*.Example.org", "*.example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("XN--Bcher-KVA.example", "xn--bcher-kva.example"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("xn--strae-oqa.example", "xn--strae-oqa.example"),
        ("123.example", "123.example"),
        (f"{'a' * 63}.example", f"{'a' * 63}.example"),
    ],
)
def test_every_spelling_of_a_name_has_one_normal_form(spelling: str, normal: str) -> None:
    assert names.normalise(spelling) == normal


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty name"),
        (".", "empty label"),
        ("a..example", "empty label"),
        (".example.org", "empty label"),
        ("example.org..", "empty label"),
        ("localhost", "single label"),
        ("*.example", "single label"),
        ("*", "single label"),
        ("192.0.2.7", "IP address"),
        ("2001:db8::7", "IP address"),
        ("[2001:db8::7]", "IP address"),
        ("example.123", "ends in a number"),
        ("*.*.example.org", "wildcard elsewhere"),
        ("www.*.org", "wildcard elsewhere"),
        ("w*.example.org", "wildcard elsewhere"),
        ("**.example.org", "wildcard elsewhere"),
        ("_acme.example.org", "underscore"),
        ("-a.example.org", "begins or ends with a hyphen"),
        ("a-.example.org", "begins or ends with a hyphen"),
        ("a b.example.org", "only letters, digits and hyphens"),
        (" example.org", "only letters, digits and hyphens"),
        ("example.org\n", "only letters, digits and hyphens"),
        ("exam\0ple.org", "only letters, digits and hyphens"),
        ("example.org;id", "only letters, digits and hyphens"),
        ("../etc.example", "empty label"),
        ("ab--c.example", "reserved"),
        ("straße.example", "write that label as xn--"),
        ("STRAẞE.example", "write that label as xn--"),
        ("σοφός.example", "write that label as xn--"),
        ("a\u200db.example", "write that label as xn--"),
        ("a\u200cb.example", "write that label as xn--"),
        ("a\u3002b.example", "unknown to the converter"),
        ("\u202eabc.example", "not a valid internationalised label"),
        ("\ud800.example", "not a valid internationalised label"),
        ("xn--zzzzzz.example", "not valid punycode"),
        ("xn--a.example", "no valid internationalised label"),
        ("xn--example-.example", "begins or ends with a hyphen"),
        (f"{'a' * 64}.example", "64 octets"),
        (".".join(["a" * 60] * 4) + ".abcdefghij", "253 octets"),
        ("ü" * 300, "253 octets"),
    ],
)
def test_what_is_no_certificate_name_is_refused_with_its_reason(text: str, why: str) -> None:
    with pytest.raises(names.BadName, match=why):
        names.normalise(text)


def test_a_name_of_253_octets_is_taken_and_one_of_254_is_not() -> None:
    longest = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])
    assert len(longest) == 253
    assert names.normalise(longest) == longest
    with pytest.raises(names.BadName, match="253 octets"):
        names.normalise(longest + "d")


def test_an_a_label_that_hides_an_upper_case_or_uncomposed_spelling_is_refused() -> None:
    for hidden in ("BÜCHER", "bu\u0308cher", "a\u202eb"):
        label = "xn--" + hidden.encode("punycode").decode("ascii").lower()
        with pytest.raises(names.BadName):
            names.normalise(f"{label}.example")


def test_a_look_alike_is_another_name() -> None:
    assert names.normalise("аpple.example") != names.normalise("apple.example")  # the first letter is Cyrillic


@given(st.text(max_size=300))
def test_any_text_is_either_refused_or_becomes_a_form_that_stays(text: str) -> None:
    try:
        normal = names.normalise(text)
    except names.BadName:
        return
    assert normal.isascii()
    assert normal == normal.lower()
    assert names.normalise(normal) == normal


@given(st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1, max_size=300))
def test_a_refusal_never_carries_the_control_characters_it_is_about(text: str) -> None:
    with pytest.raises(names.BadName) as caught:
        names.normalise(f"{text}.example")
    assert str(caught.value).isprintable()


@given(st.from_regex(r"\A(\*\.)?([a-z]([a-z0-9]{0,10})\.){1,4}[a-z]{2,6}\Z"))
def test_ordinary_names_are_taken_as_they_are(name: str) -> None:
    assert names.normalise(name) == name
    assert names.normalise(name.upper() + ".") == name


def test_a_wildcard_is_not_its_base() -> None:
    assert names.is_wildcard("*.example.org")
    assert not names.is_wildcard("example.org")
    assert names.base("*.example.org") == "example.org"
    assert names.base("example.org") == "example.org"


def test_an_internationalised_name_is_shown_both_ways() -> None:
    assert names.display("*.xn--bcher-kva.example") == "*.xn--bcher-kva.example (*.bücher.example)"
    assert names.display("www.example.org") == "www.example.org"


def test_a_set_of_names_keeps_its_first_order_without_duplicates() -> None:
    assert names.normalise_all(["b.example", "A.example.", "a.example"]) == ("b.example", "a.example")


def test_no_names_and_more_than_fit_one_certificate_are_refused() -> None:
    hundred = [f"h{number}.example.org" for number in range(100)]
    assert len(names.normalise_all(hundred)) == 100
    with pytest.raises(names.BadName, match="101 names"):
        names.normalise_all([*hundred, "one.more.example"])
    with pytest.raises(names.BadName, match="no names"):
        names.normalise_all([])


def test_a_host_that_a_wildcard_beside_it_covers_is_refused_and_both_are_named() -> None:
    with pytest.raises(names.BadName, match=r"\*\.example\.org.*www\.example\.org"):
        names.normalise_all(["*.example.org", "www.example.org"])
    both = names.normalise_all(["example.org", "*.example.org", "a.b.example.org"])
    assert both == ("example.org", "*.example.org", "a.b.example.org")


@pytest.mark.parametrize("text", ["shop", "web-7", "0.a_b", "a" * 63])
def test_plain_words_name_our_objects(text: str) -> None:
    assert names.check_object_name(text, "line") == text


@pytest.mark.parametrize(
    "text", ["", ".", "..", "../x", "/etc", "a/b", "A", "-a", "_a", "a b", "a\n", "a\0", "é", "a@b", "a" * 64]
)
def test_an_object_name_cannot_lead_elsewhere(text: str) -> None:
    with pytest.raises(names.BadName, match="the line name"):
        names.check_object_name(text, "line")
