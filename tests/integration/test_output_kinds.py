"""Each kind of file that services read, read back by OpenSSL; and what changes only beside a certificate."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from certline_follower import parameters
from certline_follower.faults import InstallFault
from certline_follower.parameters import CURVES, GROUPS, Curve, Group
from certline_shared import keys
from tests.integration.files_bed import FilesHost, intermediate, key, root, version_of, with_keys
from tests.testbed.parts import require
from tests.unit.shared.makers import Authority

ALL = """\
[[line]]
name = "shop"
dh = "ffdhe2048"
ec = "prime256v1"
root_file = "root.pem"
"""
KINDS = (
    "key", "cert", "chain", "fullchain", "combined", "fullchain-root", "key-fullchain", "next-key", "previous-key",
    "params",
)  # fmt: skip
CONTAINERS = ("pkcs12", "pkcs12-legacy")


def output(kind: str, more: str = "") -> str:
    return f'[[line.output]]\nkind = "{kind}"\npath = "{kind}.out"\n{more}'


@pytest.fixture
def host(tmp_path: Path) -> FilesHost:
    (tmp_path / "root.pem").write_text(root().pem)
    (tmp_path / "password").write_text("s3cret\n")
    (tmp_path / "password").chmod(0o600)
    return FilesHost(tmp_path, ALL + "".join(map(output, KINDS)))


def openssl(*arguments: str | Path, data: bytes | None = None) -> str:
    require("openssl")
    done = subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_of_rfc_7919_is_known_by_its_name(group: Group) -> None:
    """2.1 line 31: parameters; a safe prime, by OpenSSL's own check."""
    told = openssl("dhparam", "-check", "-text", "-noout", data=parameters.dh(group))
    assert f"GROUP: {group}" in told
    assert "DH parameters appear to be ok" in told


@pytest.mark.parametrize("curve", CURVES)
def test_a_curve_is_known_by_its_name(curve: Curve) -> None:
    assert f"ASN1 OID: {curve}" in openssl("ecparam", "-text", "-noout", "-check", data=parameters.ec(curve))


def test_every_kind_holds_its_blocks_in_their_order(host: FilesHost) -> None:
    host.install(with_keys(version_of("shop", 1), upcoming="next", former="previous"))
    assert {kind: host.labels(f"{kind}.out") for kind in KINDS} == {
        "key": ["key"],
        "cert": ["certificate"],
        "chain": ["intermediate"],
        "fullchain": ["certificate", "intermediate"],
        "combined": ["key", "certificate", "intermediate"],
        "fullchain-root": ["certificate", "intermediate", "root"],
        "key-fullchain": ["key", "certificate", "intermediate"],
        "next-key": ["key"],
        "previous-key": ["key"],
        "params": ["dh", "ec"],
    }


def test_every_kind_is_read_by_openssl_as_what_it_is(host: FilesHost) -> None:
    host.install(with_keys(version_of("shop", 1), upcoming="next", former="previous"))
    served = openssl("x509", "-in", host.folder / "cert.out", "-noout", "-pubkey")
    for kind in ("key", "combined", "key-fullchain"):
        assert openssl("pkey", "-in", host.folder / f"{kind}.out", "-pubout") == served
    for kind, name in (("next-key", "next"), ("previous-key", "previous")):
        found = keys.from_pem(host.read(f"{kind}.out"))
        assert keys.spki_sha256(found) == keys.spki_sha256(key(name))
        openssl("pkey", "-in", host.folder / f"{kind}.out", "-noout")
    for kind in ("fullchain", "combined", "fullchain-root"):
        assert openssl("x509", "-in", host.folder / f"{kind}.out", "-noout", "-pubkey") == served
    chain, anchor = host.folder / "chain.out", host.folder / "root.pem"
    at = ("-no_check_time", "-CAfile", anchor, "-untrusted", chain)
    assert openssl("verify", *at, host.folder / "cert.out").strip().endswith("OK")
    openssl("dhparam", "-in", host.folder / "params.out", "-noout")


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_container_opens_with_its_password_and_holds_key_certificate_and_chain(host: FilesHost, kind: str) -> None:
    host.text = ALL + output(kind, 'password_file = "password"\n')
    host.install(version_of("shop", 1))
    path = host.folder / f"{kind}.out"
    opened = ("pkcs12", "-in", path, "-passin", "pass:s3cret", "-nodes")
    assert "BEGIN PRIVATE KEY" in openssl(*opened, "-nocerts")
    assert openssl(*opened, "-nokeys").count("BEGIN CERTIFICATE") == 2
    told = openssl("pkcs12", "-in", path, "-passin", "pass:s3cret", "-info", "-noout")
    assert ("AES-256-CBC" in told, "3-KeyTripleDES" in told) == (kind == "pkcs12", kind != "pkcs12")
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_key_and_certificates(path.read_bytes(), b"another")


