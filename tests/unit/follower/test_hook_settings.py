"""Hooks and services in the settings file: what they may say, and how each mistake is told."""

from pathlib import Path

import pytest

from certline_follower import service_settings, settings
from certline_follower.hook_settings import EVENTS, SPREAD
from certline_follower.settings import SettingsError
from certline_shared.running import Surroundings

LINES = '[[line]]\nname = "shop"\n[[line]]\nname = "mail"\n'


def load(folder: Path, text: str) -> settings.Settings:
    file = folder / "certline-follower.toml"
    file.write_text(text)
    return settings.load(file)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(folder, text)
    return str(caught.value).replace(f"{folder}/certline-follower.toml", "FILE")


def test_a_line_has_the_section_that_lists_it_else_the_default_and_always_every(tmp_path: Path) -> None:
    """2.0 16, 17"""
    text = "".join(f'[hooks.{name}]\n{own}update = ["true"]\n' for name, own in (
        ("default", ""), ("mailers", 'lines = ["mail"]\n'), ("every", ""),
    ))  # fmt: skip
    hooks = load(tmp_path, LINES + text).hooks
    assert [section.name for section in hooks.of_line("mail")] == ["mailers", "every"]
    assert [section.name for section in hooks.of_line("shop")] == ["default", "every"]


def test_an_event_may_have_one_command_several_or_commands_with_settings_of_their_own(tmp_path: Path) -> None:
    text = (
        '[hooks.default]\ntimeout = 5\nenv = { A = "1" }\ncwd = "/tmp"\n'
        'post-certchange = ["one"]\nupdate = [["two", "{certs}"], ["three"]]\n'
        '[[hooks.default.post-keychange]]\ncommand = ["four"]\ntimeout = 7\nrequired = true\nenv = { B = "2" }\n'
    )
    (section,) = load(tmp_path, LINES + text).hooks.sections
    assert [(one.event, one.words, one.timeout, one.required) for one in section.actions] == [
        ("post-certchange", ("one",), 5, False),
        ("update", ("two", "{certs}"), 5, False),
        ("update", ("three",), 5, False),
        ("post-keychange", ("four",), 7, True),
    ]
    assert section.actions[0].around == Surroundings(cwd="/tmp", env=(("A", "1"),))
    assert section.actions[3].around == Surroundings(cwd="/tmp", env=(("A", "1"), ("B", "2")))


@pytest.mark.parametrize("event", [*EVENTS, *SPREAD])
def test_each_placeholder_of_an_event_may_be_used(tmp_path: Path, event: str) -> None:
    single = (*EVENTS[event], "line", "version") if event in EVENTS else ()
    several = ("domains_all",) if event in EVENTS else ("domains_cn", "domains_all", *SPREAD[event])
    words = ", ".join(f'"x{{{name}}}"' for name in single) or '"y"'
    alone = ", ".join(f'"{{{name}}}"' for name in several)
    assert load(tmp_path, f'{LINES}[hooks.default]\n{event} = ["program", {words}, {alone}]\n').hooks.sections


