"""The fleet file: what it becomes for the API, and how each fault is told by file, line and field."""

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import trustme

from certline_master.cli import fleet_file
from certline_master.cli.failures import WRONG, CommandFailed
from certline_master.cli.fleet_file import FleetFile

ROOT = Path(__file__).parents[3]

ISSUER = "issuers:\n  le: {directory: 'https://ca.example/dir'}\n"
SECRET = "c2VjcmV0LXZhbHVlLW9mLXRoZS1rZXk="


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tsig.secret").write_text(f"{SECRET}\n")
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path


def read(folder: Path, text: str, environ: dict[str, str] | None = None) -> FleetFile:
    path = folder / "fleet.yaml"
    path.write_text(dedent(text))
    return fleet_file.read(path, environ or {})


def faults(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """The told lines, without the folder."""
    with pytest.raises(CommandFailed) as failure:
        read(folder, text, environ)
    assert failure.value.code == WRONG
    return [line.removeprefix(f"{folder}/") for line in str(failure.value).splitlines()]


def test_the_whole_file_becomes_the_body_of_the_api(folder: Path) -> None:
    wished = read(
        folder,
        """
        issuers:
          letsencrypt:
            directory: https://acme.example/directory
            contact: ["mailto:ops@example.com"]
            profile: classic
            preferred_chain: ISRG Root X1
            ca_file: ca.pem
            default: true
        zones:
          example.com: {solver: rfc2136, server: 192.0.2.1, port: 53, key_name: certline., secret: "file:tsig.secret"}
          acme.example.net: {solver: responder}
        http:
          www.example.com: listener
        followers:
          web-1: {grants: {request: [blog.example.com, "*.blog.example.com"]}}
          web-2:
          web-3: {groups: [web], networks: [10.2.0.0/16], grants: {pull: [wide]}}
        groups:
          web: {grants: {request: [www.example.com], pull: [wide]}}
        lines:
          shop: {follower: web-1, names: [shop.example.com], issuer: letsencrypt, profile: p, key_types: [rsa-2048]}
          blog: {follower: web-1, names: [blog.example.com]}
        """,
    )

    assert wished.desired == {
        "issuers": {
            "letsencrypt": {
                "directory": "https://acme.example/directory",
                "contact": ["mailto:ops@example.com"],
                "profile": "classic",
                "preferred_chain": "ISRG Root X1",
                "ca_certificates": (folder / "ca.pem").read_text(),
                "default": True,
            }
        },
        "zones": {
            "example.com": {
                "solver": "rfc2136",
                "settings": {"server": "192.0.2.1", "port": 53, "key_name": "certline."},
                "secret": SECRET,
            },
            "acme.example.net": {"solver": "responder", "settings": {}, "secret": ""},
        },
        "http": {"www.example.com": {"solver": "listener"}},
        "followers": {
            "web-1": {"grants": {"request": ["blog.example.com", "*.blog.example.com"]}},
            "web-2": {},
            "web-3": {"groups": ["web"], "networks": ["10.2.0.0/16"], "grants": {"pull": ["wide"]}},
        },
        "groups": {"web": {"grants": {"request": ["www.example.com"], "pull": ["wide"]}}},
        "keys": {},
        "lines": {
            "shop": {
                "follower": "web-1",
                "names": ["shop.example.com"],
                "issuer": "letsencrypt",
                "profile": "p",
                "key_types": ["rsa-2048"],
            },
            "blog": {"follower": "web-1", "names": ["blog.example.com"]},
        },
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "lines:\nzones:\n"])
def test_an_empty_file_wishes_for_nothing(folder: Path, text: str) -> None:
    assert all(part == {} for part in read(folder, text).desired.values())


def test_a_secret_may_come_from_the_environment(folder: Path) -> None:
    wished = read(folder, "zones:\n  a.example: {solver: rfc2136, secret: 'env:TSIG'}\n", {"TSIG": f" {SECRET}\n"})

    assert wished.desired["zones"]["a.example"]["secret"] == SECRET


