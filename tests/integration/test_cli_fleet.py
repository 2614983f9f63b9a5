"""`certline plan` and `apply`: what the file says is shown, asked, and done, and nothing else."""

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.integration.cli_bed import Commands, Master, on_terminal, serving
from tests.testbed.parts import require
from tests.testbed.pebble import Pebble, pebble


@pytest.fixture(scope="module")
def ca() -> Iterator[Pebble]:
    """Its directory is all that is asked of it here."""
    require("pebble")
    with pebble("calm") as running:
        yield running


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    with serving(tmp_path / "master") as running:
        yield running


@pytest.fixture
def certline(master: Master, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(master.config, capsys)


@pytest.fixture
def fleet(tmp_path: Path, ca: Pebble) -> "Fleet":
    (tmp_path / "ca.pem").write_text(ca.ca_file.read_text())
    (tmp_path / "tsig.secret").write_text("c2VjcmV0LXZhbHVl")
    return Fleet(tmp_path / "fleet.yaml", ca)


class Fleet:
    """A fleet file that a test writes and changes."""

    def __init__(self, path: Path, ca: Pebble) -> None:
        self.path, self._ca = path, ca
        self.write()

    def write(self, more: str = "", *, profile: str = "classic") -> None:
        issuer = f"""\
        issuers:
          le:
            directory: {self._ca.directory_url}
            contact: ["mailto:ops@example.com"]
            profile: {profile}
            ca_file: ca.pem
            default: true
        """
        self.path.write_text(dedent(issuer) + dedent(more))

    def line_of(self, text: str) -> int:
        return next(number for number, line in enumerate(self.path.read_text().splitlines(), 1) if text in line)


SHOP = """\
zones:
  example.com: {solver: rfc2136, server: 192.0.2.1, key_name: certline., secret: "file:tsig.secret"}
followers:
  web-1:
lines:
  shop:
    follower: web-1
    names: [shop.example.com, bücher.example.com]
"""

HOSTS = "zones:\n  example.com: {solver: responder}\nfollowers:\n" + "".join(f"  web-{n}:\n" for n in range(8))


def test_the_plan_shows_what_would_change_member_by_member_and_the_orders(certline: Commands, fleet: Fleet) -> None:
    fleet.write(SHOP)

    said = certline("plan", "-f", fleet.path).well()

    lines = said.out.splitlines()
    assert [line for line in lines if line.startswith("+")] == [
        "+ issuer le",
        "+ zone example.com",
        "+ follower web-1",
        "+ line shop",
    ]
    assert '    names: ["shop.example.com", "xn--bcher-kva.example.com"]' in lines
    assert "    ca_certificates: 1 certificate(s)" in lines
    assert any(line.startswith("  shop: shop.example.com ") and "(the first certificate)" in line for line in lines)
    assert any(line.startswith("terms of service: data:text") or "terms of service: https" in line for line in lines)
    assert lines[-1] == "plan: 4 created; 1 order"
    assert "c2VjcmV0LXZhbHVl" not in said.out


def test_a_plan_changes_nothing(certline: Commands, fleet: Fleet) -> None:
    fleet.write(SHOP)

    first = certline.json("plan", "-f", fleet.path)

    assert certline.json("plan", "-f", fleet.path) == first
    assert certline.json("line", "list") == []
    assert [change["action"] for change in first["changes"]] == ["create"] * 4


def test_apply_does_what_the_plan_showed_and_then_there_is_nothing_to_do(certline: Commands, fleet: Fleet) -> None:
    fleet.write(SHOP)

    done = certline("apply", "-f", fleet.path)

    assert done.code == 0
    assert done.out.splitlines()[-1] == "done: 4 created; 1 order"
    assert certline("apply", "-f", fleet.path).well().out == "nothing to do\n"
    assert certline("plan", "-f", fleet.path).well().out == "nothing to do\n"
    assert certline("apply", "-f", fleet.path, "--quiet").well().out == ""
    assert certline.json("apply", "-f", fleet.path)["changes"] == []
    assert [line["name"] for line in certline.json("line", "list")] == ["shop"]


def test_terms_of_service_are_accepted_and_said_where_nobody_can_be_asked(certline: Commands, fleet: Fleet) -> None:
    done = certline("apply", "-f", fleet.path, "--output", "json")

    assert done.code == 0
    assert done.json["changes"][0]["name"] == "le"
    assert done.err.startswith("certline: the terms of service at ")


def test_a_change_is_shown_with_before_and_after(certline: Commands, fleet: Fleet) -> None:
    certline("apply", "-f", fleet.path)
    fleet.write(profile="shortlived")

    lines = certline("plan", "-f", fleet.path).well().out.splitlines()

    assert lines[:2] == ["~ issuer le", "    profile: classic -> shortlived"]


def test_check_exits_10_when_there_is_something_to_do_and_does_nothing(certline: Commands, fleet: Fleet) -> None:
    assert certline("apply", "-f", fleet.path, "--check").code == 10
    assert certline("apply", "-f", fleet.path, "--check", "--output", "json").code == 10
    certline("apply", "-f", fleet.path)

    checked = certline("apply", "-f", fleet.path, "--check").well()

    assert checked.out == "nothing to do\n"


def test_deleting_much_is_refused_and_says_how_to_force_it(certline: Commands, fleet: Fleet) -> None:
    fleet.write(HOSTS)
    certline("apply", "-f", fleet.path)
    fleet.write()

    refused = certline("apply", "-f", fleet.path)

    assert "this deletes 9 of 10 objects, more than 20%: use --force if that is meant" in refused.refused(3)
    assert "- follower web-3" in refused.out
    assert len(certline.json("follower", "list")) == 8
    assert certline("apply", "-f", fleet.path, "--force").well().out.endswith("done: 9 deleted\n")
    assert certline.json("follower", "list") == []


def test_the_masters_faults_are_told_by_file_line_and_field_all_at_once(certline: Commands, fleet: Fleet) -> None:
    fleet.write(
        """\
        zones:
          example.com: {solver: nsupdate}
        http:
          www.example.org: listner
        followers:
          web-1: {grants: {request: ["a..example.com"]}}
        lines:
          Bad Name: {follower: web-2, names: [a.example.com], issuer: nobody}
          many:
            follower: web-1
            names:
              - x.example.com
              - 192.0.2.1
        """
    )

    told = certline("apply", "-f", fleet.path).refused(2).splitlines()

    places = [line.removeprefix(f"certline: {fleet.path}:").split(": ")[:2] for line in told]
    assert places == [
        [str(fleet.line_of("nsupdate")), "zones.example.com.solver"],
        [str(fleet.line_of("listner")), "http.www.example.org"],
        [str(fleet.line_of("a..example")), "followers.web-1.grants.request.0"],
        [str(fleet.line_of("Bad Name")), "lines.Bad Name"],
        [str(fleet.line_of("Bad Name")), "lines.Bad Name.follower"],
        [str(fleet.line_of("Bad Name")), "lines.Bad Name.issuer"],
        [str(fleet.line_of("192.0.2.1")), "lines.many.names.1"],
    ]


LINE = """\
followers: {web-1: {}}
zones:
  example.com: {solver: responder}
lines:
  shop: {follower: web-1, names: [NAMES]}
"""


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("www.example.org", "names.0: "),
        ("'*.example.com', www.example.com", "names: "),
        (", ".join(f"n{number}.example.com" for number in range(101)), "names: "),
        ("192.0.2.1", "names.0: the name '192.0.2.1' is an IP address: write a DNS name"),
        ("''", "names.0: an empty name: write a DNS name such as"),
        (".".join(["a" * 60] * 4) + ".example.com", "names.0: "),
    ],
    ids=["no zone", "covered by a wildcard", "101 names", "an address", "empty", "254 octets"],
)
def test_names_that_cannot_be_certified_are_told(certline: Commands, fleet: Fleet, names: str, told: str) -> None:
    fleet.write(LINE.replace("NAMES", names))

    said = certline("plan", "-f", fleet.path).refused(2)

    assert said.startswith(f"certline: {fleet.path}:{fleet.line_of('shop:')}: lines.shop.{told}")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("directory", "ca_file", "told"),
    [
        ("http://ca.example/dir", "", "directory: begins with http: ACME is spoken over https only"),
        ("https://127.0.0.1:1/dir", "", "directory: "),
        ("PEBBLE", "", "directory: "),
        ("PEBBLE/nowhere", "ca.pem", "directory: "),
    ],
    ids=["http", "unreachable", "not trusted", "not ACME"],
)
def test_a_directory_that_cannot_be_used_is_told_at_its_line(  # noqa: PLR0917 what a parametrised test takes
    certline: Commands, fleet: Fleet, ca: Pebble, directory: str, ca_file: str, told: str
) -> None:
    url = directory.replace("PEBBLE", ca.directory_url)
    trust = f"    ca_file: {ca_file}\n" if ca_file else ""
    fleet.path.write_text(f"issuers:\n  le:\n    directory: {url}\n{trust}")

    said = certline("plan", "-f", fleet.path).refused(2)

    assert said.startswith(f"certline: {fleet.path}:3: issuers.le.{told}")


