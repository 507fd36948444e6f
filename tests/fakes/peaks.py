"""Peak anonymous memory of conversions: `python -m tests.fakes.peaks ARGUMENTS ...`, each as a JSON list.

Each conversion runs in a fork, so that all begin with the same memory; pieces are small, so that small sources have
many. Prints one JSON list of bytes. Pages of mapped files, which the system takes back when it needs them, do not
count.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

from trainables.data import big_tables, canonical
from trainables.data.__main__ import app
from trainables.data.readers import csv_text, long_csv, openmetrics, sample_store, table

SMALL = {
    (big_tables, "LARGE"): 2**19,
    (big_tables, "BLOCK_BYTES"): 2**19,
    (canonical, "ROW_GROUP"): 2_000,
    (csv_text, "_CHUNK_ROWS"): 2_000,
    (table, "BATCH_ROWS"): 2_000,
    (table, "BATCH_VALUES"): 50_000,
    (long_csv, "PIECE_ROWS"): 5_000,
    (openmetrics, "PIECE_SAMPLES"): 5_000,
    (sample_store, "_PIECE"): 5_000,
}


def peak_of(arguments: list[str]) -> int:
    """Return the most anonymous memory, in bytes, that a conversion held."""
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)  # what it prints is not our answer
        app(["convert", *arguments])
    peak = 0
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        found = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{child}/status").read_text(encoding="ascii"))
        peak = max(peak, int(found[1]) * 1024 if found else 0)
        time.sleep(0.002)
    return peak


if __name__ == "__main__":
    for (module, name), size in SMALL.items():
        assert hasattr(module, name), name
        setattr(module, name, size)
    print(json.dumps([peak_of(json.loads(arguments)) for arguments in sys.argv[1:]]))
