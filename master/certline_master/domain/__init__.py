"""What certline decides: plain data and pure functions. No I/O, no clock, no dice, no library."""
