"""What a rehearsal of a line is, where it is ordered, and when it is over."""

from dataclasses import replace
from datetime import timedelta

import pytest

from certline_master.domain.model import Issuer, Line, LineOptions, Owner, Rollout, TlsaWish
from certline_master.domain.planning import OpenVersion, plan
from certline_master.domain.rehearsal import LASTS, EndRehearsal, is_rehearsal, issuer_for_tests, rehearsal_of
from tests.unit.master.test_planning import CSR, FOLLOWER, ISSUER, LINE, NAMES, NOW, WISH, certificate, live

STAGING = Issuer("s", "staging", Owner.FILE, "https://staging.example/dir", profiles=("classic",), test_of="le")
BARE = Line("t", "shop+test@web-1", Owner.FOLLOWER, "f", NAMES, issuer_id="s")
REHEARSAL = rehearsal_of(LINE, BARE, NOW)
ASKED = replace(WISH, line=REHEARSAL, issuer=STAGING, csrs=(CSR,))


def test_it_is_like_the_line_and_reaches_nothing_beyond_its_host() -> None:
    options = LineOptions(
        stage_for="25h", common_name=NAMES[1], renew_after="7d", must_staple=True, tlsa=(TlsaWish(),),
        commands={"prepare": ("tunnel",)},
    )  # fmt: skip
    line = replace(LINE, profile="shortlived", rollout=Rollout(("web-1",)), options=options)

    found = rehearsal_of(line, BARE, NOW)

    assert is_rehearsal(found)
    assert not is_rehearsal(line)
    assert (found.profile, found.rollout, found.issuer_id) == ("shortlived", None, "s")
    assert replace(found.options, rehearsed_until=None) == LineOptions(
        common_name=NAMES[1], must_staple=True, commands={"prepare": ("tunnel",)}
    )


def test_it_is_ordered_though_the_host_may_only_pull_the_line() -> None:
    assert not FOLLOWER.all_grants
    (opened,) = plan(ASKED, NOW).actions
    assert isinstance(opened, OpenVersion)


def test_it_is_never_renewed_and_its_end_is_looked_for() -> None:
    old = certificate(not_after=NOW - timedelta(seconds=1), renewal=None)
    found = plan(replace(ASKED, versions=(live(old),)), NOW)

    assert found.actions == ()
    assert found.next_look == NOW + LASTS


def test_when_its_time_is_over_it_is_removed_whatever_it_waits_for() -> None:
    for snapshot in (ASKED, replace(ASKED, csrs=()), replace(ASKED, versions=(live(),)), replace(ASKED, issuer=None)):
        assert plan(snapshot, NOW + LASTS).actions == (EndRehearsal(),)


@pytest.mark.parametrize(
    ("line", "issuers", "found"),
    [
        (LINE, (replace(ISSUER, is_default=True), STAGING), "staging"),
        (None, (replace(ISSUER, is_default=True), STAGING), "staging"),
        (replace(LINE, issuer_id="i"), (ISSUER, STAGING), "staging"),
        (replace(LINE, issuer_id="o"), (ISSUER, STAGING, replace(ISSUER, id="o", name="other")), "for other"),
        (LINE, (ISSUER, STAGING), "no issuer"),
    ],
)
def test_it_is_ordered_where_the_lines_issuer_is_rehearsed(
    line: Line | None, issuers: tuple[Issuer, ...], found: str
) -> None:
    chosen = issuer_for_tests(line, issuers)

    assert found in (chosen if isinstance(chosen, str) else chosen.name)