def test_neither_the_file_nor_its_faults_show_a_secret(folder: Path) -> None:
    wished = read(folder, "zones:\n  a.example: {solver: rfc2136, secret: 'file:tsig.secret'}\n")
    told = faults(folder, f"zones:\n  a.example: {{solver: 5, secret: '{SECRET}'}}\n")

    assert SECRET not in repr(wished)
    assert SECRET not in "".join(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lines:\n  a: {follower: b, names: x.example}\n", "2: lines.a.names: must be a list"),
        ("lines:\n  a: {follower: b, names: []}\n", "2: lines.a.names: is an empty list"),
        ("lines:\n  a: {names: [x.example]}\n", "2: lines.a.follower: is missing"),
        ("lines:\n  a:\n    follower:\n    names: [x.example]\n", "3: lines.a.follower: is empty"),
        ("lines:\n  a: {follower: b, names: [5]}\n", "2: lines.a.names.0: must be text"),
        (
            "lines:\n  a: {follower: b, names: [x.example], key_types: [dsa]}\n",
            "2: lines.a.key_types.0: must be 'ecdsa",
        ),
        ("lines:\n  a: {follower: b, names: [x.example], colour: red}\n", "2: lines.a.colour: there is no such member"),
        ("lines: [a]\n", "1: lines: must be a mapping"),
        ("lines:\n  a:\n", "2: lines.a: is empty"),
        ("- lines\n", "1: must be a mapping"),
        ("hello\n", "1: must be a mapping"),
        ("issuers:\n  le:\n    contact: []\n", "2: issuers.le.directory: is missing"),
        (f"{ISSUER}    default: x\n", "3: this is not YAML"),
        ("issuers:\n  le:\n    directory: x\n    default: yes\n", "4: issuers.le.default: yes may mean"),
        ("issuers:\n  le:\n    directory: x\n    default: 'true'\n", "4: issuers.le.default: must be true or false"),
        (
            "issuers:\n  le:\n    directory: x\n    ca_file: no.pem\n",
            "4: issuers.le.ca_file: no.pem cannot be read: No such",
        ),
        (
            "issuers:\n  le:\n    directory: x\n    ca_file: tsig.secret\n",
            "4: issuers.le.ca_file: tsig.secret holds no cert",
        ),
        (
            "issuers:\n  le:\n    directory: x\n    verify: false\n",
            "4: issuers.le.verify: there is no such member here",
        ),
        ("zones:\n  a.example: {server: b}\n", "2: zones.a.example.solver: is missing"),
        ("zones:\n  a.example: {solver: rfc2136, secret: abc}\n", "2: zones.a.example.secret: a secret does not stand"),
        (
            "zones:\n  a.example: {solver: rfc2136, secret: 'env:'}\n",
            "2: zones.a.example.secret: a secret does not stand",
        ),
        (
            "zones:\n  a.example: {solver: rfc2136, secret: 'env:NO'}\n",
            "2: zones.a.example.secret: the environment variable",
        ),
        ("zones:\n  a.example: {solver: rfc2136, secret: 'file:no'}\n", "2: zones.a.example.secret: no cannot be read"),
        ("zones:\n  a.example: {solver: x, secret: 'file:empty'}\n", "2: zones.a.example.secret: file:empty is empty"),
        ("zones:\n  a.example: {solver: x, secret: 'file:a\\0b'}\n", "2: zones.a.example.secret: a"),
        ("http:\n  a.example: 12:30\n", "2: http.a.example: 12:30 may mean several things"),
        ("http:\n  a.example: {solver: listener}\n", "2: http.a.example: must be text"),
        ("followers:\n  a: {grants: [b.example]}\n", "2: followers.a.grants: must be a mapping"),
        ("followers:\n  a: {grants: {push: [b]}}\n", "2: followers.a.grants.push: there is no such member"),
        (
            "zone:\n  a.example: {}\n",
            "1: zone: there is no such member here: correct or remove it (known: issuers, zones",
        ),
        ("lines: {}\nzones: {}\nlines: {}\n", "3: lines: stands here twice, first in line 1: keep one"),
    ],
)
def test_a_fault_is_told_by_file_line_and_field(folder: Path, text: str, told: str) -> None:
    (folder / "empty").touch()

    [line] = faults(folder, text)

    assert line.startswith(f"fleet.yaml:{told}")


