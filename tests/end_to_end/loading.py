"""A service's reload, as a program: `loading.py CHAIN LOADED LIKED` takes CHAIN in; with LIKED, nothing else."""

import shutil
import sys
from pathlib import Path

if __name__ == "__main__":
    chain, loaded, liked = (Path(word) for word in sys.argv[1:])
    if liked.exists() and liked.read_bytes() != chain.read_bytes():
        sys.exit("this service does not like its new certificate")
    shutil.copyfile(chain, loaded)
