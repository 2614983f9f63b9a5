"""One run of the follower as cron sees it: what it says, what it leaves owed, and what it carries to other hosts."""

import json
import os
import signal
from pathlib import Path

import pytest

from certline_follower import cli
from tests.fakes.master import FakeMaster
from tests.integration.follower.hook_bed import command, configure, told
from tests.integration.follower.host_bed import Bed
from tests.testbed.parts import program, require


def run(bed: Bed, *words: str) -> int:
    return cli.main(["--config", str(bed.file), *words])


def test_each_action_is_one_line_on_standard_output(
    bed: Bed, master: FakeMaster, capsys: pytest.CaptureFixture[str]
) -> None:
    """2.3 17"""
    configure(bed, f"[hooks.default]\npost-certchange = {command(bed)}\nupdate = {command(bed)}")
    run(bed, "sync")
    capsys.readouterr()
    master.issue("shop")
    assert run(bed, "sync") == 10
    said = capsys.readouterr()
    assert [line.partition(":")[0] for line in said.out.splitlines()] == [
        "pull line shop version 2",
        "install shop",
        "run hook default.post-certchange",
        "reload web",
        "run hook default.update",
    ]
    assert said.err == ""
    assert run(bed, "sync") == 0
    assert capsys.readouterr() == ("", "")


def test_a_hook_that_fails_is_told_on_standard_error_and_changes_no_exit_code(
    bed: Bed, capsys: pytest.CaptureFixture[str]
) -> None:
    """2.1 39"""
    (bed.folder / "broken").touch()
    configure(bed, f"[hooks.default]\npost-certchange = {command(bed, fails='broken')}")
    assert run(bed, "sync") == 10
    said = capsys.readouterr()
    assert "hook default.post-certchange: exit code 9 a word from the hook" in said.err
    assert "Traceback" not in said.err


def test_without_hooks_all_is_installed_and_the_next_run_does_what_is_owed(
    bed: Bed, capsys: pytest.CaptureFixture[str]
) -> None:
    """2.3 2: without -k hooks never run"""
    configure(bed, f"[hooks.default]\npost-certchange = {command(bed)}\nupload_keys = {command(bed, '{keys}')}")
    assert run(bed, "sync", "--no-hooks") == 10
    said = capsys.readouterr()
    assert "BEGIN CERTIFICATE" in bed.shown("shop")
    assert (told(bed), bed.calls) == ([], []), "neither hooks nor services, their checks included"
    for owed in ("run hook default.post-certchange", "reload web", "run hook default.upload_keys"):
        assert f"owed: {owed}" in said.err
        assert owed not in said.out
    assert run(bed, "sync", "--no-hooks") == 0, "what is owed is no change"
    assert (told(bed), bed.calls) == ([], [])
    capsys.readouterr()
    assert run(bed, "sync") == 10
    assert (len(told(bed)), bed.reloads()) == (2, 1)
    assert run(bed, "sync") == 0


def test_what_is_planned_names_the_hooks(bed: Bed, capsys: pytest.CaptureFixture[str]) -> None:
    configure(bed, f"[hooks.default]\npost-certchange = {command(bed)}")
    run(bed, "sync", "--no-hooks")
    capsys.readouterr()
    assert run(bed, "plan") == 0
    assert "run hook default.post-certchange: shop changed" in capsys.readouterr().out
    assert told(bed) == []


def test_one_certificate_reloads_both_services_that_use_it(bed: Bed) -> None:
    """2.4 4"""
    configure(
        bed,
        f"[hooks.every]\nupdate = {command(bed, '{domains_cn}')}",
        bed.line("shop", "shop.example.org", services=("mail", "news")),
        services=("mail", "news"),
    )
    run(bed, "sync")
    assert (bed.reloads("mail"), bed.reloads("news")) == (1, 1)
    assert told(bed) == [["shop.example.org"]]


