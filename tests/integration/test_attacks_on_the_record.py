"""Who writes what into the audit record is bounded: strangers that introduce themselves, and followers gone mad."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from certline_follower.rotation import change_of
from certline_master.api.limits import Limits, Rate, Rates
from certline_shared import sealing, signing
from certline_shared.messages import DeploymentReport, Report, encode
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient
from tests.integration.shared_keys import applied, enrolled, fleet, pulled
from tests.integration.test_api_introductions import NewHost, waiting


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        yield running


def test_a_stranger_that_introduces_itself_ever_anew_does_not_fill_the_record(bed: Bed) -> None:
    host = NewHost(bed)
    heard = [host.introduce(name=f"web-{number}").status_code for number in range(160)]
    assert (heard[0], heard[-1]) == (200, 429)
    assert len(bed.events("follower.introduced")) <= 120 + 160 // 10
    assert len(waiting(bed)) == 1  # what was refused changed nothing


def announces(host: FollowerClient, seq: int) -> int:
    change = change_of(signing.generate_identity()[0], sealing.generate()[0], seq)
    return host.ask("POST", "/v1/follower/keys", encode(change)).status_code


def counts_no_more(host: FollowerClient, seq: int) -> int:
    said = Report("certline-follower test", 0, (), seq=1 if seq == 1 else None)
    return host.ask("POST", "/v1/follower/reports", encode(said)).status_code


def loses_and_finds_a_key(host: FollowerClient, seq: int) -> int:
    """With what it was given, in turns."""
    pin = host.bed.events("key.released")[0].data["spki_sha256"]
    said = Report("certline-follower test", 0, (), keys={"shop": (pin,)} if seq % 2 else {})
    return host.ask("POST", "/v1/follower/reports", encode(said)).status_code


@pytest.mark.parametrize("does", [announces, counts_no_more, loses_and_finds_a_key])
def test_a_follower_that_causes_event_after_event_has_to_wait(
    bed: Bed, does: Callable[[FollowerClient, int], int]
) -> None:
    applied(bed, fleet())
    host = enrolled(bed, "web-1")
    bed.engine.run()
    pulled(host, 1)
    bed.services.limits = Limits(bed.clock, replace(Rates(), records=Rate(3, 1)))
    assert [does(host, seq) for seq in range(1, 12)][-1] == 429


def queries_of(host: FollowerClient, *said: DeploymentReport) -> int:
    """How many statements the master needs for this report."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        answer = host.ask("POST", "/v1/follower/reports", encode(Report("certline-follower test", 0, said)))
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert answer.status_code == 204, answer.text
    return len(asked)


def test_a_long_report_keeps_the_only_writer_no_longer_than_a_short_one(bed: Bed) -> None:
    applied(bed, fleet())
    host = enrolled(bed, "web-1")
    bed.engine.run()
    pulled(host, 1)
    said = DeploymentReport("shop", 1, "pulled")
    queries_of(host, said)
    strange = [replace(said, line=f"line-{number}", version=number) for number in range(400)]
    assert queries_of(host, *[said] * 400, *strange) <= queries_of(host, said)


def test_of_what_is_said_twice_in_a_report_the_last_counts_and_is_on_record_once(bed: Bed) -> None:
    applied(bed, fleet())
    host = enrolled(bed, "web-1")
    bed.engine.run()
    pulled(host, 1)
    said = DeploymentReport("shop", 1, "pulled")
    queries_of(host, replace(said, error="one"), replace(said, error="two"))
    assert [one.data["error"] for one in bed.events("deployment.failed")] == ["two"]
