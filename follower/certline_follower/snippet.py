"""`snippet`: the TLS part of a web server's configuration for one line's outputs."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from certline_follower import settings
from certline_follower.ending import NOTHING, REFUSED, USAGE, Failed, show
from certline_follower.output import Output
from certline_follower.settings import LineSettings
from certline_shared.key_types import KeyType

SERVERS = ("nginx", "apache")


class NoSnippet(Exception):
    """A line whose outputs the server cannot use; the text says what to add."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of one key type; one and the same where key and certificates are together."""

    certificates: Path
    key: Path


def snippet(server: str, line: LineSettings) -> list[str]:
    """Its lines, for inside a server's block. Raises NoSnippet."""
    pairs = [_pair(line, key_type) for key_type in line.key_types]
    params = next((_place(one) for one in line.outputs if one.order and set(one.order) <= {"dh", "ec"}), None)
    written = _nginx if server == "nginx" else _apache
    return list(written(line, pairs, params))


def command(options: argparse.Namespace, file: Path) -> int:
    """Print it. Raises Failed, SettingsError."""
    loaded = settings.load(file)
    found = next((line for line in loaded.lines if line.name == options.line), None)
    if found is None:
        known = ", ".join(line.name for line in loaded.lines) or "none"
        raise Failed(f"no line {options.line!r} in {loaded.file} (lines there: {known})", USAGE)
    try:
        text = snippet(options.server, found)
    except NoSnippet as why:
        raise Failed(str(why), REFUSED) from None
    show(options, {"server": options.server, "line": found.name, "snippet": text}, text)
    return NOTHING


def _pair(line: LineSettings, key_type: KeyType) -> Pair:
    shown = [one for one in line.outputs if one.key_type == key_type and not one.stage and one.kind[:6] != "pkcs12"]
    certificates = [one for one in shown if one.order[:2] == ("certificate", "chain")]
    keys = [one for one in shown if one.order == ("key",)]
    together = [one for one in shown if "key" in one.order and "certificate" in one.order]
    if certificates and keys:
        return Pair(_place(certificates[0]), _place(keys[0]))
    if together:
        return Pair(_place(together[0]), _place(together[0]))
    missing = "an output of kind fullchain" if keys else "outputs of kinds fullchain and key"
    raise NoSnippet(f"line {line.name!r} has no {key_type} files that a web server can use: add {missing} to it")


def _place(output: Output) -> Path:
    """Where it always is."""
    if output.is_passing and output.link is None:
        raise NoSnippet(f"{output.path} changes with each version: write link = a path beside it that stays")
    return output.link if output.is_passing and output.link is not None else output.path


def _nginx(line: LineSettings, pairs: list[Pair], params: Path | None) -> Iterator[str]:
    yield f"# certline: line {line.name}; inside a server block that listens with ssl"
    for pair in pairs:
        yield f"ssl_certificate {_quoted(pair.certificates)};"
        yield f"ssl_certificate_key {_quoted(pair.key)};"
    if params is not None:
        yield f"ssl_dhparam {_quoted(params)};"
    if line.passphrase is not None:
        source = line.passphrase
        place = _quoted(Path(source.value)) if source.kind == "file" else "PATH"
        yield f"{'' if source.kind == 'file' else '# '}ssl_password_file {place};"
    yield "ssl_protocols TLSv1.2 TLSv1.3;"


def _apache(line: LineSettings, pairs: list[Pair], params: Path | None) -> Iterator[str]:
    yield f"# certline: line {line.name}; inside a <VirtualHost>, with mod_ssl"
    yield "SSLEngine on"
    for pair in pairs:
        yield f"SSLCertificateFile {_quoted(pair.certificates)}"
        yield f"SSLCertificateKeyFile {_quoted(pair.key)}"
    if params is not None:
        yield f"SSLOpenSSLConfCmd DHParameters {_quoted(params)}"
    if line.passphrase is not None:
        yield "# The key is encrypted: SSLPassPhraseDialog exec:PROGRAM, outside of every <VirtualHost>"
    yield "SSLProtocol -all +TLSv1.2 +TLSv1.3"


def _quoted(path: Path) -> str:
    """Both servers read this in quotes."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
