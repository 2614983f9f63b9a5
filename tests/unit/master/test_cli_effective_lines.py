"""Lines of the fleet file: names as people write them, what is inherited and from where, requests made elsewhere."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from certline_master.cli import fleet_file
from certline_master.cli.failures import CommandFailed
from certline_master.cli.fleet_file import FleetFile
from certline_shared.keys import KeyType, generate, make_csr, to_pem
from tests.unit.master.requests import in_pem

KEY = generate(KeyType.ECDSA_P384)


def read(folder: Path, text: str) -> FleetFile:
    path = folder / "fleet.yaml"
    path.write_text(dedent(text))
    return fleet_file.read(path, {})


def lines(folder: Path, text: str) -> Any:
    return read(folder, text).desired["lines"]


def told(folder: Path, text: str) -> str:
    with pytest.raises(CommandFailed) as failure:
        read(folder, text)
    return str(failure.value).removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("[mysite.example, www]", ["mysite.example", "www.mysite.example"]),
        ("[www.mysite.example, mysite.example]", ["www.mysite.example", "mysite.example"]),
        ("[mysite.example, '@', '*']", ["mysite.example", "mysite.example", "*.mysite.example"]),
        (
            "{mysite.example: ['@', www], other.example: [mail, a.b]}",
            ["mysite.example", "www.mysite.example", "mail.other.example", "a.b.other.example"],
        ),
    ],
    ids=["2.0-2: a bare label", "2.0-3: full names", "wildcard", "by zone"],
)
def test_names_are_written_in_full_or_short_and_become_full(folder: Path, written: str, names: list[str]) -> None:
    """2.0 lines 2 and 3: the first name and `www.` of it; several full names in one certificate."""
    assert lines(folder, f"lines:\n  a: {{follower: b, names: {written}}}\n")["a"]["names"] == names


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("[www, mysite.example]", "fleet.yaml:2: lines.a.names: 'www' is no full name: write the first name in full"),
        (
            "{mysite.example: [www.mysite.example]}",
            "fleet.yaml:2: lines.a.names: 'www.mysite.example' repeats its zone",
        ),
        ("{mysite.example: www}", "fleet.yaml:2: lines.a.names: must be a list"),
        ("{mysite.example: [5]}", "fleet.yaml:2: lines.a.names: must be a list"),
    ],
)
def test_short_names_that_mean_nothing_are_told(folder: Path, written: str, why: str) -> None:
    assert told(folder, f"lines:\n  a: {{follower: b, names: {written}}}\n").startswith(why)


def test_without_names_a_line_is_for_its_common_name_or_for_its_own(folder: Path) -> None:
    """2.1 line 4."""
    found = lines(
        folder,
        """
        lines:
          shop.example.com: {follower: b}
          shop: {follower: b, common_name: www.example.com}
        """,
    )

    assert found["shop.example.com"]["names"] == ["shop.example.com"]
    assert found["shop"]["names"] == ["www.example.com"]
    assert told(folder, "lines:\n  shop: {follower: b}\n").startswith("fleet.yaml:2: lines.shop.names: is missing")


INHERITING = """
    defaults:
      renew_before: 30d
      profile: tlsserver
      key_types: [rsa-2048, ecdsa-p256]
      must_staple: true
    lines:
      as-all: {follower: b, names: [a.example]}
      own: {follower: b, names: [b.example], renew_before: 33%, key_types: [rsa-4096]}
      without: {follower: b, names: [c.example], renew_before: null, must_staple: false, profile: null, key_types: null}
    """


def test_a_line_has_the_defaults_unless_it_says_something_else(folder: Path) -> None:
    found = lines(folder, INHERITING)

    assert found["as-all"] == {
        "follower": "b",
        "names": ["a.example"],
        "profile": "tlsserver",
        "key_types": ["rsa-2048", "ecdsa-p256"],
        "options": {
            "must_staple": True,
            "renew_before": "30d",
            "inherited": dict.fromkeys(("key_types", "must_staple", "profile", "renew_before"), "defaults"),
        },
    }
    assert found["own"]["options"]["renew_before"] == "33%"
    assert found["own"]["key_types"] == ["rsa-4096"]
    assert found["own"]["options"]["inherited"] == {"must_staple": "defaults", "profile": "defaults"}


def test_null_switches_a_default_off(folder: Path) -> None:
    off = dict.fromkeys(("key_types", "profile", "renew_before"), "off")
    without = {"follower": "b", "names": ["c.example"], "options": {"inherited": off}}

    assert lines(folder, INHERITING)["without"] == without


def test_the_host_may_be_left_out_where_the_default_is_that_the_master_keeps_the_key(folder: Path) -> None:
    found = lines(folder, "defaults: {custody: master}\nlines:\n  a: {names: [a.example]}\n")

    assert found["a"]["custody"] == "master"
    assert "lines.a.follower: is missing" in told(folder, "lines:\n  a: {names: [a.example]}\n")


@pytest.mark.parametrize("member", ["names", "follower", "common_name", "csr"])
def test_what_is_each_lines_own_is_no_default_and_is_never_switched_off(folder: Path, member: str) -> None:
    assert "there is no such member" in told(folder, f"defaults: {{{member}: x}}\n")
    assert f"lines.a.{member}: is empty" in told(folder, f"lines:\n  a:\n    issuer: ca\n    {member}: null\n")


def test_a_fault_in_an_inherited_setting_is_told_where_it_stands(folder: Path) -> None:
    wished = read(folder, INHERITING)

    refusal = wished.refusal(
        {"errors": [{"field": "/desired/lines/as-all/options/renew_before", "detail": "is no time"}]}
    )
    own = wished.refusal({"errors": [{"field": "/desired/lines/own/options/renew_before", "detail": "is no time"}]})

    assert refusal == f"{folder}/fleet.yaml:3: defaults.renew_before: is no time"
    assert own == f"{folder}/fleet.yaml:9: lines.own.renew_before: is no time"


def test_a_request_made_elsewhere_says_names_and_key_type_and_its_key_is_never_read(folder: Path) -> None:
    """2.2 line 1."""
    names = ("shop.example", "www.shop.example")
    (folder / "shop.csr").write_text(in_pem(make_csr(KEY, names, common_name=names[0])))

    found = lines(folder, "defaults: {key_types: [rsa-2048]}\nlines:\n  shop: {follower: b, csr: 'file:shop.csr'}\n")

    assert found["shop"]["names"] == ["shop.example", "www.shop.example"]
    assert found["shop"]["key_types"] == ["ecdsa-p384"]
    assert found["shop"]["csr"] == [(folder / "shop.csr").read_text()]


@pytest.mark.parametrize(
    ("reference", "content", "why"),
    [
        ("file:a.csr", "nothing", "a.csr: not a certificate signing request"),
        ("file:none.csr", "", "none.csr cannot be read"),
        ("a.csr", "", "write file:PATH"),
        ("file:a.csr", to_pem(KEY).decode(), "a.csr holds a private key: name a file that holds the request only"),
    ],
)
def test_a_file_that_is_no_request_is_told(folder: Path, reference: str, content: str, why: str) -> None:
    (folder / "a.csr").write_text(content)

    assert why in told(folder, f"lines:\n  a: {{follower: b, csr: '{reference}'}}\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_a_key_says_more_than_the_defaults_and_less_than_the_line(folder: Path) -> None:
    found = lines(
        folder,
        """
        defaults: {renew_before: 30d, profile: classic, key_types: [rsa-2048]}
        keys:
          shared: {renew_before: 20d, profile: null}
        lines:
          one: {follower: b, names: [a.example], key: shared}
          two: {follower: b, names: [b.example], key: shared, renew_before: 10d}
        """,
    )

    assert found["one"]["options"]["renew_before"] == "20d"
    assert found["one"]["options"]["inherited"] == {"key_types": "defaults", "profile": "off", "renew_before": "key"}
    assert found["one"]["key_types"] == ["rsa-2048"]
    assert "profile" not in found["one"]
    assert found["two"]["options"]["renew_before"] == "10d"
    assert found["two"]["options"]["inherited"] == {"key_types": "defaults", "profile": "off"}
