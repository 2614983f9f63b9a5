"""Hooks: what happens to files, keys and lines on a host is told to the commands that its own file names."""

import json
import os
import sys

import pytest

from tests.fakes.master import FakeMaster
from tests.integration.follower.hook_bed import command, configure, issued, path, records, told
from tests.integration.follower.host_bed import Bed, killed_at


def test_a_hook_is_told_of_the_file_that_was_installed(bed: Bed) -> None:
    words = ("{line}", "{key_type}", "{certificate_name}", "{full_key_file}", "v{version}", "{{plain}}")
    configure(bed, f"[hooks.default]\nfull_key_installed = {command(bed, *words)}")
    issued(bed)
    bed.settle()
    assert told(bed) == [["shop", "ecdsa-p256", "shop", path(bed), "v1", "{plain}"]]


def test_values_are_arguments_of_their_own_and_no_shell_reads_them(bed: Bed) -> None:
    """2.1 39: where acmebot quotes for a shell there is none here."""
    name = bed.folder / "shop; touch x $(touch y).pem"
    configure(
        bed,
        f"[hooks.default]\nfull_key_installed = {command(bed, '{full_key_file}')}",
        bed.line("shop", "shop.example.org", output=str(name)),
    )
    issued(bed)
    bed.settle()
    assert told(bed) == [[str(name)]]
    assert not list(bed.folder.glob("[xy]"))


def test_a_hook_that_fails_is_a_warning_and_nothing_else(bed: Bed) -> None:
    """2.1 39"""
    configure(bed, f"[hooks.default]\nfull_key_installed = {command(bed, fails='broken')}")
    issued(bed)
    (bed.folder / "broken").touch()
    outcome = bed.turn()
    assert (outcome.failures, len(outcome.warnings)) == ([], 1)
    assert "exit code 9" in outcome.warnings[0]
    assert "a word from the hook" in outcome.warnings[0]
    assert bed.reloads() == 1
    bed.settle()
    assert len(told(bed)) == 1, "it is not told again"


def test_hooks_run_before_services_are_reloaded(bed: Bed) -> None:
    configure(bed, f"[hooks.default]\npost-certchange = {command(bed, '{line}')}")
    issued(bed)
    done = [type(step).__name__ for step in bed.turn().done]
    assert done.index("Install") < done.index("RunHook") < done.index("Reload")


def test_a_required_hook_that_fails_puts_the_former_files_back(bed: Bed, master: FakeMaster) -> None:
    hooks = f"required = true\nfull_key_installed = {command(bed, 'v{version}', fails='broken')}"
    configure(bed, f"[hooks.default]\n{hooks}")
    issued(bed)
    bed.settle()
    before = bed.shown("shop")
    (bed.folder / "broken").touch()
    master.issue("shop")
    outcome = bed.turn()
    assert "the former generation is back" in outcome.failures[0]
    assert bed.shown("shop") == before
    assert told(bed) == [["v1"], ["v2"]], "what it was told of last is there again: it is told nothing"


def test_a_required_hook_with_nothing_to_go_back_to_holds_the_reload_and_is_tried_again(
    bed: Bed, master: FakeMaster
) -> None:
    hooks = f"required = true\nfull_key_installed = {command(bed, fails='broken')}"
    configure(bed, f"[hooks.default]\n{hooks}")
    issued(bed)
    (bed.folder / "broken").touch()
    host = bed.host()
    outcome = bed.turn(host)
    assert "exit code 9" in outcome.failures[0]
    assert (bed.reloads(), outcome.held_back) == (0, True)
    report = master.last_report("shop")
    assert report is not None
    assert "exit code 9" in (report.error or "")
    (bed.folder / "broken").unlink()
    from certline_follower.turn import insist

    insist(host)
    bed.turn(host)
    assert (bed.reloads(), len(told(bed))) == (1, 2)


@pytest.mark.parametrize("place", ["install.swapped", "hook.running", "hook.ran"])
def test_a_hook_that_a_kill_cut_off_runs_with_the_same_cause(bed: Bed, place: str) -> None:
    configure(bed, f"[hooks.default]\nfull_key_installed = {command(bed)}")
    issued(bed)
    host = bed.host()
    with killed_at(place):
        bed.turn(host)
    bed.settle()
    causes = {json.dumps(one["env"]) for one in records(bed)}
    assert len(causes) == 1, "at least once, always with the same cause"
    assert len(records(bed)) == (2 if place == "hook.ran" else 1)


def test_nothing_of_our_own_environment_reaches_a_hook(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "tell nobody")
    script = "import os, pathlib; pathlib.Path('said').write_text(repr(sorted(os.environ.items())))"
    (bed.folder / "work").mkdir()
    hook = json.dumps([sys.executable, "-S", "-I", "-c", script])
    more = f'cwd = "{bed.folder}/work"\nenv = {{ COLOUR = "blue" }}\ntimeout = 20'
    configure(bed, f"[hooks.default]\n{more}\npost-certchange = {hook}")
    issued(bed)
    bed.settle()
    said = dict(eval((bed.folder / "work" / "said").read_text()))  # noqa: S307 our own words
    assert "SECRET_OF_OURS" not in said
    assert said["COLOUR"] == "blue"
    assert set(said) - {"LC_CTYPE"} == {
        "PATH", "LANG", "COLOUR", "CERTLINE_EVENT", "CERTLINE_LINES", "CERTLINE_CAUSE",
    }  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start programs as another user")
