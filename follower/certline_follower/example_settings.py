"""The example settings file that `config example` prints; a test loads it."""

EXAMPLE = """\
# Settings of certline-follower. Relative paths count from this file's folder.

# Where the follower keeps its identity, its keys and the generations it installed.
state_dir = "/var/lib/certline-follower"
# How many generations to keep; one of them can be gone back to.
keep = 5

[master]
# Learnt at enrolment; set it only to override that.
# url = "https://master.example.org:8443"
# For a master behind a proxy with a certificate of a private CA:
# ca_file = "proxy-ca.pem"
# Seconds between two looks where the master cannot hold a request open.
poll = 300
# How old this host's own keys may get, in days; left out, only `rotate-keys` changes them.
# rotate_keys_days = 90

# One table for each certificate line.
[[line]]
name = "shop"
# Only for a line that this host asks for itself; the master must have granted each name.
names = ["shop.example.org", "www.shop.example.org"]
# ecdsa-p256 (default), ecdsa-p384, ecdsa-p521, rsa-2048, rsa-3072 or rsa-4096; several for a certificate of each.
key_types = ["ecdsa-p256"]
# Reloaded once, after the last file is in place.
services = ["nginx"]

# The files of another system: acmebot, certbot, tiny, dehydrated, lematt or dated.
# preset = "certbot"

# The files that services read. kind: key, cert, chain (without the certificate), fullchain (with it), combined (key,
# then fullchain), fullchain-root, next-key, previous-key, params, pkcs12 or pkcs12-legacy; or parts in your order, as
# parts = ["certificate", "dh"]. as: "link" (all links switch in one rename) or "copy". In paths {name}, {suffix} (one
# file for each key type), {date} and others stand for what they say.
[[line.output]]
kind = "fullchain"
path = "/etc/nginx/tls/shop.pem"

[[line.output]]
kind = "key"
path = "/etc/nginx/tls/shop.key"
as = "link"
mode = "0600"
# Where the follower runs as root it can give files to others:
# owner = "root"
# group = "ssl-cert"

# What runs when files change, for lines without a section of their own; [hooks.NAME] with lines = [...] is for some.
# [hooks.default]
# certificate_installed = ["/usr/local/bin/note", "{line}", "{certificate_file}"]

# Commands are lists: the program, then its arguments. There is no shell. Some services need no table: nginx is one.
[services.nginx]
check = ["nginx", "-t"]
reload = ["systemctl", "reload", "nginx"]
# Seconds, for each command.
timeout = 60
# "rollback": when check, reload or probe fails, the former generation is put back; "warn": only reported.
on_failure = "rollback"
# Seconds that the right certificate may take to be served after a reload.
probe_seconds = 30
# When new versions may be installed for this service; before `[master]` for the whole host.
# windows = ["Sat 02:00-05:00 Europe/Berlin"]

# Where to look at what it serves: loopback or an address of this host. sni: the line's first name if left out.
# starttls: smtp, lmtp, imap, pop3, sieve, ftp, xmpp, ldap or postgres.
[[services.nginx.probe]]
connect = "127.0.0.1:443"
# sni = "www.shop.example.org"
"""
