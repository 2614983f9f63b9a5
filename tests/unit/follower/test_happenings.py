"""What happened to a host's files and lines, and which hooks are owed it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from certline_follower.generation import LineFacts
from certline_follower.happenings import Showing, ShownFile, after_run, between, event_of, merged, still_owed
from certline_follower.hook_causes import news_of
from certline_follower.hook_settings import EVENTS, SPREAD, Action, Hooks, Section
from certline_follower.settings import OutputKind, Settings
from certline_follower.state import Happening
from certline_shared.key_types import KeyType
from certline_shared.manifest import ManifestLine
from tests.unit.follower.makers import line, output, settings_of

FOLDER = Path("/srv/tls")
ALL = Hooks((Section("every", (), tuple(Action("every", event, ("x",)) for event in (*EVENTS, *SPREAD))),))


def settings(*kinds: OutputKind) -> Settings:
    outputs = [output(FOLDER / kind, kind) for kind in kinds]
    return replace(settings_of(FOLDER, line("shop", *outputs)), hooks=ALL)


def showing(version: int, *, key: str = "k1", **marks: str) -> Showing:
    """A generation with that version, and what is in the output of each kind."""
    files = {FOLDER / kind.replace("_", "-"): ShownFile(str(FOLDER / kind), mark) for kind, mark in marks.items()}
    fact = LineFacts(version, KeyType.ECDSA_P256, f"serial-{version}", key, ("shop.example.org",))
    return Showing(files, {"shop": (fact,)})


def events(found: Mapping[str, Happening]) -> list[str]:
    return sorted(one.event for one in found.values())


def test_a_first_version_is_news_in_all_but_a_rollover() -> None:
    found = between(settings("key", "fullchain"), Showing(), showing(1, key="k1", fullchain="c1"), 1)
    assert events(found) == ["certificate_installed", "line_issued", "post-certchange", "post-keychange"]


def test_only_what_has_other_content_happened() -> None:
    known = settings("key", "fullchain")
    before, after = showing(1, fullchain="c1"), showing(2, fullchain="c2")
    assert events(between(known, before, after, 2)) == ["certificate_installed", "line_issued", "post-certchange"]
    assert between(known, after, after, 2) == {}


def test_another_key_is_a_rollover() -> None:
    found = between(settings(), showing(1, key="k1"), showing(2, key="k2"), 2)
    assert events(found) == ["line_issued", "post-certchange", "post-keychange", "private_key_rollover"]


def test_a_change_that_is_undone_before_it_was_told_did_not_happen() -> None:
    known = settings("fullchain")
    first, second = showing(1, fullchain="c1"), showing(2, fullchain="c2")
    owed = merged({}, between(known, first, second, 2))
    owed = merged(owed, between(known, second, first, 1))
    assert still_owed(ALL, owed) == {}


def test_an_action_that_was_told_is_told_of_what_is_undone() -> None:
    known = settings("fullchain")
    first, second = showing(1, fullchain="c1"), showing(2, fullchain="c2")
    owed = merged({}, between(known, first, second, 2))
    (action,) = ALL.actions("shop", "post-certchange")
    owed = after_run(owed, action, {"post-certchange shop": owed["post-certchange shop"].now})
    left = still_owed(ALL, merged(owed, between(known, second, first, 1)))
    assert events(left) == ["post-certchange"], "and the others are told nothing"


def test_two_changes_before_an_action_could_run_are_one() -> None:
    known = settings("fullchain")
    marks = [showing(number, fullchain=f"c{number}") for number in (1, 2, 3)]
    owed = merged(merged({}, between(known, marks[0], marks[1], 2)), between(known, marks[1], marks[2], 3))
    one = owed[f"certificate_installed shop {FOLDER}/fullchain"]
    assert (one.before, one.now, one.generation) == ("c1", "c3", 3)


def test_an_older_version_that_is_put_back_is_not_issued() -> None:
    found = between(settings(), showing(2), showing(1), 3)
    assert "line_issued" not in events(still_owed(ALL, found))


def test_each_kind_of_output_has_its_event() -> None:
    wanted: dict[OutputKind, str] = {
        "key": "private_key_installed",
        "next-key": "backup_key_installed",
        "previous-key": "previous_key_installed",
        "cert": "certificate_installed",
        "fullchain": "certificate_installed",
        "fullchain-root": "full_certificate_installed",
        "chain": "chain_installed",
        "combined": "full_key_installed",
        "key-fullchain": "full_key_installed",
        "pkcs12": "full_key_installed",
        "params": "params_installed",
    }
    assert {kind: event_of(output(FOLDER / kind, kind)) for kind in wanted} == wanted


def test_a_line_without_hooks_makes_nothing_happen() -> None:
    known = replace(settings("fullchain"), hooks=Hooks())
    assert between(known, Showing(), showing(1, fullchain="c1"), 1) == {}


def offer(version: int | None, error: str | None = None) -> ManifestLine:
    return ManifestLine("shop", ("shop.example.org",), ("ecdsa-p256",), (), version, (), {}, None, error=error)


def test_a_version_that_the_master_takes_back_is_told() -> None:
    assert [(one.event, one.now) for one in news_of(offer(None), offer(3)).values()] == [("line_revoked", "3")]
    assert news_of(offer(None), offer(None)) == {}
    assert news_of(offer(None), None) == {}


def test_what_holds_a_line_back_is_told_when_it_is_new() -> None:
    found = news_of(offer(3, "no TXT record"), offer(3))
    assert [(one.event, one.fields["error"]) for one in found.values()] == [("line_failed", "no TXT record")]
    assert news_of(offer(3, "no TXT record"), offer(3, "no TXT record")) == {}
