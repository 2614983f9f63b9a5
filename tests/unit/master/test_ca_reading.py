"""URLs, links, times and chains as a CA writes them."""

from datetime import UTC, datetime, timedelta

import pytest

from certline_master.ca.chains import alternates, topmost_issuer
from certline_master.ca.origin import Origin
from certline_master.ca.transport import Answer
from certline_master.ca.views import read_page, read_time
from certline_master.domain.errors import CaRefused, CaUnreachable
from certline_shared import keys
from tests.fakes.ca_issuing import IssuingCa

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("directory", "url", "target"),
    [
        ("https://ca.example/dir", "https://ca.example/order/1", "/order/1"),
        ("https://ca.example/dir", "https://ca.example:443/order/1?page=2", "/order/1?page=2"),
        ("https://CA.example/dir", "https://ca.EXAMPLE", "/"),
        ("https://ca.example:8443/dir", "https://ca.example:8443/x", "/x"),
        ("https://[2001:db8::1]:14000/dir", "https://[2001:db8::1]:14000/x", "/x"),
    ],
)
def test_a_url_on_the_directorys_host_is_asked_there(directory: str, url: str, target: str) -> None:
    assert Origin.of_directory(directory).target(url) == target


@pytest.mark.parametrize(
    "url",
    ["https://ca.example:8443/x", "http://ca.example/x", "https://ca.example.evil/x", "https://ca.example@evil/x",
     "https://ca.example\\@evil/x", "https://x@ca.example/x", "https:ca.example/x", "/x", "", "https://ca.example/a b",
     "https://ca.example/\n", "https://ca.example/" + "a" * 2048, "https://[ca.example/", "https://ca.example:x/",
     "https://127.0.0.1/", "https://ca.example./x", "HTTPS://évil.example/"],
)  # fmt: skip
def test_a_url_anywhere_else_is_refused(url: str) -> None:
    """D4."""
    with pytest.raises(CaRefused, match="not on the host"):
        Origin.of_directory("https://ca.example/dir").target(url)


def test_the_host_header_has_a_port_only_where_it_is_not_the_usual_one() -> None:
    urls = ("https://ca.example/dir", "https://ca.example:8443/dir", "https://[2001:db8::1]/dir")
    assert [Origin.of_directory(url).authority for url in urls] == ["ca.example", "ca.example:8443", "[2001:db8::1]"]


def test_http_is_refused_with_what_to_write() -> None:
    with pytest.raises(CaUnreachable, match="write an https URL"):
        Origin.of_directory("http://ca.example/directory")


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (['<https://ca.example/c/1>;rel="alternate"'], ["https://ca.example/c/1"]),
        (['<https://ca.example/dir>;rel="index"', '<https://ca.example/c/1>; rel=alternate'], ["https://ca.example/c/1"]),
        (['<https://a/1>; title="x"; REL="Alternate", <https://a/2>;rel="alternate", <https://a/3>;rel="up"'],
         ["https://a/1", "https://a/2"]),
        (['<https://a/1>;rel="alternates"', "nonsense", "<>", '<https://a/1>;rel="up"; x="rel=alternate"'], []),
        ([], []),
    ],
)  # fmt: skip
def test_alternates_are_found_in_links_of_any_form(headers: list[str], found: list[str]) -> None:
    """Case 30; RFC 8288."""
    assert alternates(Answer(200, tuple(("link", header) for header in headers), b"")) == found


def test_the_topmost_issuer_is_that_of_the_last_certificate() -> None:
    chain = IssuingCa(NOW, name="Some").issue(_csr(), NOW, timedelta(days=90))
    assert topmost_issuer(chain) == "Some Root"
    assert topmost_issuer(chain + "\n\n") == "Some Root"


@pytest.mark.parametrize("text", ["", "junk", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_chain_has_no_issuer(text: str) -> None:
    assert topmost_issuer(text) is None


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-20T12:00:00Z", NOW),
        ("2026-11-20t12:00:00z", NOW),
        ("2026-11-20T13:00:00+01:00", NOW),
        ("2026-11-20T12:00:00.000000123Z", NOW),
        ("2026-11-20T12:00:00", None),
        ("tomorrow", None),
        ("", None),
        (17, None),
        (None, None),
        ("0001-01-01T00:00:00+23:59", None),
    ],
)
def test_a_time_is_read_as_utc_or_not_at_all(text: object, time: datetime | None) -> None:
    assert read_time(text) == time


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("https://ca.example/incident", "https://ca.example/incident"),
        ("http://ca.example/incident", "http://ca.example/incident"),
        ("javascript:alert(1)", None),
        ("https://", None),
        ("https://ca.example/\n", None),
        ("https://[", None),
        ("https://ca.example/" + "a" * 2048, None),
        (17, None),
        (None, None),
    ],
)
def test_a_page_for_people_is_a_web_page_or_none(text: object, page: str | None) -> None:
    assert read_page(text) == page


def _csr() -> bytes:
    return keys.make_csr(keys.generate(keys.KeyType.ECDSA_P256), ("a.example.org",))
