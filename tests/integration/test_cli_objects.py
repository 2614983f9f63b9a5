"""The commands that look at the fleet and manage hosts, against a master that serves, in text and in JSON."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from certline_master.cli.client import PROFILE
from certline_master.cli.local_follower import program
from certline_shared import enrolment
from tests.integration.cli_bed import Commands, Master, installed, on_terminal, serving
from tests.testbed.parts import require
from tests.testbed.pebble import pebble
from tests.testbed.ports import free_port
from tests.testbed.program import Program


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    """One for all tests here: each names its own things."""
    with serving(tmp_path_factory.mktemp("objects") / "master") as running:
        yield running


@pytest.fixture
def certline(master: Master, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(master.config, capsys)


# --- followers ------------------------------------------------------------------------------------------------------


def test_creating_a_follower_prints_its_enrolment_string_alone_on_stdout(certline: Commands, master: Master) -> None:
    said = certline("follower", "create", "made", "--grant", "made.example.com", "--grant", "bücher.example.com")

    assert said.code == 0
    string = enrolment.from_text(said.out)
    assert string.origin == f"https://localhost:{master.port}"
    assert "certline-follower enroll" in said.err
    assert certline.json("follower", "show", "made")["grants"] == {
        "request": ["made.example.com", "xn--bcher-kva.example.com"]
    }


def test_creating_a_follower_twice_is_refused_with_what_to_do(certline: Commands) -> None:
    certline("follower", "create", "twice")

    assert "`certline follower token twice` makes an enrolment string for it" in certline(
        "follower", "create", "twice"
    ).refused(3)


def test_creating_a_follower_of_a_revoked_ones_name_says_so_and_what_to_do(certline: Commands) -> None:
    certline("follower", "create", "ended")
    certline("follower", "revoke", "ended")

    told = certline("follower", "create", "ended").refused(3)
    assert told == (
        "certline: the follower ended is revoked for good: choose another name,"
        " or first `certline follower delete ended`\n"
    )
    certline("follower", "delete", "ended").well()
    assert certline("follower", "create", "ended").code == 0


def test_grants_are_added_and_taken_away_by_name(certline: Commands) -> None:
    certline("follower", "create", "granted", "--grant", "a.example.com")

    said = certline("follower", "grant", "granted", "Bücher.example.com.", "*.example.com", "b.example.com").well()
    assert said.out == (
        "granted may request: *.example.com, a.example.com, b.example.com,"
        " xn--bcher-kva.example.com (bücher.example.com)\n"
    )
    assert certline("follower", "grant", "granted", "a.example.com").well().out == "nothing to do\n"
    assert certline("follower", "grant", "granted", "never.example.com", "--remove").well().out == "nothing to do\n"
    assert certline("follower", "grant", "granted", "a.example.com", "--remove", "--quiet").code == 0
    changed = certline.json("follower", "grant", "granted", "bücher.example.com", "b.example.com", "--remove")
    assert [change["name"] for change in changed["changes"]] == ["granted"]
    assert certline.json("follower", "show", "granted")["grants"] == {"request": ["*.example.com"]}
    assert certline("follower", "grant", "granted", "*.example.com", "--remove").well().out == (
        "granted may request: nothing\n"
    )


def test_a_grant_for_what_is_no_dns_name_is_told(certline: Commands) -> None:
    certline("follower", "create", "odd")

    assert "10.0.0.1" in certline("follower", "grant", "odd", "10.0.0.1").refused(2)
    assert certline.json("follower", "show", "odd")["grants"] == {}


def test_a_deleted_follower_is_gone(certline: Commands) -> None:
    certline("follower", "create", "leaving")

    assert certline("follower", "delete", "leaving").well().out == "follower leaving is deleted\n"
    assert certline("follower", "show", "leaving").refused(3) == "certline: there is no follower 'leaving'\n"


def test_on_a_terminal_deleting_is_asked_about(master: Master, certline: Commands) -> None:
    certline("follower", "create", "kept")

    said = on_terminal(master, "n\n", "follower", "delete", "kept")
    assert said.code == 3
    assert "Delete kept and the lines it asked for? [y/N]" in said.err
    assert "nothing was done" in said.err
    certline("follower", "show", "kept").well()


def test_an_enrolment_string_lives_as_long_as_it_is_told_to(certline: Commands) -> None:
    short = enrolment.from_text(certline("follower", "create", "timed", "--ttl", "90s", "--quiet").well().out)
    longer = enrolment.from_text(certline("follower", "token", "timed", "--ttl", "2d", "--quiet").well().out)
    made = certline.json("follower", "token", "timed")

    assert (longer.expires_at - short.expires_at).total_seconds() > 86_400
    assert enrolment.from_text(made["enrolment"]).token_id == made["token_id"]


@pytest.mark.parametrize("ttl", ["30", "0x1m", "-5m", "1y", "", "9999999d"])
def test_a_ttl_that_is_no_duration_is_told(ttl: str, certline: Commands) -> None:
    said = certline("follower", "create", "never-made", f"--ttl={ttl}")

    assert said.code == 2
    assert "is not a duration: write for example 30m, 12h or 2d" in said.err


def test_a_ttl_beyond_a_week_is_refused_by_the_master(certline: Commands) -> None:
    certline("follower", "create", "patient")

    assert "/ttl_seconds: write 1 to 604800 seconds" in certline("follower", "token", "patient", "--ttl", "8d").refused(
        2
    )


def test_followers_are_listed_and_shown(certline: Commands) -> None:
    certline("follower", "create", "listed", "--grant", "listed.example.com")

    rows = certline("follower", "list").well().out.splitlines()
    shown = certline("follower", "show", "listed").well().out.splitlines()

    assert rows[0].split() == ["FOLLOWER", "STATE", "LAST", "SEEN", "LINES", "DEPLOYED", "LATE", "AGENT"]
    assert ["listed", "invited", "never", "0", "0", "0", "-"] in [row.split() for row in rows]
    assert shown[0] == "listed"
    assert "  state     invited" in shown
    assert "  may request   listed.example.com" in shown
    assert "listed" in [one["name"] for one in certline.json("follower", "list")]


def test_a_revoked_follower_stays_so_and_gets_no_string(certline: Commands) -> None:
    certline("follower", "create", "gone")

    assert certline("follower", "revoke", "gone").well().out == "gone is revoked\n"
    assert certline.json("follower", "revoke", "gone")["state"] == "revoked"
    assert "follower gone is revoked" in certline("follower", "token", "gone").refused(3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("line", "show", "nope"), "there is no line 'nope'"),
        (("line", "issue", "nope"), "there is no line 'nope'"),
        (("line", "issue", "nope", "--wait"), "there is no line 'nope'"),
        (("line", "history", "nope"), "there is no line 'nope'"),
        (("follower", "show", "nope"), "there is no follower 'nope'"),
        (("follower", "token", "nope"), "there is no follower 'nope'"),
        (("follower", "revoke", "nope"), "there is no follower 'nope'"),
        (("follower", "grant", "nope", "a.example.com"), "there is no follower 'nope'"),
        (("follower", "delete", "nope"), "there is no follower 'nope'"),
    ],
)
def test_what_is_not_there_is_told(certline: Commands, words: tuple[str, ...], told: str) -> None:
    assert certline(*words).refused(3) == f"certline: {told}\n"


@pytest.mark.parametrize("name", ["../../readyz", "a/b", "A", "x" * 64, "ä", "a?b", "a b", "%2e"])
def test_a_name_that_cannot_be_one_is_told_and_reaches_no_other_route(certline: Commands, name: str) -> None:
    for words in (("line", "show", name), ("follower", "show", name), ("follower", "create", name)):
        said = certline(*words)
        assert said.code in (2, 3), said
        assert said.err.startswith("certline: ")


# --- lines ----------------------------------------------------------------------------------------------------------


def put_line(master: Master, follower: str, name: str, *names: str) -> None:
    """A line made by the API, with an issuer that nobody has to reach."""
    with master.client() as client:
        client.put(f"/v1/followers/{follower}", {"grants": {"request": []}})
        client.put(f"/v1/zones/{name}.example", {"solver": "responder", "settings": {}})
        client.put(f"/v1/lines/{name}", {"follower": follower, "names": list(names), "issuer": "known"})


@pytest.fixture(scope="module")
def shop(master: Master) -> Iterator[str]:
    """A line that waits for its follower's request; its issuer answered when it was made."""
    require("pebble")
    with pebble("calm") as ca:
        with master.client() as client:
            wanted = {"directory": ca.directory_url, "ca_certificates": ca.ca_file.read_text()}
            client.put("/v1/issuers/known", wanted)
        put_line(master, "web-1", "shop", "shop.example", "xn--bcher-kva.shop.example")
        yield "shop"


