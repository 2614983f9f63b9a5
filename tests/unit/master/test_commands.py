"""Commands of the master: which a line may name, and what the settings may say of them."""

from pathlib import Path

import pytest

from certline_master import settings
from certline_master.domain.commands import EVENTS, Command, command_faults
from certline_master.domain.errors import Fault
from certline_master.domain.fleet import DesiredFleet, DesiredLine
from certline_master.domain.model import LineOptions
from certline_shared.running import Surroundings

API = '[api]\norigins = ["https://master.example.com:8443"]\n'


def faults(commands: dict[str, tuple[str, ...]], *known: Command) -> list[Fault]:
    line = DesiredLine(("shop.example.com",), options=LineOptions(commands=commands))
    return list(command_faults(DesiredFleet(lines={"shop": line}), {one.name: one for one in known}))


def test_a_line_may_name_what_the_settings_have_at_what_happens() -> None:
    every = Command("tell", ("tell", "{event}", "{line}", "{domains_cn}", "{domains_all}"))
    assert faults(dict.fromkeys(EVENTS, ("tell",)), every) == []


REFUSED: dict[str, tuple[dict[str, tuple[str, ...]], str]] = {
    "an unknown command": ({"prepare": ("tunel",)}, "there is no command 'tunel': write [commands.tunel] into the"),
    "an unknown event": ({"prepared": ("tell",)}, "there is no event 'prepared' on the master: use one of prepare,"),
    "a placeholder that the event lacks": (
        {"prepare": ("zone",)},
        "the command 'zone' asks for {zone}, which this event does not have",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_never_run_is_refused_when_it_is_planned(case: str) -> None:
    named, says = REFUSED[case]
    (fault,) = faults(named, Command("tell", ("tell",)), Command("zone", ("reload", "{zone}")))
    assert fault.field == f"/lines/shop/options/commands/{next(iter(named))}"
    assert says in fault.detail


def load(folder: Path, text: str) -> settings.Settings:
    file = folder / "certline.toml"
    file.write_text(API + text)
    return settings.load(file)


def test_a_command_is_its_arguments_and_how_it_runs(tmp_path: Path) -> None:
    text = '[commands.tell]\nargv = ["tell", "{line}"]\ntimeout = 5\nrequired = true\nenv = { A = "1" }\ncwd = "/srv"\n'
    read = load(tmp_path, text).commands
    around = Surroundings(cwd="/srv", env=(("A", "1"),))
    assert read["tell"].command("tell") == Command("tell", ("tell", "{line}"), 5, True, around)


MISTAKES = {
    "no program": ("argv = []", "commands.tell.argv: is empty or has a NUL character"),
    "text": ('argv = "tell {line}"', "commands.tell.argv: Input should be a valid tuple"),
    "unknown placeholder": ('argv = ["tell", "{secret}"]', "{secret} is unknown here: choose among"),
    "several within one": ('argv = ["tell", "--all={domains_all}"]', "write it as one of its own"),
    "a placeholder as program": ('argv = ["{line}"]', "the program itself cannot be filled in"),
    "a folder by half": ('argv = ["tell"]\ncwd = "srv"', "commands.tell.cwd"),
    "a variable of ours": ('argv = ["tell"]\nenv = { CERTLINE_X = "1" }', "cannot be set"),
    "unknown key": ('argv = ["tell"]\nshell = true', "commands.tell.shell: is not a setting"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_names_the_command_and_the_field(tmp_path: Path, case: str) -> None:
    text, says = MISTAKES[case]
    with pytest.raises(settings.SettingsError) as caught:
        load(tmp_path, f"[commands.tell]\n{text}\n")
    assert says in str(caught.value)
    assert "commands.tell" in str(caught.value)


def test_a_name_that_no_object_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(settings.SettingsError, match=r"the command name '\.\./x' cannot be used"):
        load(tmp_path, '[commands."../x"]\nargv = ["tell"]\n')
