"""`certline init`: everything needed to serve, made once."""

import hashlib
import stat
from pathlib import Path

import pytest

from certline_master import settings
from certline_master.api.admin_tokens import prefix_of
from certline_master.cli.main import run
from certline_master.store.schema import at_head
from tests.integration.cli_bed import Said

ORIGIN = "https://master.example:8443"


@pytest.fixture
def init(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> "Init":
    return Init(tmp_path / "etc", capsys)


class Init:
    """`certline init` into one folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys

    def __call__(self, *words: str, origin: str = ORIGIN) -> Said:
        code = run(["init", "--origin", origin, "--dir", str(self.folder), *words])
        out, err = self._capsys.readouterr()
        return Said(code, out, err)

    def mode(self, name: str) -> int:
        return stat.S_IMODE((self.folder / name).stat().st_mode)

    def contents(self) -> dict[str, str]:
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_all_parts_are_made_and_what_is_secret_is_for_its_owner_alone(init: Init) -> None:
    init().well()

    assert at_head(settings.load(init.folder / "certline.toml").store.url)
    assert {name: oct(init.mode(name)) for name in ("kek", "admin.toml", "tls/api.pem", "data/certline.sqlite")} == {
        "kek": "0o600",
        "admin.toml": "0o600",
        "tls/api.pem": "0o600",
        "data/certline.sqlite": "0o600",
    }
    assert oct(init.mode("data")) == oct(init.mode("tls")) == "0o700"


def test_the_first_token_is_shown_once_and_stands_in_the_profile_but_not_in_the_database(init: Init) -> None:
    said = init().well()

    [token] = [word for word in said.out.split() if prefix_of(word)]
    assert token in (init.folder / "admin.toml").read_text()
    database = b"".join(path.read_bytes() for path in (init.folder / "data").iterdir())
    assert token.encode() not in database
    assert (init.folder / "kek").read_bytes().strip() not in database
    assert token not in init().out


def test_run_twice_it_changes_nothing_and_says_so(init: Init) -> None:
    init().well()
    before = init.contents()

    again = init().well()

    assert again.out == f"{init.folder}/certline.toml is there already: nothing was changed\n"
    assert init.contents() == before


def test_other_origins_than_those_that_are_there_are_refused(init: Init) -> None:
    init().well()
    before = init.contents()

    said = init(origin="https://other.example")

    assert "its origins are https://master.example:8443; to change them, edit `origins`" in said.refused(3)
    assert init.contents() == before


def test_the_api_certificate_has_all_origins_addresses_too(init: Init) -> None:
    from cryptography import x509

    init("--origin", "https://192.0.2.7:8443", "--origin", "https://[2001:db8::7]").well()

    leaf = x509.load_pem_x509_certificates((init.folder / "tls/api.pem").read_bytes())[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"master.example", "localhost"} <= set(names.get_values_for_type(x509.DNSName))
    assert {"192.0.2.7", "2001:db8::7"} <= {str(one) for one in names.get_values_for_type(x509.IPAddress)}


def test_a_new_key_is_never_made_over_a_database(init: Init) -> None:
    init().well()
    for name in ("kek", "certline.toml"):
        (init.folder / name).unlink()

    assert "restore the key, or remove the database" in init().refused(3)


def test_what_was_cut_off_half_way_is_finished(init: Init) -> None:
    init().well()
    for name in ("certline.toml", "admin.toml", "tls/api.pem"):
        (init.folder / name).unlink()

    init().well()

    assert (init.folder / "admin.toml").exists()
    assert settings.load(init.folder / "certline.toml").api.origins == (ORIGIN,)


@pytest.mark.parametrize(
    ("words", "origin", "told"),
    [
        ((), "http://master.example", "--origin: 'http://master.example' is not an origin; write https://NAME"),
        ((), "master.example:8443", "--origin: 'master.example:8443' is not an origin"),
        (("--listen", "8443"), ORIGIN, "--listen: '8443' is not HOST:PORT"),
        (("--listen", "192.0.2.1:8443", "--with-follower"), ORIGIN, "--with-follower needs the API on loopback too"),
        (("--database", "mysql://db/certline"), ORIGIN, "store.url: mysql is not supported"),
        (("--database", "nonsense"), ORIGIN, "store.url: it is not a database URL"),
    ],
)
def test_wrong_options_are_told_and_leave_no_settings(
    init: Init, words: tuple[str, ...], origin: str, told: str
) -> None:
    assert told in init(*words, origin=origin).refused(2)
    assert not (init.folder / "certline.toml").exists()


def test_a_folder_that_cannot_be_made_is_told(init: Init) -> None:
    init.folder.parent.joinpath("file").touch()
    inside = Init(init.folder.parent / "file" / "etc", init._capsys)

    assert f"{inside.folder}: Not a directory" in inside().refused(3)


def test_the_database_may_be_a_postgres(init: Init, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgres").new_database()

    init("--database", url).well()

    assert settings.load(init.folder / "certline.toml").store.url == url
    assert not (init.folder / "data").exists()
    assert "nothing was changed" in init().well().out