def test_a_line_is_shown_with_its_names_both_ways_and_what_it_waits_for(certline: Commands, shop: str) -> None:
    lines = certline("line", "show", shop).well().out.splitlines()
    found = certline.json("line", "show", shop)

    assert lines[0] == "shop"
    assert "  names     shop.example" in lines
    assert "            xn--bcher-kva.shop.example (bücher.shop.example)" in lines
    assert ["issuer", "known"] in [line.split() for line in lines]
    assert "  standing  the first certificate; waiting for the request of follower web-1" in lines
    assert "  waits for a request of web-1 (ecdsa-p256)" in lines
    assert found["line"]["names"] == ["shop.example", "xn--bcher-kva.shop.example"]


def test_a_follower_that_an_operators_line_is_for_is_not_deleted(certline: Commands, shop: str) -> None:
    told = certline("follower", "delete", "web-1").refused(3)

    assert told == f"certline: the line {shop} is still for web-1: delete the line first\n"


def test_lines_are_listed(certline: Commands, shop: str) -> None:
    rows = certline("line", "list").well().out.splitlines()

    assert rows[0].split() == ["LINE", "FOLLOWER", "VERSION", "EXPIRES", "STANDING"]
    assert any(row.split()[:4] == [shop, "web-1", "-", "-"] for row in rows)
    assert shop in [line["name"] for line in certline.json("line", "list")]


