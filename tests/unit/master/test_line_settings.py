"""What counts for a line, and where it is written."""

from dataclasses import replace

from certline_master.domain.line_settings import line_settings
from certline_master.domain.model import Issuer, Line, LineOptions, Owner
from certline_shared.keys import KeyType

ISSUER = Issuer("i-1", "ca", Owner.FILE, "https://ca.example/dir", profile="classic", is_default=True)
LINE = Line("l-1", "shop", Owner.API, "f-1", ("www.example.com", "shop.example.com"))


def settings(line: Line) -> dict[str, tuple[object, str]]:
    return {one.name: (one.value, one.origin) for one in line_settings(line, ISSUER)}


def test_what_nobody_says_is_certlines_or_the_issuers() -> None:
    found = settings(LINE)

    assert found["key_types"] == (["ecdsa-p256"], "certline")
    assert found["issuer"] == ("ca", "certline")
    assert found["profile"] == ("classic", "issuer")
    assert found["renew_before"] == (None, "certline")
    assert found["common_name"] == ("www.example.com", "certline")


def test_what_the_line_says_is_the_lines() -> None:
    options = LineOptions(renew_before="30d", common_name="shop.example.com")
    line = replace(LINE, key_types=(KeyType.RSA_2048,), issuer_id="i-1", profile="tlsserver", options=options)
    found = settings(line)

    assert {found[name] for name in ("issuer", "profile", "renew_before", "common_name")} == {
        ("ca", "line"),
        ("tlsserver", "line"),
        ("30d", "line"),
        ("shop.example.com", "line"),
    }
    assert found["key_types"] == (["rsa-2048"], "line")


def test_what_the_fleet_file_says_elsewhere_names_that_place() -> None:
    inherited = {"renew_before": "defaults", "profile": "key", "renew_after": "off"}
    found = settings(replace(LINE, options=LineOptions(renew_before="30d", inherited=inherited)))

    assert found["renew_before"] == ("30d", "defaults")
    assert found["profile"][1] == "key"
    assert found["renew_after"] == (None, "off")


def test_the_common_name_is_the_lines_own_name_where_that_is_one_of_the_names() -> None:
    """2.0 line 3: else the first name."""
    assert settings(replace(LINE, name="shop.example.com"))["common_name"] == ("shop.example.com", "certline")
    long = f"{'a' * 60}.example.com"
    assert settings(replace(LINE, names=(long, "www.example.com")))["common_name"] == ("www.example.com", "certline")
    assert settings(replace(LINE, names=(long,)))["common_name"] == (None, "certline")
