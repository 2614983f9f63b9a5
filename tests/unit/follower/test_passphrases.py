"""Where the passphrase of a line's keys comes from, in which order, and what is refused."""

import io
from pathlib import Path

import pytest

from certline_follower import settings
from certline_follower.faults import SettingsError
from certline_follower.passphrases import NoPassphrase, Passphrases, Source

ANY = {"shop": Source("any"), "mail": Source("any")}


class Terminal(io.StringIO):
    """A terminal's standard input."""

    def isatty(self) -> bool:
        return True


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_sources_are_tried_in_their_order(tmp_path: Path) -> None:
    """peers.md 2.1, line 43: option, environment, prompt (on a terminal), a line of standard input; then systemd's."""
    (tmp_path / "credentials").mkdir()
    private(tmp_path / "credentials" / "certline-passphrase-shop", "credential\n")
    option = private(tmp_path / "option", "option\nanother\n")
    environment = {"CERTLINE_PASSPHRASE": "environment", "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    places = [
        Passphrases(ANY, option, environment, lambda _: "typed", Terminal()),
        Passphrases(ANY, None, environment, lambda _: "typed", Terminal()),
        Passphrases(ANY, None, _without(environment), lambda _: "typed", Terminal()),
        Passphrases(ANY, None, _without(environment), lambda _: "typed", io.StringIO("line\nsecond\n")),
        Passphrases(ANY, None, _without(environment), lambda _: "typed", io.StringIO("")),
    ]
    found = [one.of("shop") for one in places]
    assert found == [b"option", b"environment", b"typed", b"line", b"credential"]


def _without(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name != "CERTLINE_PASSPHRASE"}


def test_lines_of_standard_input_belong_to_the_keys_in_their_order_whoever_is_asked_first() -> None:
    """peers.md 2.1, line 43."""
    passphrases = Passphrases(ANY, None, {}, lambda _: "typed", io.StringIO("for the shop\nfor the mail\n"))
    assert (passphrases.of("mail"), passphrases.of("shop")) == (b"for the mail", b"for the shop")


def test_each_key_may_have_a_variable_of_its_own() -> None:
    environment = {"CERTLINE_PASSPHRASE": "all", "CERTLINE_PASSPHRASE_MAIL": "mail's"}
    passphrases = Passphrases(ANY, None, environment, lambda _: "typed", None)
    assert (passphrases.of("shop"), passphrases.of("mail")) == (b"all", b"mail's")


def test_a_prompt_names_the_line_and_is_made_once() -> None:
    prompts: list[str] = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return "typed"

    passphrases = Passphrases(ANY, None, {}, ask, Terminal())
    assert (passphrases.of("shop"), passphrases.of("shop")) == (b"typed", b"typed")
    assert prompts == ["passphrase of the keys of line shop: "]


def test_a_line_without_passphrase_asks_nobody() -> None:
    assert Passphrases({}, None, {}, lambda _: "typed", Terminal()).of("shop") is None


def test_a_named_place_is_the_only_one(tmp_path: Path) -> None:
    file = private(tmp_path / "shop.pass", "from the file\n")
    sources = {"a": Source("file", str(file)), "b": Source("env", "OURS"), "c": Source("credential", "ours")}
    (tmp_path / "ours").write_text("from systemd")
    (tmp_path / "ours").chmod(0o400)
    environment = {"OURS": "from the variable", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    passphrases = Passphrases(sources, None, environment, lambda _: "typed", Terminal())
    found = [passphrases.of(name) for name in sources]
    assert found == [b"from the file", b"from the variable", b"from systemd"]


BAD = {
    "nothing anywhere": (Source("any"), {}, "of line shop cannot be had: write passphrase ="),
    "a variable that is not set": (Source("env", "OURS"), {}, "the variable OURS is not set"),
    "no credential": (Source("credential", "ours"), {}, "there is no credential ours: give the unit LoadCredential="),
    "no file": (Source("file", "/nowhere/at/all"), {}, "cannot be read from /nowhere/at/all"),
    "an empty one": (Source("env", "OURS"), {"OURS": ""}, "has 0 bytes: use 1 to 1000"),
    "a long one": (Source("env", "OURS"), {"OURS": "x" * 1_001}, "has 1001 bytes"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_had_is_told_with_where_it_was_looked_for(case: str) -> None:
    source, environment, expected = BAD[case]
    passphrases = Passphrases({"shop": source}, None, environment, lambda _: "typed", None)
    with pytest.raises(NoPassphrase) as caught:
        passphrases.of("shop")
    assert expected in str(caught.value)


def test_a_file_that_others_may_read_is_refused_without_quoting_it(tmp_path: Path) -> None:
    file = private(tmp_path / "shop.pass", "tell nobody\n")
    file.chmod(0o640)
    passphrases = Passphrases({"shop": Source("file", str(file))}, None, {}, lambda _: "typed", None)
    with pytest.raises(NoPassphrase, match="is open to others: chmod 600") as caught:
        passphrases.of("shop")
    assert "nobody" not in str(caught.value)


def test_no_passphrase_shows_when_its_holder_is_printed() -> None:
    passphrases = Passphrases({"shop": Source("env", "OURS")}, None, {"OURS": "tell nobody"}, lambda _: "", None)
    passphrases.of("shop")
    assert "nobody" not in repr(passphrases)


def read(folder: Path, text: str) -> settings.LineSettings:
    file = folder / "certline-follower.toml"
    file.write_text(f'[[line]]\nname = "shop"\n{text}\n')
    return settings.load(file).lines[0]


def test_settings_name_the_place_and_paths_count_from_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, 'passphrase = {file = "shop.pass"}').passphrase == Source("file", f"{tmp_path}/shop.pass")
    assert read(tmp_path, 'passphrase = {env = "OURS"}').passphrase == Source("env", "OURS")
    assert read(tmp_path, 'passphrase = {credential = "ours"}').passphrase == Source("credential", "ours")
    assert read(tmp_path, "passphrase = true").passphrase == Source("any")
    assert read(tmp_path, "passphrase = false").passphrase is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('passphrase = "tell nobody"', "passphrase: must not stand in this file: write passphrase = {file ="),
        ("passphrase = {}", "needs one place to come from"),
        ('passphrase = {file = "a", env = "B"}', "needs one place to come from"),
        ('passphrase = {text = "tell nobody"}', "unknown key; known here: file, env, credential"),
        ('passphrase = {env = "A B"}', "'A B' is no name"),
        (
            'key_file = "shop.key"\nkey_types = ["rsa-2048", "ecdsa-p256"]',
            "key_file: is one key: make a line of its own",
        ),
    ],
)
def test_a_passphrase_in_clear_is_refused_with_the_alternatives(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    assert expected in str(caught.value)
    assert "nobody" not in str(caught.value)