SECTION = LINES + "[hooks.default]\n"
REFUSED = {
    "2.0 18: lines in default": (
        SECTION + 'lines = ["shop"]\nupdate = ["x"]\n',
        "hooks.default, lines: this section is for the",
    ),
    "2.0 18: lines in every": (
        LINES + '[hooks.every]\nlines = ["shop"]\nupdate = ["x"]\n',
        "this section is for all lines",
    ),
    "no lines in a section of its own": (LINES + '[hooks.mine]\nupdate = ["x"]\n', 'lines = ["shop"]'),
    "a line that is not there": (
        LINES + '[hooks.mine]\nlines = ["blog"]\nupdate = ["x"]\n',
        "there is no line 'blog' in this file (there are: shop, mail)",
    ),
    "a line in two sections": (
        LINES + '[hooks.a]\nlines = ["shop"]\nupdate = ["x"]\n[hooks.b]\nlines = ["shop"]\nupdate = ["x"]\n',
        "FILE, line 9: hooks.b, lines: 'shop' stands in [hooks.a] too",
    ),
    "an event outside of a section": (
        LINES + '[hooks]\nupdate = ["x"]\n',
        "hooks, update: belongs to a section: write it under [hooks.default]",
    ),
    "an unknown event": (SECTION + 'certificate_instaled = ["x"]\n', "did you mean 'certificate_installed'?"),
    "an event of side files": (SECTION + 'ocsp_installed = ["x"]\n', "OCSP files are not made by this release"),
    "an event of the master": (
        SECTION + 'set_dns_challenge = ["x"]\n',
        "happens on the master: name a command of its certline.toml in the fleet file",
    ),
    "an unknown placeholder": (
        SECTION + 'post-certchange = ["x", "{certificate_file}"]\n',
        "FILE, line 6: hooks.default, post-certchange: {certificate_file} is unknown here: choose among",
    ),
    "several arguments within another": (SECTION + 'update = ["x", "--files={certs}"]\n', "write it as one of its own"),
    "a brace alone": (SECTION + 'update = ["x", "{"]\n', "a brace stands alone: write {{ or }}"),
    "a placeholder with a format": (SECTION + 'update = ["x", "{certs!r}"]\n', "write the placeholder's name only"),
    "a placeholder as program": (SECTION + 'post-certchange = ["{line}"]\n', "the program itself cannot be filled in"),
    "a passphrase as argument": (
        SECTION + 'private_key_installed = ["x", "{passphrase}"]\n',
        "a passphrase is never an argument, others could see it: {passphrase_fd}",
    ),
    "a command as text": (
        SECTION + 'update = "rsync a b"\n',
        'write update = ["rsync", "a", "b"] (program and arguments apart: no shell is used)',
    ),
    "no program": (SECTION + "update = []\n", "is empty or has a NUL character"),
    "an empty section": (SECTION, "is missing, as all events are"),
    "an unknown key of a command": (
        SECTION + '[[hooks.default.update]]\ncommand = ["x"]\nusr = "a"\n',
        "usr: unknown key; did you mean 'user'?",
    ),
    "an unknown user": (SECTION + 'user = "nobody-of-that-name"\nupdate = ["x"]\n', "there is no user"),
    "a folder by half": (SECTION + 'cwd = "work"\nupdate = ["x"]\n', "'work' is no whole path"),
    "a variable of ours": (
        SECTION + 'env = { CERTLINE_EVENT = "x" }\nupdate = ["x"]\n',
        "no name that begins CERTLINE_",
    ),
    "a user of a service": (
        '[services.a]\nreload = ["x"]\nuser = "nobody-of-that-name"\n',
        "services.a, user: there is no",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_told_with_its_field_and_what_to_do(tmp_path: Path, case: str) -> None:
    text, says = REFUSED[case]
    assert says in refusal(tmp_path, text)


ACMEBOT = {
    "apache": "reload apache2", "coturn": "restart coturn", "dovecot": "restart dovecot",
    "etherpad": "restart etherpad", "mysql": "reload mysql", "nginx": "reload nginx", "postfix": "reload postfix",
    "postgresql": "reload postgresql", "prosody": "restart prosody", "slapd": "restart slapd",
    "synapse": "restart matrix-synapse", "znc": "restart znc",
}  # fmt: skip


def test_the_twelve_services_of_acmebot_need_no_table(tmp_path: Path) -> None:
    assert set(ACMEBOT) == set(service_settings.PRESETS)
    listed = ", ".join(f'"{name}"' for name in ACMEBOT)
    read = load(tmp_path, f'[[line]]\nname = "shop"\nservices = [{listed}]\n')
    assert {name: one.reload for name, one in read.services.items()} == {
        name: ("systemctl", *words.split()) for name, words in ACMEBOT.items()
    }


def test_a_table_of_that_name_counts_before_the_preset(tmp_path: Path) -> None:
    read = load(tmp_path, '[[line]]\nname = "shop"\nservices = ["nginx"]\n[services.nginx]\nreload = ["mine"]\n')
    assert read.services["nginx"].reload == ("mine",)
    read = load(tmp_path, '[[line]]\nname = "shop"\nservices = ["nginx"]\n[services.nginx]\non_failure = "warn"\n')
    assert read.services["nginx"].reload == ("systemctl", "reload", "nginx")


def test_a_service_that_nobody_uses_is_none(tmp_path: Path) -> None:
    assert load(tmp_path, LINES).services == {}
