"""`snippet`: what a web server needs for a line's files, as nginx and Apache themselves judge it."""

import subprocess
from pathlib import Path

import pytest

from certline_follower import cli
from tests.integration.follower.host_bed import Bed
from tests.testbed.parts import program, require
from tests.testbed.ports import free_port

NGINX = """\
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        include {snippet};
    }}
}}
"""
APACHE = """\
ServerRoot {folder}
ServerName localhost
PidFile {folder}/apache.pid
ErrorLog {folder}/error.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
    Include {snippet}
</VirtualHost>
"""
SHAPES = {
    "chain and key": ({"fullchain": "{key_type}.pem", "key": "{key_type}.key"}, ["ecdsa-p256"]),
    "both key types": ({"fullchain": "{key_type}.pem", "key": "{key_type}.key"}, ["rsa-2048", "ecdsa-p256"]),
    "all in one file": ({"combined": "all in one.pem"}, ["ecdsa-p256"]),
}


def installed(bed: Bed, shape: str) -> None:
    outputs, types = SHAPES[shape]
    listed = ", ".join(f'"{one}"' for one in types)
    tables = [f'[[line.output]]\nkind = "{kind}"\npath = "{bed.folder}/{name}"' for kind, name in outputs.items()]
    line = f'[[line]]\nname = "shop"\nnames = ["shop.example.org"]\nkey_types = [{listed}]\n'
    bed.configure(line + "\n".join(tables), services=())
    bed.settle()


def snippet(bed: Bed, server: str, capsys: pytest.CaptureFixture[str]) -> Path:
    capsys.readouterr()
    assert cli.main(["--config", str(bed.file), "snippet", server, "shop"]) == 0
    file = bed.folder / "snippet.conf"
    file.write_text(capsys.readouterr().out)
    return file


def judged(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shape", SHAPES)
def test_nginx_takes_it(bed: Bed, capsys: pytest.CaptureFixture[str], shape: str) -> None:
    require("nginx")
    installed(bed, shape)
    config = bed.folder / "nginx.conf"
    file = snippet(bed, "nginx", capsys)
    config.write_text(NGINX.format(folder=bed.folder, port=free_port(), snippet=file))
    judged([str(program("nginx")), "-t", "-c", str(config), "-p", str(bed.folder)])
    assert file.read_text().count("ssl_certificate ") == len(SHAPES[shape][1])


@pytest.mark.parametrize("shape", SHAPES)
def test_apache_takes_it(bed: Bed, capsys: pytest.CaptureFixture[str], shape: str) -> None:
    require("apache2")
    installed(bed, shape)
    config = bed.folder / "apache.conf"
    file = snippet(bed, "apache", capsys)
    config.write_text(APACHE.format(folder=bed.folder, port=free_port(), snippet=file))
    judged([str(program("apachectl")), "-t", "-f", str(config)])
    assert file.read_text().count("SSLCertificateFile ") == len(SHAPES[shape][1])


def test_a_line_without_such_files_says_what_to_add(bed: Bed, capsys: pytest.CaptureFixture[str]) -> None:
    bed.configure('[[line]]\nname = "shop"\nnames = ["shop.example.org"]', services=())
    assert cli.main(["--config", str(bed.file), "snippet", "nginx", "shop"]) == 3
    assert "add outputs of kinds fullchain and key" in capsys.readouterr().err
    assert cli.main(["--config", str(bed.file), "snippet", "nginx", "mail"]) == 2
    assert "no line 'mail'" in capsys.readouterr().err
