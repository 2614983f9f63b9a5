"""The master's settings: where they are looked for, what overrides them, and how each fault is told."""

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest

from certline_master import settings, settings_sections
from certline_master.settings import SettingsError, find, load

MINIMAL = '[api]\norigins = ["https://master.example:8443"]\n'


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine's own: neither its variables nor its system folder."""
    for variable in os.environ:
        if variable.startswith("CERTLINE_"):
            monkeypatch.delenv(variable)
    monkeypatch.setattr(settings, "SYSTEM_FOLDER", tmp_path / "etc")
    (tmp_path / "etc").mkdir()


def written(path: Path, text: str = MINIMAL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# --- where they are (peers 2.1.2 and 2.1.7) -------------------------------------------------------------------------


def test_the_working_directory_comes_before_the_system_folder(tmp_path: Path) -> None:
    here, system = written(tmp_path / "here" / "certline.toml"), written(tmp_path / "etc" / "certline.toml")

    assert find(None, tmp_path / "here") == here
    here.unlink()
    assert find(None, tmp_path / "here") == system


def test_a_relative_name_is_tried_in_both_folders(tmp_path: Path) -> None:
    system = written(tmp_path / "etc" / "other" / "mine.toml")

    assert find("other/mine.toml", tmp_path) == system
    here = written(tmp_path / "other" / "mine.toml")
    assert find("other/mine.toml", tmp_path) == here


def test_an_absolute_name_is_tried_only_there(tmp_path: Path) -> None:
    written(tmp_path / "etc" / "certline.toml")

    with pytest.raises(SettingsError) as fault:
        find(str(tmp_path / "elsewhere" / "certline.toml"), tmp_path)

    assert f"no settings: {tmp_path}/elsewhere/certline.toml is not there." in str(fault.value)
    assert "etc" not in str(fault.value)


def test_the_error_names_the_files_that_were_tried_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as fault:
        find(None, tmp_path / "here")

    assert f"{tmp_path}/here/certline.toml nor {tmp_path}/etc/certline.toml" in str(fault.value)
    assert "certline init --origin" in str(fault.value)


def test_relative_paths_in_the_file_count_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(
        tmp_path / "conf" / "certline.toml",
        '[api]\norigins = ["https://m.example"]\ntls = "files"\ntls_certificate = "tls/api.pem"\n'
        'tls_key = "/abs/api.key"\n'
        '[store]\nurl = "sqlite:///data/c.sqlite"\n[secrets]\nkek = "file:kek"\n'
        '[local_follower]\nconfig = "follower/f.toml"\n',
    )
    monkeypatch.chdir(tmp_path)

    found = load(path)

    assert found.api.tls_certificate == tmp_path / "conf/tls/api.pem"
    assert found.api.tls_key == Path("/abs/api.key")
    assert found.store.url == f"sqlite:///{tmp_path}/conf/data/c.sqlite"
    assert found.secrets.kek == f"file:{tmp_path}/conf/kek"
    assert found.local_follower.config == tmp_path / "conf/follower/f.toml"


def test_an_absolute_database_stays_where_it_is(tmp_path: Path) -> None:
    path = written(tmp_path / "certline.toml", MINIMAL + '[store]\nurl = "sqlite:////var/lib/certline/c.sqlite"\n')

    assert load(path).store.url == "sqlite:////var/lib/certline/c.sqlite"


# --- what overrides them --------------------------------------------------------------------------------------------


def test_the_environment_overrides_the_file_member_by_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "certline.toml", MINIMAL + "[workers]\nthreads = 3\norders_at_once = 7\n")
    monkeypatch.setenv("CERTLINE_WORKERS__THREADS", "5")
    monkeypatch.setenv("CERTLINE_API__LISTEN", "127.0.0.1:9443")

    found = load(path)

    assert (found.workers.threads, found.workers.orders_at_once) == (5, 7)
    assert (found.api.listen, found.api.origins) == ("127.0.0.1:9443", ("https://master.example:8443",))


