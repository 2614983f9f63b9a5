"""Every method of every repository takes the caller first; and each, asked by a follower for what is another's, does
what stands here by hand: it refuses, or finds nothing, as in an empty store, and changes nothing.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any

import pytest

from certline_master.domain import model
from certline_master.domain.custody import Key, KeyCopy, SealedKey
from certline_master.domain.errors import Forbidden, NotFound
from certline_master.domain.ports import EnrolmentToken, Records
from certline_master.store.records import SqlRecords, session_of
from certline_master.store.tables import metadata
from certline_shared.keys import KeyType
from tests.contract.store_bed import HOUR, as_follower
from tests.contract.store_fleet import Fleet


class Untouched:
    """In place of an object that is not to be looked at before the caller is."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the caller is to be checked before .{name} of what it sent")


FOREIGN: Mapping[str, Callable[[Fleet], Any]] = {
    "address": lambda _f: "192.0.2.1",
    "after": lambda _f: 0,
    "before": lambda f: f.bed.now + HOUR,
    "certificate_id": lambda f: f.their_version.certificates[0].id,
    "copy": lambda f: KeyCopy(f.theirs.id, "aa", "web-2", "theirs", KeyType.ECDSA_P256, f.bed.now),
    "deployment": lambda f: model.Deployment(
        f.theirs.id, f.their_line.id, 1, model.DeploymentState.PULLED, None, f.bed.now
    ),
    "follower": lambda f: f.theirs,
    "follower_id": lambda f: f.theirs.id,
    "grants": lambda _f: (),
    "introduction_id": lambda _f: "introduced",
    "issuer": lambda f: f.issuer,
    "issuer_id": lambda f: f.issuer.id,
    "key": lambda _f: "instance_id",
    "kind": lambda _f: "enrolment",
    "lease": lambda _f: timedelta(minutes=1),
    "limit": lambda _f: 9,
    "line": lambda f: f.their_line,
    "line_id": lambda f: f.their_line.id,
    "line_ids": lambda f: [f.their_line.id],
    "key_ids": lambda _f: ["a-key"],
    "number": lambda _f: 1,
    "order_id": lambda f: f.their_order.id,
    "order_ids": lambda f: [f.their_order.id],
    "records": lambda _f: ["_acme-challenge.theirs.example.test"],
    "sealed": lambda f: SealedKey(
        f.theirs.id, f.their_line.id, 1, KeyType.ECDSA_P256, "aa", "bb", b"sealed", f.bed.now
    ),
    "secret_id": lambda f: f.their_token.mac_key,
    "since": lambda f: f.bed.now - HOUR,
    "token_id": lambda f: f.their_token.id,
    "version_id": lambda f: f.their_version.id,
}
"""By a parameter's name: something of another follower, or nobody's. Others get their type's plainest value."""

NAMES: Mapping[str, str] = {
    "issuers": "le", "zones": "example.test", "http": "www.example.test", "followers": "web-2", "lines": "theirs",
}  # fmt: skip

_PLAIN: Mapping[str, Any] = {"str": "x", "bytes": b"x", "int": 1, "bool": False}


EXPECTED = {
    # the role is not enough, whosever it is
    "refused": """
    issuers: delete save set_account set_profiles
    zones: delete save
    http: delete save
    followers: add_token delete save set_grants
    groups: delete save
    identities: admit
    introductions: add approve drop
    lines: drop_csrs drop_previous looked pause
    versions: drop_unopened hold mark_replaced open set_renewal set_state
    standings: alarm want want_again
    waves: move
    orders: challenge_values claim failed http_answer issued known_values release_all renew save save_challenges
        stop to_remove
    tokens: add by_prefix revoke supersede used
    seals: add all heads last
    secrets: add delete
    instance: set swap
    keys: add_material demote forget rise save
    revocations: hasten intend look save
    tlsa: forget look save want
    data_keys: add all carry_over drop_unused forget_former rewrap
    """,
    # as if it were not there
    "missing": """
    issuers: by_id get
    zones: get
    followers: by_id get report set_manifest set_skew token touch use_nonce
    groups: get
    identities: announce count take_over use_protocol
    introductions: get
    lines: by_id delete get of_order put_csr resume save set_next_look snapshot
    versions: certificate get
    orders: get
    secrets: read
    keys: deleted get give keep_sealed seen
    """,
    # as from an empty store
    "nothing": """
    issuers: all
    zones: all
    http: all
    followers: asking claim_token deployments newest_deployments
    groups: all
    introductions: all
    lines: csrs due of_key snapshots
    versions: all for_keys live live_since numbers ordered_since
    standings: behind in_use lines_of live_until receivers reported
    waves: of_lines progress under_way
    orders: live next_due of_line
    tokens: all
    events: all in_chains
    instance: get
    keys: all by_ids by_pins copies copies_at holders is_kept materials sealed
    revocations: all due
    tlsa: all at_names due of_lines unwanted
    """,
    # only what is its own
    "own": """
    followers: all
    lines: all
    """,
    # a record of what it did itself; what that is about says the API, never the follower
    "adds": """
    events: add
    """,
}


