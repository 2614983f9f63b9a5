"""What a probe asks for, and when it is content."""

import ssl
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from certline_follower.looking import Door, Family, NotSeen
from certline_follower.probing import Expected, Look, fingerprint, look_once, looks_of, watch, wrong
from certline_follower.service_settings import Service, Target
from certline_shared import keys
from certline_shared.key_types import KeyType
from tests.fakes.clock import FakeClock
from tests.unit.follower.makers import authority
from tests.unit.shared.makers import dns_names

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RSA, ECDSA = KeyType.RSA_2048, KeyType.ECDSA_P256


def leaf(name: str, key_type: KeyType = ECDSA) -> bytes:
    return _made(name, key_type)


@cache
def _made(name: str, key_type: KeyType) -> bytes:
    key = keys.generate(key_type)
    return ssl.PEM_cert_to_DER_cert(authority().issue(key, dns_names(name), NOW, NOW + timedelta(days=9)))


@dataclass
class FakeLooker:
    """Shows, at each port, one certificate after the other; the last one stays. None: nobody answers."""

    shown: dict[int, list[bytes | None]]
    kinds: dict[Family, bytes] = field(default_factory=dict)
    asked: list[tuple[int, str, Family | None]] = field(default_factory=list)

    def leaf(self, door: Door, family: Family | None, seconds: float) -> bytes:
        assert seconds > 0
        self.asked.append((door.port, door.sni, family))
        if family is not None:
            if family not in self.kinds:
                raise NotSeen("no handshake")
            return self.kinds[family]
        queue = self.shown[door.port]
        found = queue.pop(0) if len(queue) > 1 else queue[0]
        if found is None:
            raise NotSeen("refused")
        return found


def service(*targets: Target) -> Service:
    return Service("web", ("true",), None, 60, "rollback", targets)


def expected(line: str = "shop", *names: str, key_type: KeyType = ECDSA) -> Expected:
    known = names or (f"{line}.example.org",)
    return Expected(line, known, key_type, fingerprint(leaf(line, key_type)))


def looks(*lines: Expected, targets: tuple[Target, ...] = (Target("127.0.0.1", 443),)) -> tuple[Look, ...]:
    return looks_of(service(*targets), {line.line: [line] for line in lines}, [line.line for line in lines])


def test_a_line_is_asked_for_by_its_first_name_that_is_no_wildcard() -> None:
    (look,) = looks(expected("shop", "*.example.org", "example.org"))
    assert (look.door.sni, look.label) == ("example.org", "127.0.0.1:443 example.org")
    (look,) = looks(expected("shop", "*.example.org"))
    assert look.door.sni == "probe.example.org"
    (look,) = looks(expected(), targets=(Target("::1", 443, "www.example.org"),))
    assert (look.door.sni, look.label) == ("www.example.org", "[::1]:443 www.example.org")


def test_a_target_of_one_line_is_not_looked_at_for_another() -> None:
    both = looks(expected("mail"), expected("shop"), targets=(Target("::1", 25, line="mail"), Target("::1", 443)))
    assert {(look.expected.line, look.door.port) for look in both} == {("mail", 25), ("mail", 443), ("shop", 443)}


def test_a_probe_is_content_at_once_when_the_right_certificate_is_served() -> None:
    looker, clock = FakeLooker({443: [leaf("shop")]}), FakeClock()
    sights = watch(looker, clock, looks(expected()), 30)
    assert wrong(sights) is None
    assert (looker.asked, clock.pauses) == ([(443, "shop.example.org", None)], [])


def test_it_looks_again_with_growing_pauses_until_it_is_right() -> None:
    looker, clock = FakeLooker({443: [None, leaf("old"), leaf("old"), leaf("shop")]}), FakeClock()
    assert wrong(watch(looker, clock, looks(expected()), 30)) is None
    assert clock.pauses == [0.1, 0.2, 0.4]


def test_it_gives_up_at_its_deadline_and_says_what_it_saw() -> None:
    looker, clock = FakeLooker({443: [leaf("old")]}), FakeClock()
    began = clock.monotonic()
    sights = watch(looker, clock, looks(expected()), 30)
    assert clock.monotonic() - began == 30
    assert fingerprint(leaf("old"))[:16] in str(wrong(sights))
    assert "not that of line shop" in str(wrong(sights))


def test_what_was_right_once_is_not_looked_at_again() -> None:
    looker = FakeLooker({443: [leaf("shop")], 444: [None, leaf("shop")]})
    targets = (Target("127.0.0.1", 443), Target("127.0.0.1", 444))
    assert wrong(watch(looker, FakeClock(), looks(expected(), targets=targets), 30)) is None
    assert [port for port, _, _ in looker.asked] == [443, 444, 444]


def test_each_kind_of_key_at_one_door_is_asked_for_by_itself() -> None:
    ecdsa = expected("shop")
    rsa = replace(expected("shop", key_type=RSA), line="shop-rsa", names=ecdsa.names)
    looker = FakeLooker({443: [leaf("shop")]}, {"rsa": leaf("shop", RSA)})
    assert wrong(look_once(looker, looks(ecdsa, rsa))) is None
    assert [family for _, _, family in looker.asked] == [None, "rsa"]


def test_a_server_with_an_ecdsa_certificate_of_others_may_still_serve_our_rsa_one() -> None:
    looker = FakeLooker({443: [leaf("foreign")]}, {"rsa": leaf("shop", RSA)})
    assert wrong(look_once(looker, looks(expected("shop", key_type=RSA)))) is None


def test_the_same_kind_of_another_certificate_needs_no_second_look() -> None:
    looker = FakeLooker({443: [leaf("old")]})
    assert wrong(look_once(looker, looks(expected()))) is not None
    assert len(looker.asked) == 1
