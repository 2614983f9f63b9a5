"""The documentation holds: links lead somewhere, settings and fleet files are accepted, commands exist as shown."""

import grp
import os
import pwd
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from click.testing import CliRunner

from certline_follower import cli
from certline_follower import settings as follower_settings
from certline_master import settings as master_settings
from certline_master.cli import fleet_file
from certline_master.cli.main import certline

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
OPERATORS_PAGES = [ROOT / "README.md", ROOT / "docs" / "README.md", *sorted(ROOT.glob("docs/guide/*.md"))]
TSIG_KEY = "c2VjcmV0LW9mLXRoZS10c2lnLWtleQ=="

KNOWN_HOSTS = {"acme-v02.api.letsencrypt.org", "acme-staging-v02.api.letsencrypt.org", "certbot.eff.org"}
KNOWN_HOSTS |= {"keepachangelog.com", "semver.org", "localhost"}
RESERVED = re.compile(r"(^|\.)(example|test|invalid)(\.(com|net|org))?$|^(127\.|192\.0\.2\.|198\.51\.100\.)")
"""Names and addresses for documentation (RFC 2606, RFC 5737), and loopback."""

MASTERS_SECTIONS = re.compile(
    r"^\[(api|store|secrets|http01|responder|dns|workers|alarms|logging|local_follower|commands\.\w+)\]", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """All fenced blocks of a page, without their indentation."""
    fence = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
    text = page.read_text()
    for found in fence.finditer(text):
        body = re.sub(rf"^{found[1]}", "", found[3], flags=re.MULTILINE)
        yield Block(page, text[: found.start()].count("\n") + 1, found[2], body)


def operators_blocks(language: str) -> list[Block]:
    return [block for page in OPERATORS_PAGES for block in blocks(page) if block.language == language]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^( *)```.*?^\1```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The fragments that headings can be reached by, as common renderers make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_within_the_documentation_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, fragment = target.partition("#")
        if urlsplit(target).scheme:
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target}: there is no such file"
        assert not fragment or fragment in anchors(there), f"{target}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_only_known_hosts_are_named_and_no_place_of_one_machine(page: Path) -> None:
    text = page.read_text()
    for url in re.findall(r"https?://[^\s)>\"'`|,;$\[\]}…]+", text):
        host = urlsplit(url).hostname or ""
        own = not re.search(r"\d|\.", host)  # NAME, name: stands for one
        assert host in KNOWN_HOSTS or own or RESERVED.search(host), f"{url}: is that host meant?"
    assert not re.search(r"(?<![\w.~])/(work|tmp|home)/", text)


def test_there_are_fleet_files_and_settings_of_both_sides_to_check() -> None:
    kinds = [is_masters(block) for block in operators_blocks("toml")]
    assert (True in kinds, False in kinds, len(operators_blocks("yaml")) > 3) == (True, True, True)


@pytest.mark.parametrize("block", operators_blocks("yaml"), ids=str)
def test_each_fleet_file_shown_is_accepted(block: Block, tmp_path: Path) -> None:
    for name in re.findall(r"secret: \"?file:([^\s\"}]+)", block.text):
        (tmp_path / name).write_text(TSIG_KEY)
    for name in re.findall(r"ca_file: (\S+)", block.text):
        trustme.CA().cert_pem.write_to_path(str(tmp_path / name))
    file = tmp_path / "fleet.yaml"
    file.write_text(block.text)
    assert fleet_file.read(file).desired


def is_masters(block: Block) -> bool:
    return MASTERS_SECTIONS.search(block.text) is not None


@pytest.mark.parametrize("block", operators_blocks("toml"), ids=str)
def test_each_settings_file_shown_is_accepted(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(with_accounts_of_here(block.text))
    if is_masters(block):
        assert master_settings.load(file).api.origins
    else:
        assert follower_settings.load(file).file == file


def with_accounts_of_here(text: str) -> str:
    """Which users and groups there are is the host's affair."""
    text = re.sub(r'^owner = ".*"', f'owner = "{pwd.getpwuid(os.getuid()).pw_name}"', text, flags=re.MULTILINE)
    return re.sub(r'^group = ".*"', f'group = "{grp.getgrgid(os.getgid()).gr_name}"', text, flags=re.MULTILINE)


def commands(page: Path) -> Iterator[list[str]]:
    """Each command of ours that a page shows: after a prompt in a console block, or as code in the prose."""
    for block in blocks(page):
        if block.language == "console":
            yield from filter(None, map(ours, re.findall(r"^[\w-]+# (.*)$", block.text, re.MULTILINE)))
    for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(page)):
        if re.match(r"certline(-follower)? \S", code) and "|" not in code:
            yield ours(code)


def ours(line: str) -> list[str]:
    """From our program's name to the end of its arguments; [] when it is another program's line."""
    words = shlex.split(re.split(r" [><|&…]", line)[0])
    if words[:1] == ["runuser"]:
        words = words[words.index("--") + 1 :]
    return words if words[:1] in (["certline"], ["certline-follower"]) else []


SHOWN = sorted({(str(page.relative_to(ROOT)), *words) for page in OPERATORS_PAGES for words in commands(page)})


def test_the_guides_show_commands_of_both_programs() -> None:
    assert {shown[1] for shown in SHOWN} == {"certline", "certline-follower"}


@pytest.mark.parametrize("shown", SHOWN, ids=" ".join)
def test_each_command_shown_exists_with_these_options(shown: tuple[str, ...]) -> None:
    program, *words = shown[1:]
    if program == "certline":
        answer = CliRunner().invoke(certline, [*words, "--help"])
        assert answer.exit_code == 0, answer.output
    else:
        assert callable(cli.parser().parse_args(words).run)


@pytest.mark.parametrize("page", OPERATORS_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_block_is_left_open_and_each_says_what_it_is(page: Path) -> None:
    fences = re.findall(r"^ *```(.*)$", page.read_text(), re.MULTILINE)
    assert len(fences) % 2 == 0
    assert all(closing == "" for closing in fences[1::2])


def test_the_tests_are_run_as_the_readme_says() -> None:
    assert "make test" in (ROOT / "README.md").read_text()
    assert "make test" in (ROOT / ".ci" / "run").read_text()