def test_a_hook_runs_as_the_user_and_group_that_its_section_names(bed: Bed) -> None:
    said = str(bed.folder / "open" / "said")
    script = f"import os, pathlib; pathlib.Path({said!r}).write_text(str((os.getuid(), os.getgroups())))"
    (bed.folder / "open").mkdir()
    (bed.folder / "open").chmod(0o777)
    for folder in (bed.folder, *bed.folder.parents):
        if "pytest-of" in str(folder):
            folder.chmod(0o755)
    hook = json.dumps(["/usr/bin/python3", "-S", "-I", "-c", script])
    configure(bed, f'[hooks.default]\nuser = "nobody"\npost-certchange = {hook}')
    issued(bed)
    bed.settle()
    import grp
    import pwd

    nobody = pwd.getpwnam("nobody")
    assert grp.getgrgid(nobody.pw_gid)
    assert (bed.folder / "open" / "said").read_text() == str((nobody.pw_uid, [nobody.pw_gid]))


def test_a_line_that_a_section_names_has_its_actions_and_not_the_defaults(bed: Bed) -> None:
    """2.0 16"""
    hooks = (
        f"[hooks.default]\npost-certchange = {command(bed, 'default', '{line}')}\n"
        f'[hooks.mailers]\nlines = ["mail"]\npost-certchange = {command(bed, "mailers", "{line}")}'
    )
    lines = (bed.line("shop", "shop.example.org"), bed.line("mail", "mail.example.org"))
    configure(bed, hooks, *lines)
    bed.settle()
    assert sorted(told(bed)) == [["default", "shop"], ["mailers", "mail"]]


def test_actions_for_every_line_run_in_addition(bed: Bed) -> None:
    """2.0 17"""
    hooks = (
        f'[hooks.own]\nlines = ["shop"]\npost-certchange = {command(bed, "own")}\n'
        f"[hooks.every]\npost-certchange = {command(bed, 'every')}"
    )
    configure(bed, hooks)
    issued(bed)
    bed.settle()
    assert sorted(told(bed)) == [["every"], ["own"]]


def test_what_gathers_runs_once_for_all_lines_of_its_section(bed: Bed, master: FakeMaster) -> None:
    """2.0 19, 20, 21; 2.4 3"""
    hooks = (
        f"[hooks.default]\nupdate = {command(bed, 'update', '{domains_cn}', '-', '{domains_all}')}\n"
        f"upload_keys = {command(bed, 'keys', '{keys}', 'host:/keys')}\n"
        f"upload_certs = {command(bed, 'certs', '{certs}', 'host:/certs')}"
    )
    lines = [bed.line(name, f"{name}.example.org", f"www.{name}.example.org") for name in ("shop", "mail")]
    lines = [
        text + f'[[line.output]]\nkind = "fullchain"\npath = "{bed.folder}/{name}.crt"\n'
        for text, name in zip(lines, ("shop", "mail"), strict=True)
    ]
    master.grant(*(f"{name}.example.org" for name in ("shop", "www.shop", "mail", "www.mail")))
    configure(bed, hooks, *lines)
    bed.settle()
    assert told(bed) == [
        ["certs", f"{bed.folder}/shop.crt", f"{bed.folder}/mail.crt", "host:/certs"],
        ["keys", path(bed), path(bed, "mail"), "host:/keys"],
        ["update", "shop.example.org", "mail.example.org", "-", "shop.example.org", "www.shop.example.org",
              "mail.example.org", "www.mail.example.org"],
    ]  # fmt: skip
    assert bed.reloads() == 1, "and each service once"
    master.issue("mail")
    bed.settle()
    certs, keys, update = told(bed)[3:]
    assert certs == ["certs", f"{bed.folder}/mail.crt", "host:/certs"], "only what changed"
    assert keys == ["keys", path(bed, "mail"), "host:/keys"]
    assert update == ["update", "mail.example.org", "-", "mail.example.org", "www.mail.example.org"]


def test_where_nothing_changed_nothing_runs_and_nothing_is_said(bed: Bed) -> None:
    """2.0 22, 2.4 2"""
    configure(bed, f"[hooks.every]\nupdate = {command(bed)}\npost-certchange = {command(bed)}")
    issued(bed)
    bed.settle()
    before = len(told(bed))
    outcome = bed.turn()
    assert (outcome.done, len(told(bed))) == ([], before)


def test_what_local_services_refuse_is_not_carried_on(bed: Bed, master: FakeMaster) -> None:
    """2.0 23, as far as it is about a copy"""
    configure(bed, f"[hooks.default]\nupload_keys = {command(bed, '{keys}')}")
    issued(bed)
    bed.settle()
    assert len(told(bed)) == 1
    bed.fail_after_next_install("web", "check")
    master.issue("shop")
    outcome = bed.turn()
    assert "the former generation is back" in outcome.failures[0]
    bed.turn()
    assert len(told(bed)) == 1


def test_a_new_certificate_for_the_same_key_is_no_change_of_the_key(bed: Bed, master: FakeMaster) -> None:
    """2.3 5: the certificate's event once, the key's never"""
    hooks = "\n".join(
        f"{event} = {command(bed, event)}"
        for event in ("post-certchange", "post-keychange", "private_key_rollover", "line_issued")
    )
    configure(bed, f"[hooks.default]\n{hooks}")
    issued(bed)
    bed.settle()
    assert sorted(told(bed)) == [["line_issued"], ["post-certchange"], ["post-keychange"]], "the first key is news"
    (bed.folder / "told").unlink()
    master.issue("shop")
    bed.settle()
    assert sorted(told(bed)) == [["line_issued"], ["post-certchange"]]


def test_what_holds_a_line_back_on_the_master_is_told_once(bed: Bed, master: FakeMaster) -> None:
    configure(bed, f"[hooks.default]\nline_failed = {command(bed, '{line}', '{error}')}")
    issued(bed)
    bed.settle()
    master.lines["shop"].error = "no TXT record"
    bed.settle()
    bed.settle()
    assert told(bed) == [["shop", "no TXT record"]]