def test_issuing_says_how_the_line_stands(certline: Commands, shop: str) -> None:
    said = certline("line", "issue", shop).well()

    assert said.out == "shop: the first certificate; waiting for the request of follower web-1\n"
    assert certline.json("line", "issue", shop, "--force")["line"] == shop


def test_waiting_ends_with_exit_4_when_nothing_was_issued_in_time(certline: Commands, shop: str) -> None:
    told = certline("line", "issue", shop, "--wait", "--timeout", "1").refused(4)

    assert "not issued within 1 s: the first certificate; waiting for the request of follower web-1" in told


def test_a_lines_history_and_the_events_of_a_subject_are_the_same_records(certline: Commands, shop: str) -> None:
    certline("line", "issue", shop, "--force")

    history = certline.json("line", "history", shop)

    assert history == certline.json("event", "list", "--subject", f"line:{shop}")
    assert {"line.created", "line.issue"} <= {event["kind"] for event in history}
    text = certline("line", "history", shop, "--limit", "1").well().out
    assert text.count("\n") == 1
    assert "line:shop" in text
    assert "(admin:init)" in text


def test_events_are_listed_newest_first(certline: Commands) -> None:
    certline("follower", "create", "newest")

    events = certline.json("event", "list", "--limit", "2")

    assert [event["kind"] for event in events] == ["token.created", "follower.created"]
    assert certline("event", "list").well().out.splitlines()[-1].endswith("(system)")


def test_a_subject_of_another_form_is_told(certline: Commands) -> None:
    assert "--subject shop: write KIND:NAME, as line:shop" in certline("event", "list", "--subject", "shop").refused(2)


# --- status ---------------------------------------------------------------------------------------------------------


def test_status_shows_the_master_the_lines_and_the_followers(certline: Commands, shop: str) -> None:
    lines = certline("status").well().out.splitlines()
    found = certline.json("status")

    assert lines[0].startswith("certline ")
    assert lines[0].endswith(": ready")
    row = next(line for line in lines if line.split()[:2] == ["line", shop])
    assert row.split()[2:5] == ["web-1", "no", "certificate"]
    assert any(line.split() == ["follower", "web-1", "invited", "last", "seen", "never"] for line in lines)
    assert shop in [line["name"] for line in found["lines"]]
    assert found["ready"] is None


def test_quiet_says_nothing_while_all_is_well(certline: Commands, shop: str) -> None:  # noqa: ARG001 with a line there
    assert certline("status", "--quiet").well().out == ""


def test_on_a_terminal_status_draws_a_bar_for_each_line(master: Master, shop: str) -> None:
    said = on_terminal(master, "", "status", draws=True)

    assert said.code == 0
    [row] = [line for line in said.err.splitlines() if line.startswith(shop)]
    assert "·" * 30 in row
    assert "waiting for the request" in row


# --- where the master is --------------------------------------------------------------------------------------------


@pytest.fixture
def token_file(master: Master, tmp_path: Path) -> Path:
    with (master.folder / PROFILE).open() as profile:
        token = next(line for line in profile if line.startswith("token")).split('"')[1]
    (tmp_path / "token").write_text(f"{token}\n")
    return tmp_path / "token"


