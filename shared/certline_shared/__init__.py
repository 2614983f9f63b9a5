"""What master and follower agree on: names, keys, messages, signatures. No network, no disk, no side."""

__version__ = "0.3.0"
