"""The audit trail kept: sealed at intervals, handed on to file and syslog, listed, exported and verified by command."""

import json
import socket
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from certline_master.audit_sinks import FileSink, SyslogSink
from certline_master.domain.access import SYSTEM
from certline_master.domain.ports import Records
from certline_master.store.opening import SqlStore
from certline_master.work.audit import AuditKeeper, SealingKey, Sink
from certline_shared import signing
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock
from tests.fakes.engine import open_fresh_store
from tests.integration.cli_bed import Commands, Master, serving

PRIVATE, PUBLIC = signing.generate_identity()


class Bed:
    """A store and a keeper whose thread is not started: a test calls what the thread would."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.store: SqlStore = open_fresh_store(folder, self.clock, SeededChance())

    def keeper(self, *sinks: Sink) -> AuditKeeper:
        key = SealingKey(PRIVATE, PUBLIC)
        return AuditKeeper(self.store, lambda: key, sinks, self.clock, SeededChance(), seal_every=600)

    def say(self, *texts: str) -> None:
        def write(records: Records) -> None:
            for text in texts:
                records.events.add(SYSTEM, "x", "line:shop", text, now=self.clock.now())

        self.store.write(write)
        self.clock.advance(timedelta(seconds=5))


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    made = Bed(tmp_path)
    yield made
    made.store.close()


def texts_in(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text().splitlines()]


def test_events_are_sealed_once_and_only_when_there_are_new_ones(bed: Bed) -> None:
    keeper = bed.keeper()
    assert not keeper.seal()
    bed.say("one", "two")
    assert keeper.seal()
    assert not keeper.seal()
    bed.say("three")
    assert keeper.seal()


def test_every_event_is_handed_on_once_in_its_order(bed: Bed, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    keeper = bed.keeper(FileSink(file))
    bed.say("one", "two")
    assert keeper.hand_on() == 2
    assert keeper.hand_on() == 0
    bed.say("three")
    keeper.hand_on()
    assert texts_in(file) == ["one", "two", "three"]
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_file_that_was_rotated_away_is_begun_anew(bed: Bed, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    keeper = bed.keeper(FileSink(file))
    bed.say("one")
    keeper.hand_on()
    file.rename(tmp_path / "audit.jsonl.1")
    bed.say("two")
    keeper.hand_on()
    assert texts_in(file) == ["two"]


def test_an_event_that_is_only_just_written_waits_for_those_beside_it(bed: Bed, tmp_path: Path) -> None:
    keeper = bed.keeper(FileSink(tmp_path / "audit.jsonl"))
    bed.store.write(lambda records: records.events.add(SYSTEM, "x", "s", "fresh", now=bed.clock.now()))
    assert keeper.hand_on() == 0
    bed.clock.advance(3)
    assert keeper.hand_on() == 1


def test_what_could_not_be_handed_on_is_sent_again_later(bed: Bed, tmp_path: Path) -> None:
    folder = tmp_path / "later"
    keeper = bed.keeper(FileSink(folder / "audit.jsonl"))
    bed.say("one")
    with pytest.raises(OSError, match="No such file"):
        keeper.hand_on()
    folder.mkdir()
    assert keeper.hand_on() == 1
    assert texts_in(folder / "audit.jsonl") == ["one"]


@pytest.mark.parametrize("kind", ["local", "udp", "tcp"])
def test_a_syslog_gets_each_event_as_one_message(bed: Bed, tmp_path: Path, kind: str) -> None:
    with closing(_listening(kind, tmp_path)) as listener, closing(SyslogSink(_target(kind, listener))) as sink:
        keeper = bed.keeper(sink)
        bed.say("one", "zwei ü")
        keeper.hand_on()
        messages = _received(kind, listener, 2)
    assert [json.loads(message.partition("certline: ")[2])["text"] for message in messages] == ["one", "zwei ü"]
    assert all(message.startswith("<86>") for message in messages)  # authpriv, info


def test_a_syslog_that_is_away_is_told_and_tried_again(bed: Bed, tmp_path: Path) -> None:
    with closing(_listening("tcp", tmp_path)) as listener:
        target = _target("tcp", listener)
    keeper = bed.keeper(SyslogSink(target))
    bed.say("one")
    with pytest.raises(OSError, match="refused"):
        keeper.hand_on()


def _listening(kind: str, folder: Path) -> socket.socket:
    if kind == "local":
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.bind(str(folder / "log"))
    else:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        made.bind(("127.0.0.1", 0))
        if kind == "tcp":
            made.listen()
    made.settimeout(10)
    return made


def _target(kind: str, listener: socket.socket) -> str:
    name = listener.getsockname()
    return str(name) if kind == "local" else f"{kind}://127.0.0.1:{name[1]}"


def _received(kind: str, listener: socket.socket, count: int) -> Sequence[str]:
    if kind != "tcp":
        return [listener.recv(65_536).rstrip(b"\0").decode() for _ in range(count)]
    connection, _ = listener.accept()
    connection.settimeout(10)
    with connection, connection.makefile("r", encoding="utf-8") as lines:
        return [next(lines).rstrip("\n") for _ in range(count)]


# --- by command ---


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    folder = tmp_path_factory.mktemp("audit")
    with serving(folder / "master", ["[audit]", 'file = "audit.jsonl"', "seal_seconds = 1"]) as running:
        yield running


def test_the_trail_is_listed_exported_verified_and_what_was_changed_is_named(
    master: Master, capsys: pytest.CaptureFixture[str]
) -> None:
    certline = Commands(master.config, capsys)
    certline("follower", "create", "web-1", "--grant", "www.example.com")

    exported = [json.loads(line) for line in certline("event", "export").well().out.splitlines()]
    assert [event["id"] for event in exported] == sorted(event["id"] for event in exported)
    assert all(event["hash"] and event["chain"] for event in exported)
    assert "follower.created" in {event["kind"] for event in exported}

    said = certline("event", "verify").well().out
    assert "nothing was changed or removed" in said
    found = certline.json("event", "verify")
    assert (found["problems"], found["events"] >= len(exported)) == ([], True)

    master.stop()
    with closing(sqlite3.connect(master.folder / "data" / "certline.sqlite")) as database:
        database.execute("UPDATE events SET actor = 'admin:nobody' WHERE kind = 'follower.created'")
        database.commit()
    master.start()
    ended = certline("event", "verify")
    assert ended.code == 3
    assert "(follower.created)" in ended.out
    assert "was changed" in ended.out
    assert [json.loads(line)["kind"] for line in (master.folder / "audit.jsonl").read_text().splitlines()]
