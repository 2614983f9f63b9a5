"""A hostile follower, a lost token, a stranger: what each tries against a running master, and what comes of it."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from certline_master.api.wishes import MOST_ORDERS_A_DAY
from certline_master.domain.access import SYSTEM
from certline_master.domain.model import FollowerState, Version, VersionState
from certline_master.domain.ports import Records
from certline_shared.enrolment import from_text
from certline_shared.keys import KeyType, generate
from certline_shared.messages import DeploymentReport, LineWish, Report, encode
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient, NewHost, check_signature, opened

NAME = "blog.example.com"
MANIFEST = "/v1/follower/manifest"


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        running.engine.configure()
        yield running


# Enrolment


def enrolled_host(bed: Bed) -> NewHost:
    bed.ask("PUT", "/v1/followers/web-2", {"grants": {"request": [NAME]}})
    return NewHost(bed, bed.enrolment_string("web-2"))


def test_a_lost_token_puts_no_second_host_in_the_place_of_the_first(bed: Bed) -> None:
    host = enrolled_host(bed)
    thief = NewHost(bed, bed.enrolment_string("web-2"))
    assert host.enrol().status_code == 200
    bed.clock.advance(1)
    assert thief.enrol().status_code == 401
    assert bed.stored_follower("web-2").identity_key == host.public


def test_a_host_that_was_replaced_is_not_told_that_it_is_still_enrolled(bed: Bed) -> None:
    former = enrolled_host(bed)
    former.enrol()
    bed.clock.advance(1)
    made = bed.ask("POST", "/v1/followers/web-2/token", {"replace": True}).json()["enrolment"]
    rebuilt = NewHost(bed, from_text(made))
    assert rebuilt.enrol().status_code == 200
    bed.clock.advance(1)
    assert former.enrol().status_code == 401


# The version of the protocol


@pytest.mark.parametrize("declared", ["0", "2", "1, 1", "", "one"])
def test_another_version_of_the_protocol_is_refused_with_both_versions_named(bed: Bed, declared: str) -> None:
    host = bed.follower("web-2")
    headers = host.signed("GET", MANIFEST, nonce="n") | {"Certline-Protocol": declared}
    answer = host.send("GET", MANIFEST, headers)
    check_signature(answer, "n")
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:certline:problem:bad-message")
    assert f"{declared!r}, this master speaks 1" in answer.json()["detail"]


def test_the_version_that_the_master_speaks_is_taken(bed: Bed) -> None:
    host = bed.follower("web-2")
    assert host.send("GET", MANIFEST, host.signed("GET", MANIFEST) | {"Certline-Protocol": "1"}).status_code == 200


# Lost answers: the same thing said again (F1)


def say(host: FollowerClient, method: str, path: str, body: bytes) -> int:
    return host.ask(method, path, body).status_code


def test_a_wish_repeated_after_a_lost_answer_makes_one_order(bed: Bed) -> None:
    host = bed.follower("web-2", (NAME,))
    for _ in range(3):
        assert host.wish("blog", NAME).status_code == 200
        bed.engine.turn()
    bed.engine.run(timedelta(minutes=1))
    assert host.wish("blog", NAME).json()["state"] == "live"
    bed.engine.run(timedelta(minutes=1))
    assert len(bed.engine.ca.issued) == 1
    assert [event.kind for event in bed.events("line.wished") + bed.events("line.csr")] == ["line.wished", "line.csr"]


def test_a_report_repeated_after_a_lost_answer_is_on_record_once(bed: Bed) -> None:
    host = bed.follower("web-2", (NAME,))
    host.wish("blog", NAME)
    bed.engine.run(timedelta(minutes=1))
    report = encode(Report("test", opened(host).serial, (DeploymentReport("blog", 1, "installed"),)))
    for _ in range(3):
        assert say(host, "POST", "/v1/follower/reports", report) == 204
    assert len(bed.events("deployment.installed")) == 1


# One follower against another


def test_no_follower_reaches_what_is_anothers_by_any_spelling_of_its_line(bed: Bed) -> None:
    owner, thief = bed.follower("web-2", (NAME,)), bed.follower("web-3", (NAME,))
    owner.wish("blog", NAME)
    bed.engine.run(timedelta(minutes=1))
    assert owner.ask("GET", "/v1/follower/lines/blog/versions/1").status_code == 200
    for line in ("blog", "blog@web-2", "blog%40web-2", "..%2fblog@web-2", "BLOG", "blog%00", "%62log"):
        answer = thief.ask("GET", f"/v1/follower/lines/{line}/versions/1")
        assert answer.status_code in (404, 422), line
        assert "CERTIFICATE" not in answer.text
    assert opened(thief).lines == ()


def test_a_report_about_anothers_line_leaves_no_trace(bed: Bed) -> None:
    owner, thief = bed.follower("web-2", (NAME,)), bed.follower("web-3")
    owner.wish("blog", NAME)
    bed.engine.run(timedelta(minutes=1))
    for line in ("blog", "blog@web-2"):
        body = encode(Report("test", 1, (DeploymentReport(line, 1, "installed", "mine"),)))
        assert say(thief, "POST", "/v1/follower/reports", body) == 204
    assert bed.ask("GET", "/v1/lines/blog@web-2").json()["deployments"] == []
    assert bed.events("deployment.failed") == []


def test_a_line_of_the_operators_for_another_host_cannot_be_asked_for_or_taken_over(bed: Bed) -> None:
    bed.follower("web-2")
    thief = bed.follower("web-3", (NAME,))
    bed.ask("PUT", "/v1/lines/shop", {"follower": "web-2", "names": ["shop.example.com"]})
    assert thief.ask("PUT", "/v1/follower/lines/shop", encode(LineWish(None))).status_code == 422
    assert thief.wish("shop", "shop.example.com").status_code == 403
    assert thief.wish("shop", NAME).json()["line"] == "shop@web-3"
    assert bed.ask("GET", "/v1/lines/shop").json()["line"]["follower"] == "web-2"


# Cheap ways to wear the master out


def test_one_follower_cannot_take_all_places_to_wait(bed: Bed) -> None:
    greedy, other = bed.follower("web-2"), bed.follower("web-3")
    etags = {host.name: host.manifest().headers["ETag"] for host in (greedy, other)}
    waiting = [threading.Thread(target=greedy.manifest, args=(etags["web-2"], 30)) for _ in range(3)]
    for thread in waiting:
        thread.start()
    while bed.app.state.long_polls.open < 3 and all(thread.is_alive() for thread in waiting):
        pass
    assert "Retry-After" in greedy.manifest(etags["web-2"], wait=30).headers
    assert "Retry-After" not in other.manifest(etags["web-3"], wait=1).headers
    bed.app.state.long_polls.close()
    for thread in waiting:
        thread.join(10)
    assert bed.app.state.long_polls.open == 0


HOSTILE_BODIES = {
    "nested deeply": b"[" * 60_000,
    "a member twice among thousands": b"{" + b",".join(b'"%x":1' % n for n in range(7000)) + b',"z":1,"z":2}',
    "NaN": b'{"names":NaN}',
    "a huge number": b'{"names":' + b"9" * 60_000 + b"}",
    "a huge exponent": b'{"names":1e999999999}',
    "bad UTF-8": b'{"names":"\xff"}',
    "a lone surrogate": b'{"names":["\\ud800"]}',
    "a NUL": b'{"names":["blog\\u0000.example.com"]}',
    "a member that must be understood": b'{"crit":["path"],"path":"/etc/passwd"}',
    "no object": b'"x"',
}


@pytest.mark.parametrize("what", HOSTILE_BODIES)
def test_a_hostile_body_is_refused_with_what_is_wrong_and_in_no_time(bed: Bed, what: str) -> None:
    host = bed.follower("web-2", (NAME,))
    begun = time.process_time()  # of this process alone: whatever else the machine is doing
    answer = host.ask("PUT", "/v1/follower/lines/blog", HOSTILE_BODIES[what])
    spent = time.process_time() - begun
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]
    assert spent < 0.5


# Strangers


@pytest.mark.parametrize(
    "path",
    ["/v1/follower/../whoami", "/v1//whoami", "/v1/%66ollower/manifest", "/V1/whoami", "/v1/whoami/", "/v1/enroll/"],
)
def test_no_spelling_of_a_path_goes_round_the_gate(bed: Bed, path: str) -> None:
    target = httpx.URL(bed.url).copy_with(raw_path=path.encode())
    answer = bed.http.send(httpx.Request("GET", target))
    assert answer.status_code in (401, 404)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_follower_that_is_only_invited_is_a_stranger(bed: Bed) -> None:
    host = bed.follower("web-2")
    bed.set_state("web-2", FollowerState.INVITED)
    answer = host.manifest()
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:certline:problem:unauthorized")


def test_one_follower_may_cause_so_many_orders_a_day_and_is_told_when_it_may_again(bed: Bed) -> None:
    host = bed.follower("web-2", (NAME,))
    host.wish("blog", NAME)
    bed.engine.run(timedelta(minutes=1))
    have_ordered(bed, "blog@web-2", MOST_ORDERS_A_DAY)
    bed.clock.advance(timedelta(hours=20))
    another_key = generate(KeyType.ECDSA_P256)
    for _ in range(2):
        answer = host.wish("blog", NAME, key=another_key)
        assert (answer.status_code, answer.json()["type"]) == (429, "urn:certline:problem:too-many-requests")
        assert timedelta(hours=3) < timedelta(seconds=int(answer.headers["Retry-After"])) <= timedelta(hours=4)
    assert len(bed.events("wish.put_off")) == 1
    assert host.wish("blog", NAME).status_code == 200
    bed.clock.advance(timedelta(hours=4))
    assert host.wish("blog", NAME, key=another_key).status_code == 200


def have_ordered(bed: Bed, name: str, count: int) -> None:
    """As if the line had had that many versions ordered now."""
    uuid, now = bed.engine.chance.uuid, bed.clock.now()

    def write(records: Records) -> None:
        line = records.lines.get(SYSTEM, name)
        for number in range(100, 100 + count):
            version = Version(uuid(), line.id, number, VersionState.FAILED, now, "a new key", ended=now)
            records.versions.open(SYSTEM, version, ())

    bed.store.write(write)