def test_rsync_carries_what_changed_to_its_folder(bed: Bed, master: FakeMaster) -> None:
    """2.0 20; 2.4 1, 2: a distribution host"""
    require("rsync")
    certs, keys = bed.folder / "others" / "certs", bed.folder / "others" / "keys"
    certs.mkdir(parents=True)
    keys.mkdir(mode=0o700)
    # --copy-links: outputs are links, and what they lead to is what others need; --checksum: two certificates may have
    # the same length and the same second
    words = [str(program("rsync")), "--archive", "--copy-links", "--checksum"]
    hooks = (
        f"[hooks.default]\nupload_certs = {json.dumps([*words, '{certs}', f'{certs}/'])}\n"
        f"upload_keys = {json.dumps([*words, '{keys}', f'{keys}/'])}\nrequired = true"
    )
    lines = [
        bed.line(name, f"{name}.example.org")
        + f'[[line.output]]\nkind = "fullchain"\npath = "{bed.folder}/{name}.crt"\n'
        for name in ("shop", "mail")
    ]
    configure(bed, hooks, *lines)
    run(bed, "sync")
    for name in ("shop", "mail"):
        assert (certs / f"{name}.crt").read_bytes() == (bed.folder / f"{name}.crt").read_bytes()
        assert (keys / f"{name}.pem").read_bytes() == (bed.folder / f"{name}.pem").read_bytes()
    assert not (certs / "shop.crt").is_symlink()
    assert (keys / "shop.pem").stat().st_mode & 0o777 == 0o600
    untouched = (certs / "mail.crt").stat()
    (keys / "mail.pem").unlink()
    master.issue("shop")
    run(bed, "sync")
    assert (certs / "shop.crt").read_bytes() == (bed.folder / "shop.crt").read_bytes()
    assert (certs / "mail.crt").stat().st_mtime_ns == untouched.st_mtime_ns
    assert not (keys / "mail.pem").exists(), "what did not change is not carried again"


def test_what_has_to_be_carried_on_is_tried_until_it_is(bed: Bed, capsys: pytest.CaptureFixture[str]) -> None:
    (bed.folder / "away").touch()
    configure(bed, f"[hooks.default]\nrequired = true\nupload_keys = {command(bed, '{keys}', fails='away')}")
    assert run(bed, "sync") == 4
    assert "exit code 9" in capsys.readouterr().err
    assert bed.reloads() == 1, "what is here stays in use"
    (bed.folder / "away").unlink()
    assert run(bed, "sync") == 10
    assert len(told(bed)) == 2
    assert run(bed, "sync") == 0


def test_a_hook_that_does_not_end_is_ended_with_its_children(bed: Bed, capsys: pytest.CaptureFixture[str]) -> None:
    pid = bed.folder / "pid"
    script = f"echo $$ > {pid}; sleep 600"
    configure(bed, f'[hooks.default]\ntimeout = 0.5\npost-certchange = ["/bin/sh", "-c", {json.dumps(script)}]')
    assert run(bed, "sync") == 10
    assert "not done after 0.5 s: ended, with all it had started" in capsys.readouterr().err
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), signal.SIGCONT)


@pytest.mark.parametrize("source", ["file"])
def test_a_hook_reads_the_passphrase_of_a_key_from_a_descriptor(bed: Bed, source: str) -> None:
    secret = bed.folder / "passphrase"
    secret.touch(mode=0o600)
    secret.write_text("between us\n")
    said = bed.folder / "said"
    read = "import os, sys, pathlib; pathlib.Path(sys.argv[2]).write_bytes(os.read(int(sys.argv[1]), 100))"
    hook = json.dumps(["/usr/bin/python3", "-S", "-I", "-c", read, "{passphrase_fd}", str(said)])
    line = bed.line("shop", "shop.example.org").replace(
        "[[line.output]]", f'passphrase = {{ {source} = "{secret}" }}\n[[line.output]]', 1
    )
    configure(bed, f"[hooks.default]\nfull_key_installed = {hook}", line)
    assert run(bed, "sync") == 10
    assert said.read_bytes() == b"between us"
    assert "ENCRYPTED" in Path(bed.folder / "shop.pem").read_text()
