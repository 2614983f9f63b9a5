"""What the master is told, as a function of plain data."""

from dataclasses import replace
from pathlib import Path

from certline_follower.reports import report_of
from certline_follower.settings import LineSettings, Settings
from certline_follower.state import HeldLine, Retry, State, VersionRef
from certline_shared import codec
from certline_shared.key_types import KeyType
from certline_shared.messages import MOST_BODY_BYTES, Report

NAMES = [f"line-{number}" for number in range(60)]


def test_more_news_than_one_request_takes_goes_in_several() -> None:
    lines = tuple(LineSettings(name, None, (KeyType.ECDSA_P256,), (), ()) for name in NAMES)
    settings = Settings(Path("/x.toml"), None, None, Path("/state"), 5, 300, lines, {})
    failed = {"x": Retry(1, "2026-11-20T12:00:00Z", "\N{FIRE}" * 2_000)}
    state = State(failed=failed, lines={name: HeldLine(pulled=VersionRef(2)) for name in NAMES})
    told: list[str] = []
    while found := report_of(settings, state, None, {}, None):
        said = found[0].deployments
        assert len(codec.write(Report("agent", 1, said))) < MOST_BODY_BYTES
        told += [one.line for one in said]
        for one in said:
            state = state.with_line(one.line, replace(state.line(one.line), reported=one))
    assert told == NAMES