def test_a_fault_in_a_zones_settings_is_told_at_that_setting(certline: Commands, fleet: Fleet) -> None:
    fleet.write("zones:\n  Example.com:\n    solver: rfc2136\n    server: 192.0.2.1\n    port: 70000\n    prot: 53\n")

    told = certline("plan", "-f", fleet.path).refused(2).splitlines()

    assert [line.removeprefix(f"certline: {fleet.path}:").split(": ")[:2] for line in told] == [
        [str(fleet.line_of("port:")), "zones.Example.com.port"],
        [str(fleet.line_of("prot:")), "zones.Example.com.prot"],
    ]


def test_a_profile_that_the_ca_does_not_list_is_told_with_those_it_lists(certline: Commands, fleet: Fleet) -> None:
    fleet.write(profile="gold")

    told = certline("plan", "-f", fleet.path).refused(2)

    assert f":{fleet.line_of('gold')}: issuers.le.profile: " in told
    assert "classic, shortlived, tlsserver" in told


def test_a_faulty_file_is_told_before_anybody_is_asked(certline: Commands, fleet: Fleet) -> None:
    fleet.write("lines:\n  shop: {follower: web-1, names: shop.example.com}\n")

    away = ("--url", "https://127.0.0.1:1", "--token-file", fleet.path.with_name("tsig.secret"))

    told = certline("plan", "-f", fleet.path, *away).refused(2)

    assert f":{fleet.line_of('shop:')}: lines.shop.names: must be a list" in told
    assert "cannot be read" in certline("plan", "-f", fleet.path.with_name("none.yaml")).refused(2)