def test_all_faults_are_told_at_once_in_the_order_of_the_lines(folder: Path) -> None:
    told = faults(
        folder,
        """\
        lines:
          shop: {follower: web-1, names: shop.example, colour: red}
          shop: {}
        zones:
          a.example: {solver: rfc2136, secret: abc, port: 1.5}
        followers: 5
        """,
    )

    assert [line.split(": ")[:2] for line in told] == [
        ["fleet.yaml:2", "lines.shop.colour"],
        ["fleet.yaml:2", "lines.shop.names"],
        ["fleet.yaml:3", "lines.shop"],
        ["fleet.yaml:5", "zones.a.example.port"],
        ["fleet.yaml:5", "zones.a.example.secret"],
        ["fleet.yaml:6", "followers"],
    ]


def test_a_file_that_is_not_there_or_not_text_is_told(folder: Path) -> None:
    with pytest.raises(CommandFailed, match=r"none\.yaml: cannot be read: No such file"):
        fleet_file.read(folder / "none.yaml")
    with pytest.raises(CommandFailed, match="cannot be read: Is a directory"):
        fleet_file.read(folder)
    (folder / "latin.yaml").write_bytes("lines:\n  b\xfccher: {}\n".encode("latin-1"))
    with pytest.raises(CommandFailed, match=r"latin\.yaml:2: this is not UTF-8 text"):
        fleet_file.read(folder / "latin.yaml")


WISHED = """\
issuers:
  le:
    directory: https://ca.example/dir
    ca_file: ca.pem
zones:
  Example.COM:
    solver: rfc2136
    server: 192.0.2.1
    port: 70000
http:
  www.example.com: listner
lines:
  shop:
    follower: web-1
    names:
      - shop.example.com
      - bad..example.com
"""


@pytest.mark.parametrize(
    ("field", "detail", "told"),
    [
        ("/issuers/le/ca_certificates", "no PEM", "4: issuers.le.ca_file: no PEM"),
        ("/issuers/le/directory", "not ACME", "3: issuers.le.directory: not ACME"),
        ("/zones/Example.COM/settings/port", "too high", "9: zones.Example.COM.port: too high"),
        ("/zones/example.com/settings", "port: too high", "9: zones.Example.COM.port: too high"),
        (
            "/zones/example.com/settings",
            "key_name and secret belong together",
            "6: zones.Example.COM: key_name and secret",
        ),
        ("/zones/example.com/solver", "unknown", "7: zones.Example.COM.solver: unknown"),
        ("/http/www.example.com/solver", "unknown", "11: http.www.example.com: unknown"),
        ("/lines/shop/names/1", "empty label", "17: lines.shop.names.1: empty label"),
        ("/desired/lines/shop/names/1", "empty label", "17: lines.shop.names.1: empty label"),
        ("/lines/shop", "has no issuer", "13: lines.shop: has no issuer"),
        ("/lines/shop/profile", "not offered", "13: lines.shop.profile: not offered"),
        ("/followers", "still has a line", "1: followers: still has a line"),
        ("", "too much", "1: too much"),
    ],
)
def test_the_masters_faults_are_told_by_the_files_lines(folder: Path, field: str, detail: str, told: str) -> None:
    wished = read(folder, WISHED)

    refusal = wished.refusal({"errors": [{"field": field, "detail": detail}]})

    assert refusal is not None
    assert refusal.startswith(f"{folder}/fleet.yaml:{told}")


def test_a_refusal_without_single_faults_is_left_to_the_problems_own_text(folder: Path) -> None:
    assert read(folder, WISHED).refusal({"title": "Conflict", "status": 409}) is None


def test_the_published_schema_is_the_one_that_the_command_prints() -> None:
    published: dict[str, Any] = json.loads((ROOT / "docs" / "fleet.schema.json").read_text())

    assert published == fleet_file.json_schema()


def test_the_example_file_is_read_without_a_fault(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "examples" / "fleet.yaml").read_text()
    (tmp_path / "tsig.secret").write_text(SECRET)

    wished = read(tmp_path, text)

    assert {section: len(part) for section, part in wished.desired.items()} == {
        "issuers": 1,
        "zones": 2,
        "http": 1,
        "groups": 1,
        "keys": 0,
        "followers": 1,
        "lines": 1,
    }