def test_the_master_may_be_named_by_options(
    master: Master, token_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = Commands(tmp_path / "none.toml", capsys)
    options = ("--url", f"https://localhost:{master.port}/", "--token-file", token_file)

    elsewhere("status", *options, "--ca-file", master.folder / "tls" / "ca.pem").well()
    untrusted = elsewhere("status", *options).refused(5)
    assert "certificate verify failed" in untrusted
    assert "name its CA with --ca-file" in untrusted


def test_the_master_may_be_named_by_the_environment(
    master: Master,
    token_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CERTLINE_URL", f"https://127.0.0.1:{master.port}")
    monkeypatch.setenv("CERTLINE_TOKEN_FILE", str(token_file))
    monkeypatch.setenv("CERTLINE_CA_FILE", str(master.folder / "tls" / "ca.pem"))

    Commands(tmp_path / "none.toml", capsys)("status").well()


def test_a_token_that_the_master_does_not_know_is_refused(certline: Commands, master: Master, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("certline_00000000_" + "A" * 43)
    ca = master.folder / "tls" / "ca.pem"

    told = certline(
        "status", "--url", f"https://127.0.0.1:{master.port}", "--token-file", tmp_path / "token", "--ca-file", ca
    ).refused(3)

    assert "refuses this admin token: unknown, or expired" in told
    assert "AAAA" not in told


def test_a_master_that_is_away_ends_with_exit_5(certline: Commands, token_file: Path) -> None:
    url = f"https://127.0.0.1:{free_port()}"

    told = certline("status", "--url", url, "--token-file", token_file).refused(5)

    assert told.startswith(f"certline: cannot reach the master at {url}: ")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--url", "https://127.0.0.1:1"), "--url and --token-file go together"),
        (("--url", "http//x", "--token-file", "TOKEN"), "is not a URL of a master (https://NAME:PORT)"),
        (("--url", "https://[::1", "--token-file", "TOKEN"), "is not a URL of a master"),
        (("--url", "https://127.0.0.1:1", "--token-file", "none"), "none: cannot be read: No such file"),
        (("--url", "https://127.0.0.1:1", "--token-file", "EMPTY"), "the admin token is empty"),
        (("--url", "https://127.0.0.1:1", "--token-file", "BINARY"), "is not UTF-8 text"),
        (("--url", "https://127.0.0.1:1", "--token-file", "TOKEN", "--ca-file", "none"), "none: No such file"),
        (("--url", "https://127.0.0.1:1", "--token-file", "TOKEN", "--ca-file", "TOKEN"), "holds no CA certificate"),
    ],
)
def test_options_that_cannot_be_used_are_told(
    certline: Commands, token_file: Path, tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xfd")
    files = {"TOKEN": token_file, "EMPTY": tmp_path / "empty", "BINARY": tmp_path / "binary"}

    assert told in certline("status", *(files.get(word, word) for word in options)).refused(2)


@pytest.mark.parametrize(
    ("profile", "told"),
    [
        (None, "there is no "),
        ("url = 5\n", "is not a whole profile"),
        ('url = "https://x"\n', "is not a whole profile"),
        ("[", "is not TOML"),
    ],
)
def test_a_profile_that_cannot_be_used_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], profile: str | None, told: str
) -> None:
    (tmp_path / "certline.toml").touch()
    if profile is not None:
        (tmp_path / PROFILE).write_text(profile)

    assert told in Commands(tmp_path / "certline.toml", capsys)("status").refused(2)


def test_without_any_master_it_is_told_what_to_give(tmp_path: Path) -> None:
    told = installed("status", cwd=tmp_path).refused(2)

    assert "no master to ask: give --url and --token-file, or run this where `certline init` was run" in told


@pytest.mark.parametrize(
    "words", [("--nope",), ("status", "--nope"), ("nope",), ("line",), ("line", "nope"), ("plan",)]
)
def test_a_wrong_word_ends_with_exit_2(certline: Commands, words: tuple[str, ...]) -> None:
    said = certline(*words)

    assert said.code == 2
    assert "Traceback" not in said.err


def test_ctrl_c_while_waiting_ends_quietly_with_130(master: Master, shop: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = ("--config", master.config, "line", "issue", shop, "--wait")
    waiting = Program([program("certline"), *words], log=log, cwd=tmp_path)
    with master.client() as client:

        def asked() -> int:
            return len(client.get(f"/v1/lines/{shop}/history", {"limit": 1000}))

        before = asked()
        waiting.start()
        waiting.wait_until(lambda: asked() > before)
    waiting.signal(signal.SIGINT)

    assert waiting.wait(10) == 130
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("words", [("status",), ("event", "list", "--output", "json"), ("--help",)])
def test_output_that_nobody_reads_is_no_failure_of_ours(master: Master, words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [program("certline"), "--config", master.config, *words],
        stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
    )  # fmt: skip
    os.close(writing)

    assert (done.returncode, done.stderr) == (1, "")