def test_what_commands_made_is_not_the_files(certline: Commands, fleet: Fleet) -> None:
    certline("follower", "create", "api-made")
    fleet.write("followers:\n  api-made:\n")

    told = certline("plan", "-f", fleet.path).refused(2)

    assert f":{fleet.line_of('api-made')}: followers.api-made: the follower api-made is managed by " in told
    fleet.write()
    certline("apply", "-f", fleet.path)
    assert [one["name"] for one in certline.json("follower", "list")] == ["api-made"]


# --- on a terminal --------------------------------------------------------------------------------------------------


def test_on_a_terminal_the_terms_are_shown_and_n_aborts(master: Master, certline: Commands, fleet: Fleet) -> None:
    said = on_terminal(master, "n\n", "apply", "-f", fleet.path)

    assert said.code == 3
    assert "Do you agree to the CA's terms of service at " in said.err
    assert "nothing was done: the terms of service were not agreed to" in said.err
    assert certline.json("plan", "-f", fleet.path)["changes"] != []


def test_on_a_terminal_the_plan_is_shown_and_asked_about(master: Master, certline: Commands, fleet: Fleet) -> None:
    no = on_terminal(master, "y\nn\n", "apply", "-f", fleet.path)
    yes = on_terminal(master, "y\ny\n", "apply", "-f", fleet.path)

    assert (no.code, "+ issuer le" in no.out, "Do this?" in no.err) == (3, True, True)
    assert (yes.code, yes.out.splitlines()[-1]) == (0, "done: 1 created")
    assert certline.json("plan", "-f", fleet.path)["changes"] == []


def test_on_a_terminal_yes_asks_nothing(master: Master, fleet: Fleet) -> None:
    said = on_terminal(master, "", "apply", "-f", fleet.path, "--yes")

    assert said.code == 0
    assert "?" not in said.err
    assert said.out.endswith("done: 1 created\n")


def test_ctrl_c_at_a_question_ends_quietly_with_130(master: Master, certline: Commands, fleet: Fleet) -> None:
    said = on_terminal(master, "\x04", "apply", "-f", fleet.path)

    assert said.code == 130
    assert "Traceback" not in said.err
    assert certline.json("plan", "-f", fleet.path)["changes"] != []
