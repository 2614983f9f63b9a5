"""The commands about keys of the master and about a stolen host, against a master that serves."""

from collections.abc import Iterator

import pytest

from tests.integration.cli_bed import Commands, Master, on_terminal, serving
from tests.testbed.parts import require
from tests.testbed.pebble import pebble


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    """With a line `shop` whose key the master keeps, and web-1 and web-2 that may pull it; no host has come yet."""
    require("pebble")
    with serving(tmp_path_factory.mktemp("keys") / "master") as running, pebble("calm") as ca:
        with running.client() as client:
            issuer = {"directory": ca.directory_url, "ca_certificates": ca.ca_file.read_text(), "default": True}
            client.put("/v1/issuers/known", issuer)
            client.put("/v1/http/shop.example", {"solver": "listener"})
            client.put("/v1/lines/shop", {"custody": "master", "names": ["shop.example"]})
            for name in ("web-1", "web-2"):
                client.put(f"/v1/followers/{name}", {"grants": {"pull": ["shop"]}})
            running.process.wait_until(lambda: client.get("/v1/keys") and client.get("/v1/keys/shop")["keys"])
        yield running


@pytest.fixture
def certline(master: Master, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(master.config, capsys)


def test_keys_are_listed_with_the_lines_that_use_them(certline: Commands) -> None:
    assert certline("key", "list").well().out.splitlines() == [
        "KEY   LINES  KEY TYPES   OWNER",
        "shop  shop   ecdsa-p256  api",
    ]
    (found,) = certline.json("key", "list")
    assert (found["name"], found["lines"]) == ("shop", ["shop"])


def test_a_key_is_shown_by_its_pins_and_never_itself(certline: Commands) -> None:
    shown = certline("key", "show", "shop").well().out
    (made,) = certline.json("key", "show", "shop")["keys"]
    assert made["spki_sha256"] in shown
    assert "current  ecdsa-p256" in shown
    assert "PRIVATE" not in shown


def test_a_key_that_nobody_was_given_is_nowhere(certline: Commands) -> None:
    said = certline("key", "where", "shop").well()
    assert said.out.split("  ")[0] == "FOLLOWER"
    assert len(said.out.splitlines()) == 1
    assert certline("key", "where", "shop", "--quiet").well().out == ""
    assert certline.json("key", "where", "shop") == {"name": "shop", "copies": []}


def test_a_key_that_is_not_there_is_told(certline: Commands) -> None:
    for command in ("show", "where"):
        assert "there is no key 'nothing'" in certline("key", command, "nothing").refused(3)


def test_the_worklist_of_a_host_that_had_nothing_is_empty(certline: Commands) -> None:
    assert certline("follower", "worklist", "web-1").well().out.splitlines() == [
        "web-1 is invited",
        "nothing of this is done: `follower revoke --stolen` does it",
    ]


def test_what_a_theft_means_is_shown_and_asked_about_first(master: Master, certline: Commands) -> None:
    said = on_terminal(master, "n\n", "follower", "revoke", "web-2", "--stolen")
    assert said.code == 3
    assert "web-2 was given 0 keys of this master" in said.err
    assert "Revoke web-2 and do this?" in said.err
    assert certline.json("follower", "show", "web-2")["state"] == "invited"


def test_with_yes_it_is_done_without_asking_and_may_be_repeated(certline: Commands) -> None:
    for _ in range(2):
        assert certline("follower", "revoke", "web-2", "--stolen", "--yes").well().out.splitlines() == [
            "web-2 is revoked",
            "all is done",
        ]
    assert certline.json("follower", "worklist", "web-2")["done"]


def test_now_without_stolen_is_refused(certline: Commands) -> None:
    assert "--now is for --stolen" in certline("follower", "revoke", "web-1", "--now", "--yes").refused(2)


def test_what_a_rollover_would_say_is_shown_with_the_pins_in_both_spellings(certline: Commands) -> None:
    shown = certline("key", "show", "shop").well().out
    (made, *_) = certline.json("key", "show", "shop")["keys"]
    assert f"pin-sha256  {made['slot']} ecdsa-p256  {made['pin_sha256']}" in shown
    assert "rollover  possible" in shown
    assert "policy    kept over renewals" in shown


def test_without_names_nothing_is_rolled_over_or_revoked(certline: Commands) -> None:
    """2.1, 35."""
    for command, said in (("rollover", "--all"), ("revoke", "NAME"), ("forget shop", "--previous")):
        ended = certline("key", *command.split())
        assert ended.code == 2
        assert said in ended.err


def test_a_key_without_a_live_version_has_nothing_to_roll_over_or_to_revoke(certline: Commands) -> None:
    assert "nothing to roll over" in certline("key", "rollover", "shop", "shop").refused(3)
    assert "nothing to revoke" in certline("key", "revoke", "shop").refused(3)
    assert "there is no key 'nothing'" in certline("key", "revoke", "shop", "nothing").refused(3)


def test_all_keys_without_a_live_version_are_none(certline: Commands) -> None:
    assert certline.json("key", "rollover", "--all") == []


def test_former_keys_that_are_not_there_are_forgotten_without_a_word_when_quiet(certline: Commands) -> None:
    assert certline("key", "forget", "shop", "--previous").well().out == "shop: 0 former keys forgotten\n"
    assert certline("key", "forget", "shop", "--previous", "--quiet").well().out == ""
