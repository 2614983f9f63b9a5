"""Which pauses end early: when somebody asks, and when the settings changed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certline_follower.pauses import all_ended, ended_by_settings
from certline_follower.settings import LineSettings, Service, Settings
from certline_follower.state import Asked, Debt, HeldBack, HeldLine, Refusal, Retry, State, VersionRef
from certline_shared.key_types import KeyType
from certline_shared.messages import time_text

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = Retry(7, time_text(NOW + timedelta(minutes=20)), "it failed")
SHOP = LineSettings("shop", ("shop.example.org",), (KeyType.ECDSA_P256,), ("web",), ())
MAIL = LineSettings("mail", ("mail.example.org",), (KeyType.ECDSA_P256,), ("smtp",), ())


def service(name: str, *reload: str) -> Service:
    return Service(name, reload or ("true",), None, 60, "warn")


def settings(*lines: LineSettings, web: Service | None = None) -> Settings:
    services = {"web": web or service("web"), "smtp": service("smtp")}
    return Settings(Path("/x.toml"), None, None, Path("/state"), 5, 300, lines or (SHOP, MAIL), services)


def failing() -> State:
    """Everything that can fail or be refused did, under settings()."""
    held = HeldLine(
        asked=Asked(("shop.example.org",), {}, LATER),
        refusal=Refusal(("shop.example.org",), LATER, "1.1"),
        held_back=HeldBack(VersionRef(2), LATER),
    )
    debts = {name: Debt(1, (), retry=LATER) for name in ("web", "smtp")}
    state = State(lines={"shop": held, "mail": held}, debts=debts, failed={"tag": LATER})
    return replace(state, settings=ended_by_settings(State(), settings()).settings)


def due(retry: Retry | None) -> bool:
    """By any clock, with what else is known kept."""
    assert retry is not None
    assert (retry.attempts, retry.error) == (7, "it failed")
    return all(retry.is_due(NOW + timedelta(days=days)) for days in (-3650, 0, 3650))


def retries(state: State, line: str) -> list[Retry | None]:
    held = state.line(line)
    return [part.retry if part else None for part in (held.refusal, held.held_back)]


def test_when_somebody_asks_everything_is_due() -> None:
    ended = all_ended(failing())
    assert all(map(due, [*retries(ended, "shop"), *retries(ended, "mail"), *ended.failed.values()]))
    assert all(due(debt.retry) for debt in ended.debts.values())


def test_a_reload_that_did_not_fail_yet_has_no_pause_to_end() -> None:
    state = State(debts={"web": Debt(1, ("shop",))})
    assert all_ended(state) == state


def test_the_same_settings_end_no_pause() -> None:
    assert ended_by_settings(failing(), settings()) == failing()


def test_a_mended_command_ends_the_pauses_of_its_service_and_of_the_lines_that_use_it() -> None:
    ended = ended_by_settings(failing(), settings(web=service("web", "false")))
    assert due(ended.debts["web"].retry)
    assert ended.debts["smtp"].retry == LATER
    held = ended.line("shop").held_back
    assert due(held.retry if held else None)
    assert ended.line("mail") == failing().line("mail")
    assert all(map(due, ended.failed.values()))


@pytest.mark.parametrize(
    "changed",
    [
        replace(SHOP, names=("www.example.org",)),
        replace(SHOP, names=None),
        replace(SHOP, key_types=(KeyType.RSA_2048,)),
    ],
    ids=["names", "no names", "key type"],
)
def test_a_changed_wish_is_no_longer_refused_and_what_was_asked_before_is_forgotten(changed: LineSettings) -> None:
    ended = ended_by_settings(failing(), settings(changed, MAIL))
    assert (ended.line("shop").refusal, ended.line("shop").asked) == (None, None)
    assert ended.line("mail").refusal


def test_a_line_that_left_the_file_is_no_longer_refused() -> None:
    assert ended_by_settings(failing(), settings(MAIL)).line("shop").refusal is None


def test_the_settings_that_were_followed_are_remembered() -> None:
    other = settings(web=service("web", "false"))
    once = ended_by_settings(failing(), other)
    waiting = replace(once, failed={"tag": LATER})
    assert ended_by_settings(waiting, other) == waiting