def test_the_alarms_limits_are_lengths_of_time(tmp_path: Path) -> None:
    text = MINIMAL + '[alarms]\ndeployed_within = "10m"\nsurvival_days = 1.5\n'
    found = settings.load(written(tmp_path / "certline.toml", text)).alarms.limits()
    assert (found.deployed_within, found.survival) == (timedelta(minutes=10), timedelta(hours=36))
    usual = settings.load(written(tmp_path / "certline.toml", MINIMAL)).alarms.limits()
    assert (usual.deployed_within, usual.survival) == (timedelta(minutes=75), None)


def test_a_secret_of_the_environment_may_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "certline.toml")
    written(tmp_path / "url", "postgresql://certline:hunter2@db/certline\n")
    monkeypatch.setenv("CERTLINE_STORE__URL_FILE", str(tmp_path / "url"))

    assert load(path).store.url == "postgresql://certline:hunter2@db/certline"


def test_a_secret_file_that_is_missing_is_told_by_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "certline.toml")
    monkeypatch.setenv("CERTLINE_STORE__URL_FILE", str(tmp_path / "none"))

    with pytest.raises(SettingsError, match=r"CERTLINE_STORE__URL_FILE: .*/none cannot be read: No such file"):
        load(path)


def test_the_variables_of_the_admin_commands_are_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CERTLINE_URL", "CERTLINE_TOKEN_FILE", "CERTLINE_CA_FILE"):
        monkeypatch.setenv(variable, "x")

    assert load(written(tmp_path / "certline.toml")).api.listen == "0.0.0.0:8443"


