"""What the C library keeps of memory: thousands of connections shall hold no more than they use."""

import ctypes
from contextlib import suppress

_MMAP_THRESHOLD = -3  # a parameter of mallopt(3)
LARGE_BYTES = 131_072


def give_back_large() -> None:
    """Pieces of this size on are mapped one by one, as glibc does until the first of them is freed.

    uvloop holds a buffer of 256 KiB for each TLS connection, of which a request touches a few pages; from the heap
    it would be memory that was touched before, and some of it stays when the connection ends. Other libraries than
    glibc are left as they are.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