def expected() -> dict[str, str]:
    found: dict[str, str] = {}
    for what, text in EXPECTED.items():
        for repository, names in re.findall(r"(\w+): ([\w\s]+?)(?=\s+\w+:|\s*$)", text):
            found |= {f"{repository}.{name}": what for name in names.split()}
    return found


def value_for(parameter: inspect.Parameter, repository: str, fleet: Fleet) -> Any:
    """Something of another follower where one can be named; else the plainest value of its type."""
    plain = getattr(parameter.annotation, "__name__", str(parameter.annotation)).partition(" |")[0]
    if parameter.name == "name":
        return NAMES.get(repository, "x")
    if parameter.annotation is EnrolmentToken:
        return fleet.their_token
    if parameter.name in FOREIGN and parameter.annotation not in (model.Lease, Key):
        return FOREIGN[parameter.name](fleet)
    if plain == "datetime":
        return fleet.bed.now
    return _PLAIN.get(plain, Untouched())


def methods() -> dict[str, tuple[str, str]]:
    """REPOSITORY.METHOD of everything that a transaction offers."""
    source = inspect.signature(SqlRecords.__init__)
    assert list(source.parameters) == ["self", "session"]
    return {
        f"{repository}.{name}": (repository, name)
        for repository, kind in repositories().items()
        for name, _ in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


def repositories() -> dict[str, type]:
    made = SqlRecords(None)  # type: ignore[arg-type]  # nothing is asked of it
    names = [name for name, member in vars(SqlRecords).items() if isinstance(member, cached_property)]
    return {name: type(getattr(made, name)) for name in names}


@pytest.mark.parametrize("method", methods())
def test_it_takes_the_caller_first(method: str) -> None:
    repository, name = methods()[method]
    parameters = list(inspect.signature(getattr(repositories()[repository], name)).parameters)
    assert parameters[:2] == ["self", "caller"]


class _Undo(Exception):
    pass


@pytest.mark.parametrize("repository", repositories())
def test_a_follower_gets_of_anothers_what_is_written_here(fleet: Fleet, repository: str) -> None:
    found = {method: outcome(fleet, method) for method, (where, _) in methods().items() if where == repository}
    unknown = "not written down: think, and add it to EXPECTED"
    assert found == {method: expected().get(method, unknown) for method in found}


def test_nothing_is_written_down_that_is_gone() -> None:
    assert set(expected()) <= set(methods())


def outcome(fleet: Fleet, method: str) -> str:
    """What a call does for a follower that asks for what is another's."""
    repository, name = methods()[method]
    function = getattr(repositories()[repository], name)
    parameters = list(inspect.signature(function).parameters.values())[2:]
    needed = [one for one in parameters if one.default is inspect.Parameter.empty]
    given = {one.name: value_for(one, repository, fleet) for one in needed}
    positional = [given.pop(one.name) for one in needed if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    told: list[str] = []

    def work(records: Records) -> None:
        before = content(records)
        try:
            answer = getattr(getattr(records, repository), name)(as_follower(fleet.mine), *positional, **given)
        except (Forbidden, NotFound) as refused:
            told.append("refused" if isinstance(refused, Forbidden) else "missing")
        else:
            told.append("own" if answer and is_own(answer, fleet) else "found" if answer else "nothing")
        if content(records) != before:
            told[:] = ["adds" if told == ["nothing"] and method == "events.add" else "changed something"]
        raise _Undo

    with pytest.raises(_Undo):
        fleet.bed.write(work)
    return " ".join(told)


def is_own(answer: Any, fleet: Fleet) -> bool:
    """Of a list: the follower itself, or its line."""
    return [one.id for one in answer] in ([fleet.mine.id], [fleet.my_line.id])


def content(records: Records) -> dict[str, list[Any]]:
    session = session_of(records)
    return {table.name: sorted(map(repr, session.rows(table.select()))) for table in metadata.sorted_tables}