# --- what is wrong with them ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (MINIMAL + "[workers]\nthreads = 0\n", ":4: workers.threads: "),
        (MINIMAL + '[alarms]\ndeployed_within = "soon"\n', ":4: alarms.deployed_within: 'soon' is not a duration"),
        (MINIMAL + '[alarms]\ndeployed_within = "999999d"\n', ":4: alarms.deployed_within: '999999d' is less than"),
        (MINIMAL + "[alarms]\nsurvival_days = 0\n", ":4: alarms.survival_days: "),
        (MINIMAL + '[workers]\n\nthreads = "many"\n', ":5: workers.threads: "),
        (MINIMAL + 'listn = "x"\n', ":3: api.listn: is not a setting; remove it"),
        (MINIMAL + "[worker]\nthreads = 1\n", ":3: worker: is not a setting; remove it"),
        (MINIMAL + 'listen = "8443"\n', ":3: api.listen: '8443' is not HOST:PORT; write for example"),
        (MINIMAL + 'listen = "127.0.0.1:99999"\n', ":3: api.listen: '127.0.0.1:99999' is not HOST:PORT"),
        (
            '[api]\norigins = ["http://m.example"]\n',
            ":2: api.origins.0: 'http://m.example' is not an origin; write https",
        ),
        ("[api]\norigins = []\n", ":2: api.origins: "),
        ("[api]\n", ":1: api.origins: is missing"),
        ("[store]\n", ": api: is missing"),
        (MINIMAL + '[logging]\nlevel = "loud"\n', ":4: logging.level: "),
        ("[api\n", ": is not TOML: "),
        ("[api]\n[api]\n", ": is not TOML: "),
    ],
)
def test_a_fault_is_told_by_file_line_and_field(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path / "certline.toml", text)

    with pytest.raises(SettingsError) as fault:
        load(path)

    assert str(fault.value).startswith(f"{path}{told}")
    assert "\n" not in str(fault.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = written(tmp_path / "certline.toml", '[api]\norigins = ["x"]\nlisten = "y"\n[workers]\nthreads = 0\n')

    with pytest.raises(SettingsError) as fault:
        load(path)

    assert len(str(fault.value).splitlines()) == 3


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "certline.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(SettingsError, match="is not UTF-8 text"):
        load(tmp_path / "certline.toml")
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load(tmp_path)


# --- origins and the example ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("https://Master.Example:8443", "https://master.example:8443"),
        ("https://master.example:443/", "https://master.example"),
        ("https://192.0.2.1:8443", "https://192.0.2.1:8443"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_an_origin_has_one_normal_form(text: str, normal: str) -> None:
    assert settings_sections.origin(text) == normal


@pytest.mark.parametrize(
    "text", ["", "master.example", "http://m.example", "https://", "https://m.example/path", "https://u@m.example",
             "https://m.example:99999", "https://m.example:x", "https://[::1", "https://m.example?x"]
)  # fmt: skip
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an origin; write https://NAME-OR-IP:PORT"):
        settings_sections.origin(text)


def test_the_example_is_a_file_that_can_be_loaded(tmp_path: Path) -> None:
    path = written(tmp_path / "certline.toml", settings.example(origins=("https://a.example", "https://b.example:1")))

    assert load(path).api.origins == ("https://a.example", "https://b.example:1")


def test_every_commented_setting_of_the_example_is_one(tmp_path: Path) -> None:
    lines = [re.sub(r"^# (?=\[|[a-z0-9_]+ = )", "", line) for line in settings.example().splitlines()]
    text = "\n".join(line for line in lines if not line.startswith("url = ") or "sqlite" in line)

    found = load(written(tmp_path / "certline.toml", text))

    assert (found.responder.listen, found.http01.listen) == ("0.0.0.0:53", "0.0.0.0:80")
    assert (found.api.tls, found.api.trust) == ("files", "chain")
    assert found.outbound.private == ("ca.internal.example", "10.0.0.0/8")


def test_private_places_are_read_in_normal_form_and_what_is_none_is_told(tmp_path: Path) -> None:
    text = '[outbound]\nprivate = ["CA.Inside.Example.", "10.0.0.0/8", "::1"]\n'
    found = load(written(tmp_path / "certline.toml", MINIMAL + text))
    assert found.outbound.private == ("ca.inside.example", "10.0.0.0/8", "::1")
    assert found.outbound.policy().why_not("other.example", "10.1.2.3") is None
    nothing = load(written(tmp_path / "certline.toml", MINIMAL)).outbound.policy()
    assert nothing.why_not("localhost", "127.0.0.1") == "a loopback address"

    path = written(tmp_path / "certline.toml", MINIMAL + '[outbound]\nprivate = ["10.0.0.1/8"]\n')
    with pytest.raises(SettingsError, match=r"outbound\.private: .* write 10\.0\.0\.0/8 for the network"):
        load(path)


# --- behind a proxy -------------------------------------------------------------------------------------------------

BEHIND = MINIMAL + 'trust = "chain"\ntls = "off"\n'


def test_plain_http_is_spoken_on_loopback_only(tmp_path: Path) -> None:
    for listen in ("127.0.0.1:8080", "[::1]:8080", "localhost:8080"):
        settings = load(written(tmp_path / "certline.toml", BEHIND + f'listen = "{listen}"\n'))
        assert settings.api.tls == "off"
    for listen in ("0.0.0.0:8080", "[::]:8080", "192.0.2.1:8080", "master.example:8080"):
        with pytest.raises(SettingsError, match="trusted_proxies who alone may connect"):
            load(written(tmp_path / "certline.toml", BEHIND + f'listen = "{listen}"\n'))


def test_plain_http_is_spoken_elsewhere_to_named_proxies(tmp_path: Path) -> None:
    text = BEHIND + 'listen = "0.0.0.0:8080"\ntrusted_proxies = ["10.0.0.0/8"]\n'
    assert load(written(tmp_path / "certline.toml", text)).api.listen == "0.0.0.0:8080"


def test_plain_http_does_not_go_with_a_pinned_certificate(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match='write trust = "chain" too'):
        load(written(tmp_path / "certline.toml", MINIMAL + 'tls = "off"\nlisten = "127.0.0.1:8080"\n'))


def test_a_proxy_is_named_by_address_or_network(tmp_path: Path) -> None:
    text = MINIMAL + 'trusted_proxies = ["127.0.0.1", "2001:db8::/32"]\n'
    assert [str(one) for one in load(written(tmp_path / "certline.toml", text)).api.trusted_proxies] == [
        "127.0.0.1/32",
        "2001:db8::/32",
    ]
    with pytest.raises(SettingsError, match="trusted_proxies"):
        load(written(tmp_path / "certline.toml", MINIMAL + 'trusted_proxies = ["proxy.example"]\n'))
