"""The tests; a package, so that the test bed can also be run by hand: ``python -m tests.testbed.pebble``."""
