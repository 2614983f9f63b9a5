"""Real parts for the tests: each starts on loopback, waits until it answers, and is gone when its block ends."""
