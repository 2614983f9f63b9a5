"""One host alone: `init --with-follower`, then `serve` is all it needs."""

from tests.end_to_end.assertions import assert_pair, same_serial, serial_of
from tests.end_to_end.harness import Bed, fleet
from tests.end_to_end.waiting import eventually
from tests.testbed.program import is_alive


def test_a_master_with_a_follower_of_its_own_keeps_its_machines_certificate(here: Bed) -> None:
    master = here.master(with_follower=True)
    combined = here.folder / "shop.pem"
    with (master.folder / "follower" / "certline-follower.toml").open("a") as file:
        file.write(f'\n[[line]]\nname = "shop"\n[[line.output]]\nkind = "combined"\npath = "{combined}"\n')
    master.start()

    lines = {"shop": {"follower": "local", "names": ["shop.example.test"]}}
    master.apply(fleet(here.ca, {}, lines=lines)).well()

    serial = master.issued("shop")
    both = eventually(lambda: combined.exists() and combined.read_bytes(), 10, "the certificate on this machine")
    assert both
    assert same_serial(serial_of(both), serial)
    assert_pair(both, both)


def test_the_follower_of_its_own_ends_with_its_master(here: Bed) -> None:
    master = here.master(with_follower=True)
    master.start()
    told = eventually(
        lambda: [one for one in master.log_records() if one["event"] == "the local follower runs"], 10, "it runs"
    )
    assert is_alive(told[0]["pid"])

    master.stop()

    eventually(lambda: not is_alive(told[0]["pid"]), 5, "the follower's end")
