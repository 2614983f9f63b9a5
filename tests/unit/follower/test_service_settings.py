"""Probes and windows in the settings file: what is read, and what is said of a mistake."""

from pathlib import Path

import pytest

from certline_follower.service_settings import Target
from certline_follower.settings import Settings, SettingsError, load

LINES = """
[[line]]
name = "mail"
services = ["web"]
[[line]]
name = "shop"
services = ["web"]
"""


def read(tmp_path: Path, service: str, *, top: str = "", lines: str = LINES) -> Settings:
    file = tmp_path / "certline-follower.toml"
    file.write_text(f"{top}\n{lines}\n[services.web]\n{service}\n")
    return load(file)


def probe(text: str) -> str:
    return f'reload = ["true"]\n[[services.web.probe]]\n{text}'


def test_a_probe_names_where_by_which_name_and_after_which_starttls(tmp_path: Path) -> None:
    text = 'connect = "[::1]:25"\nsni = "Mail.Example.org"\nstarttls = "smtp"\nline = "mail"'
    service = read(tmp_path, probe(text)).services["web"]
    assert service.probes == (Target("::1", 25, "mail.example.org", "smtp", "mail"),)
    assert service.probe_seconds == 30
    assert (service.targets("mail"), service.targets("shop")) == (service.probes, ())


def test_a_service_with_a_probe_needs_no_command(tmp_path: Path) -> None:
    service = read(tmp_path, '[[services.web.probe]]\nconnect = "localhost:443"').services["web"]
    assert (service.reload, service.probes[0].connect) == (None, "localhost:443")


def test_windows_are_the_hosts_and_the_services(tmp_path: Path) -> None:
    settings = read(
        tmp_path, 'reload = ["true"]\nwindows = ["Sat 02:00-05:00 Europe/Berlin"]', top='windows = ["02:00-04:00 UTC"]'
    )
    assert [window.text for window in settings.windows] == ["02:00-04:00 UTC"]
    assert [window.text for window in settings.services["web"].windows] == ["Sat 02:00-05:00 Europe/Berlin"]


@pytest.mark.parametrize(
    ("service", "text"),
    [
        (probe('sni = "x.example"'), 'services.web, probe 1, connect: is missing: write, for example, connect = "127.'),
        (probe('connect = "127.0.0.1"'), "connect: '127.0.0.1' is no address with a port: write \"127.0.0.1:443\""),
        (probe('connect = "127.0.0.1:0"'), "is no address with a port"),
        (probe('connect = "::1:443"'), 'write "127.0.0.1:443" or "[::1]:443"'),
        (probe('connect = "http://x:443"'), "is no address with a port"),
        (probe('connect = "a:1"\nstarttls = "gopher"'), "starttls: 'gopher' is unknown: choose one of smtp,"),
        (probe('connect = "a:1"\nline = "mail"\nsni = "192.0.2.7"'), "192.0.2.7 is an address: write a DNS name"),
        (probe('connect = "a:1"\nline = "mail"\nsni = "*.a.example"'), 'write a name under it, as "www.a.example"'),
        (probe('connect = "a:1"\nline = "mail"\nsni = "a b"'), "sni: "),
        (probe('connect = "a:1"\nline = "blog"'), "line: no line 'blog' uses this service (these do: mail, shop)"),
        (
            probe('connect = "a:1"\nsni = "a.example"'),
            "several lines use this service (mail, shop): say which by line =",
        ),
        (probe('connect = "a:1"\nport = 1'), "port: unknown key; "),
        ('reload = ["true"]\nprobe = "127.0.0.1:443"', "probe: expected tables: write [[services.web.probe]] for each"),
        ('reload = ["true"]\nprobe_seconds = -1', "probe_seconds: -1 is out of range"),
        ('reload = ["true"]\nwindows = "Sat"', 'write windows = ["Sat 02:00-05:00 Europe/Berlin"]'),
        ('reload = ["true"]\nwindows = ["Sat"]', "services.web, windows: 'Sat' is no window: write"),
        ("timeout = 1", "reload: is missing"),
    ],
)
def test_a_mistake_is_told_by_its_field_with_what_to_write(tmp_path: Path, service: str, text: str) -> None:
    with pytest.raises(SettingsError) as fault:
        read(tmp_path, service)
    assert text in str(fault.value)
    assert "certline-follower.toml, line " in str(fault.value)
