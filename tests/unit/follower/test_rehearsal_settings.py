"""What a rehearsal keeps of the settings, and what it puts elsewhere or leaves out."""

from pathlib import Path

from certline_follower import settings
from certline_follower.rehearsal_settings import FLAG, folders_of, rehearsal_settings
from certline_follower.settings import Settings

FILE = """
state_dir = "/var/lib/certline-follower"
windows = ["Mon-Fri 02:00-04:00 UTC"]

[master]
rotate_keys_days = 30

[[line]]
name = "shop"
names = ["shop.example.com"]
services = ["nginx", "database"]
[[line.output]]
kind = "fullchain"
path = "/etc/ssl/shop/{date}.pem"
link = "/etc/ssl/shop.pem"
[line.archive]
path = "/var/backups/tls/{date}/{file}"

[[line]]
name = "mail"
key_file = "/etc/ssl/mail.key"
services = ["nginx"]

[services.nginx]
reload = ["nginx", "-s", "reload"]
env = { A = "1" }
windows = ["Sun 01:00-02:00 UTC"]
[[services.nginx.probe]]
connect = "127.0.0.1:443"
[[services.nginx.probe]]
connect = "127.0.0.1:8443"
rehearse = true

[services.database]
reload = ["database", "reload"]
rehearse = false

[hooks.default]
line_issued = ["/bin/one", "{test}"]
[[hooks.default.line_failed]]
command = ["/bin/two"]
rehearse = false
[hooks.every]
rehearse = false
line_failed = ["/bin/three"]
"""
TREE = Path("/var/lib/certline-follower/rehearsal/files")


def rehearsed(folder: Path, *lines: str) -> Settings:
    file = folder / "certline-follower.toml"
    file.write_text(FILE)
    return rehearsal_settings(settings.load(file), lines or ("shop", "mail"))


def test_all_that_is_written_lies_in_a_tree_of_its_own(tmp_path: Path) -> None:
    found = rehearsed(tmp_path)

    (output,), archive = found.lines[0].outputs, found.lines[0].archive
    assert found.state_dir == Path("/var/lib/certline-follower/rehearsal/state")
    assert output.path == TREE / "etc/ssl/shop/{date}.pem"
    assert output.link == TREE / "etc/ssl/shop.pem"
    assert archive is not None
    assert archive.path == TREE / "var/backups/tls/{date}/{file}"
    assert folders_of(found) == (TREE / "etc/ssl/shop", TREE / "etc/ssl")


def test_keys_are_its_own_also_where_those_in_use_were_made_elsewhere(tmp_path: Path) -> None:
    assert [line.key_file for line in rehearsed(tmp_path).lines] == [None, None]
    assert rehearsed(tmp_path).rotate_keys_days is None


def test_commands_run_as_ever_and_are_told_that_it_is_a_test(tmp_path: Path) -> None:
    found = rehearsed(tmp_path)

    nginx = found.services["nginx"]
    assert (nginx.reload, nginx.around.env) == (("nginx", "-s", "reload"), (("A", "1"), FLAG))
    actions = [action for section in found.hooks.sections for action in section.actions]
    assert [(action.words, action.around.env) for action in actions] == [(("/bin/one", "{test}"), (FLAG,))]


def test_no_window_is_waited_for_and_only_places_that_show_the_rehearsal_are_looked_at(tmp_path: Path) -> None:
    found = rehearsed(tmp_path)

    assert (found.windows, found.services["nginx"].windows) == ((), ())
    assert [target.port for target in found.services["nginx"].probes] == [8443]


def test_what_is_not_to_be_rehearsed_is_left_out(tmp_path: Path) -> None:
    found = rehearsed(tmp_path, "shop")

    assert [line.name for line in found.lines] == ["shop"]
    assert found.lines[0].services == ("nginx",)