def test_a_container_is_not_made_anew_while_nothing_in_it_changes(host: FilesHost) -> None:
    """Its salt would be another one each time, and services would be reloaded for nothing."""
    host.text = ALL + output("pkcs12", 'password_file = "password"\n')
    host.install(version_of("shop", 1))
    before = host.read("pkcs12.out")
    assert not host.install(version_of("shop", 1))
    (host.folder / "pkcs12.out").unlink()
    host.install(version_of("shop", 1))
    assert host.read("pkcs12.out") == before
    (host.folder / "password").write_text("another")
    assert host.install(version_of("shop", 1))
    pkcs12.load_key_and_certificates(host.read("pkcs12.out"), b"another")


def test_an_encrypted_key_is_encrypted_in_each_file_that_holds_it(host: FilesHost) -> None:
    material = version_of("shop", 1)
    pem = keys.to_pem(keys.from_pem(material.key_pem), b"passphrase")
    host.text = ALL + "".join(map(output, ("key", "key-fullchain"))) + output("pkcs12", 'password_file = "password"\n')
    host.install(replace(material, key_pem=pem, passphrase=b"passphrase"))
    for kind in ("key", "key-fullchain"):
        text = host.read(f"{kind}.out")
        assert b"BEGIN ENCRYPTED PRIVATE KEY" in text
        assert b"BEGIN PRIVATE KEY" not in text
    assert pkcs12.load_key_and_certificates(host.read("pkcs12.out"), b"s3cret")[0] is not None


def test_without_a_root_only_the_file_with_the_root_is_left_out(host: FilesHost) -> None:
    (host.folder / "root.pem").unlink()
    generation = host.render([version_of("shop", 1)])
    assert [text.partition(": ")[2].removeprefix(str(host.folder)) for text in generation.left_out] == [
        "/fullchain-root.out is left out: there is no root_file for it"
    ]
    host.install(version_of("shop", 1))
    assert not (host.folder / "fullchain-root.out").exists()
    assert host.labels("fullchain.out") == ["certificate", "intermediate"]
    assert not (host.folder / "next-key.out").exists()


def test_a_root_that_did_not_make_the_chain_is_told_and_written_nowhere(host: FilesHost) -> None:
    """2.3 line 16: a clear error and no partial file."""
    (host.folder / "root.pem").write_text(Authority.make("another", host.clock.now()).pem)
    generation = host.render([version_of("shop", 1)])
    assert "root.pem is not the root of its chain: correct root_file" in generation.left_out[0]
    host.install(version_of("shop", 1))
    assert not (host.folder / "fullchain-root.out").exists()


def test_a_chain_with_a_wrong_issuer_installs_nothing_at_all(host: FilesHost) -> None:
    """2.3 line 16."""
    material = version_of("shop", 1)
    strange = material.chain_pem.replace(intermediate().pem, Authority.make("another", host.clock.now()).pem)
    with pytest.raises(InstallFault, match="is not signed by certificate 2"):
        host.install(replace(material, chain_pem=strange))
    assert not list(host.folder.glob("*.out"))


def test_a_changed_side_file_makes_a_new_generation_and_an_unchanged_one_writes_nothing(host: FilesHost) -> None:
    material = with_keys(version_of("shop", 1), upcoming="next")
    assert host.install(material)
    assert not host.install(material)
    for change in (with_keys(material, upcoming="another"), with_keys(material, upcoming="another", former="next")):
        assert host.install(change)
        assert not host.install(change)
    host.text = host.text.replace("ffdhe2048", "ffdhe3072")
    assert host.install(change)
    assert "GROUP: ffdhe3072" in openssl("dhparam", "-in", host.folder / "params.out", "-text", "-noout")
    assert host.installer.numbers() == [1, 2, 3, 4]


def test_the_file_of_a_key_that_is_no_more_goes(host: FilesHost) -> None:
    """2.1 line 32, on the host: a previous key that is forgotten leaves no file."""
    host.install(with_keys(version_of("shop", 1), upcoming="next", former="previous"))
    host.install(with_keys(version_of("shop", 1), upcoming="next"))
    assert not (host.folder / "previous-key.out").exists()
    assert (host.folder / "next-key.out").exists()
    former = host.installer.previous()
    assert former is not None
    host.installer.rollback_to(former.number)
    assert keys.spki_sha256(keys.from_pem(host.read("previous-key.out"))) == keys.spki_sha256(key("previous"))
