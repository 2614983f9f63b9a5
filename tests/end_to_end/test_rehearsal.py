"""A rehearsal: test certificates, hooks and services as ever, and nothing that is in use is touched."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from tests.end_to_end.assertions import assert_installed, same_serial
from tests.end_to_end.harness import Bed, Requests, fleet, watched
from tests.end_to_end.host import CHANGED, FAILED, NOTHING, USAGE, FollowerHost, HostLine
from tests.end_to_end.master import MasterProcess
from tests.testbed.fault_proxy import FaultProxy
from tests.testbed.pebble import pebble
from tests.testbed.releases import former_releases, prefix_for

WWW, MAIL = "www.example.test", "mail.example.test"
OWN = HostLine("www", (WWW,), services=("web",))
OPERATORS = HostLine("mail", services=("web",), outputs={"combined": "mail.pem"})


@dataclass
class Stage:
    """A master with a CA and the same CA's rehearsal beside it, and a host."""

    master: MasterProcess
    host: FollowerHost
    real: FaultProxy
    test: FaultProxy

    @property
    def calls(self) -> Path:
        return self.host.folder / "calls"

    @property
    def told(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    @property
    def rehearsed(self) -> Path:
        return self.host.state_dir / "rehearsal" / "files"

    def as_in_use(self, told: str) -> str:
        """What was called in the rehearsal, as it is called else."""
        return told.replace(str(self.rehearsed), "").replace("[test]", "[]").replace("test=1", "test=")

    def configure(self, *lines: HostLine, service: str = "", hooks: str = "") -> None:
        """Its service and its hooks write down how they were called."""
        self.host.configure(*lines)
        writer = self.host.folder / "writer.sh"
        writer.write_text(f'#!/bin/sh\necho "$* test=$CERTLINE_TEST" >> {self.calls}\n')
        writer.chmod(0o755)
        with self.host.config_file.open("a") as file:
            file.write(f'[services.web]\ncheck = ["{writer}", "check"]\nreload = ["{writer}", "reload"]\n{service}\n')
            file.write(hooks.replace("WRITER", str(writer)))


@pytest.fixture
def stage(here: Bed) -> Iterator[Stage]:
    with ExitStack() as stack:
        other = stack.enter_context(pebble("calm", dns_server=f"127.0.0.1:{here.dns_port}"))
        real, test = stack.enter_context(watched(here.ca)), stack.enter_context(watched(other))
        master = here.master()
        master.start()
        wished = fleet(real, {"web": [WWW]}, lines={"mail": {"names": [MAIL], "custody": "master"}})
        wished["followers"]["web"]["grants"]["pull"] = ["mail"]
        wished["issuers"]["staging"] = {
            "directory": test.directory_url, "ca_file": str(test.ca_file), "test_of": "pebble",
        }  # fmt: skip
        master.set_fleet(wished)
        host = here.enrolled(master, "web")
        yield Stage(master, host, real, test)


def everything(*folders: Path) -> dict[str, tuple[int, int, int, int, str]]:
    """Each file and folder with its mode, owners, time of change and content; rehearsals left out."""
    found = {}
    for path in sorted(path for folder in folders for path in (folder, *folder.rglob("*"))):
        if "rehearsal" in path.parts:
            continue
        about = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes().hex() if path.is_file() else ""
        changed = 0 if path.name == "state" else about.st_mtime_ns  # the folder `rehearsal` is made in it
        found[str(path)] = about.st_mode, about.st_uid, about.st_gid, changed, content
    return found


def test_a_rehearsal_runs_all_that_a_run_does_and_changes_nothing_that_is_in_use(stage: Stage) -> None:
    """Acceptance 2.0: 12 and 13."""
    hook = (
        '[hooks.default]\ncertificate_installed = ["WRITER", "installed", "{line}", "{certificate_file}", "[{test}]"]\n'
    )
    stage.configure(OWN, OPERATORS, hooks=hook)
    stage.master.issued("mail")
    stage.host.sync().well(CHANGED)
    ordered, before = Requests(stage.real).orders, everything(stage.host.tls, stage.host.state_dir)
    ran = stage.told
    stage.calls.unlink()

    done = stage.host.command("rehearse", "--output", "json").well()

    said = json.loads(done.out)
    assert {name: (one["well"], one["state"]) for name, one in said["lines"].items()} == {
        "www": (True, "reloaded"), "mail": (True, "reloaded"),
    }  # fmt: skip
    assert everything(stage.host.tls, stage.host.state_dir) == before
    assert {stage.as_in_use(line) for line in stage.told} == set(ran)
    assert all(line.endswith("test=1") for line in stage.told)
    assert Requests(stage.real).orders == ordered
    assert Requests(stage.test).orders == 2
    lies_in = stage.rehearsed / stage.host.tls.relative_to("/")
    chain = (lies_in / "fullchain.pem").read_bytes()
    assert x509.load_pem_x509_certificates(chain)[0].issuer != _live(stage.host.tls / "fullchain.pem").issuer
    assert (lies_in / "key.pem").read_bytes() != (stage.host.tls / "key.pem").read_bytes()
    assert "mail.pem" in {path.name for path in lies_in.iterdir()}


def _live(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificates(path.read_bytes())[0]


def test_it_leaves_a_record_and_nothing_else_on_the_master(stage: Stage) -> None:
    stage.configure(OWN)
    stage.host.sync().well(CHANGED)
    serial = stage.master.live_serial("www@web")

    stage.host.sync("--test").well(NOTHING)

    assert [event["kind"] for event in stage.master.events("rehearsal.began", "line:www@web")]
    [passed] = stage.master.events("rehearsal.passed")
    assert (passed["subject"], passed["data"]["follower"]) == ("line:www@web", "web")
    assert {line["name"] for line in stage.master.get("/v1/lines")} == {"mail", "www@web"}
    assert stage.master.get("/v1/status")["counts"]["lines"] == 2
    assert same_serial(stage.master.live_serial("www@web") or "", serial or "")
    stage.host.sync().well(NOTHING)


def test_a_host_rehearses_before_it_asks_for_anything(stage: Stage) -> None:
    stage.configure(OWN)

    stage.host.command("rehearse", "www").well(NOTHING)

    assert stage.master.line("www@web") is None
    assert list(stage.host.tls.iterdir()) == []
    stage.host.sync().well(CHANGED)
    assert_installed(stage.host.tls, stage.master.live_serial("www@web") or "")


def test_what_would_fail_fails_in_the_rehearsal(stage: Stage) -> None:
    stage.configure(OWN, service='on_failure = "rollback"\n')
    stage.host.sync().well(CHANGED)
    writer = stage.host.folder / "writer.sh"
    before = everything(stage.host.tls)
    writer.write_text('#!/bin/sh\nif [ "$1" = reload ]; then echo it is broken; exit 1; fi\n')

    done = stage.host.command("rehearse")

    assert done.code == FAILED
    assert "www failed: installed, not reloaded: its reload failed: exit code 1" in done.out
    assert "it is broken" in done.out
    assert everything(stage.host.tls) == before
    [failed] = stage.master.events("rehearsal.failed")
    assert "it is broken" in failed["text"]


def test_a_service_and_a_hook_may_be_left_out(stage: Stage) -> None:
    hook = '[hooks.default]\nrehearse = false\nline_issued = ["WRITER", "issued"]\n'
    stage.configure(OWN, service="rehearse = false\n", hooks=hook)

    stage.host.command("rehearse").well(NOTHING)

    assert stage.told == []


def test_no_rehearsal_without_an_issuer_for_it(here: Bed) -> None:
    """Acceptance 2.0: 14: what is real and what is a test is never guessed."""
    master = here.serving({"web": [WWW]})
    host = here.enrolled(master, "web")
    host.configure(HostLine("www", (WWW,)))

    done = host.command("rehearse")

    assert done.code == FAILED
    assert "no issuer rehearses for pebble" in done.out
    assert "`test_of: pebble`" in done.out


@pytest.mark.parametrize("words", [("sync", "--test", "--no-hooks"), ("rehearse", "nowhere")])
def test_a_rehearsal_that_makes_no_sense_is_refused(stage: Stage, words: tuple[str, ...]) -> None:
    """Acceptance 2.0: 14."""
    stage.configure(OWN)

    assert stage.host.command(*words).code == USAGE


def test_the_operator_has_all_hosts_of_all_lines_rehearse(stage: Stage, here: Bed) -> None:
    wished = json.loads((stage.master.folder / "fleet.yaml").read_text())
    wished["followers"]["web-2"] = {"grants": {"pull": ["mail"]}}
    stage.master.set_fleet(wished)
    stage.configure(OWN, OPERATORS)
    other = here.enrolled(stage.master, "web-2")
    other.configure(HostLine("mail", outputs={"combined": "mail.pem"}))
    for host in (stage.host, other):
        host.sync().well(CHANGED)
        host.start()
    ordered, before = Requests(stage.real).orders, everything(stage.host.tls, other.tls)

    said = stage.master.command("line", "rehearse", "--all", "--output", "json", "--timeout", "40").well()

    ended = {(one["line"], one["follower"]): one["well"] for one in json.loads(said.out)}
    assert ended == {("mail", "web"): True, ("mail", "web-2"): True, ("www@web", "web"): True}
    assert everything(stage.host.tls, other.tls) == before
    assert Requests(stage.real).orders == ordered
    assert Requests(stage.test).orders == 3


def test_a_host_that_does_not_answer_is_told(stage: Stage) -> None:
    stage.configure(OPERATORS)

    done = stage.master.command("line", "rehearse", "mail", "--timeout", "0")

    assert done.code == FAILED
    assert "its host has not told how it ended" in done.out


@pytest.mark.parametrize("former", former_releases())
def test_a_master_of_a_former_release_refuses_and_orders_nothing(here: Bed, former: str, tmp_path: Path) -> None:
    with watched(here.ca) as real:
        master = here.master(release=prefix_for(former, tmp_path))
        master.start()
        master.apply(fleet(real, {"web": [WWW]})).well()
        host = here.enrolled(master, "web")
        host.configure(HostLine("www", (WWW,)))

        done = host.command("rehearse")

        assert done.code == FAILED
        assert "this master knows no rehearsals: it needs release 0.3.0 or newer" in done.out
        assert Requests(real).orders == 0
