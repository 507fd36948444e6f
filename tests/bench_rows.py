"""Cost against rows: `python -m tests.bench_rows` (`--large` adds 1 and 3 million rows and 1,000 columns).

Not a test: it prints seconds and MiB, each line from processes of its own on the machine it is on.
    convert    `convert simulated --to table.parquet`
    read       the table into a series
    prepare    split, scaling and windows of one fold: once a process and fold; the largest processes share the result
    draw       a Random Forest on 100 windows: support set, fit, threshold, scores, metrics
    memory     largest anonymous memory of a process, in MiB and as a share of the float32 table; pages of mapped files,
               which the system takes back when it needs them, are not counted
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SIZES = [(10_000, 88), (30_000, 88), (100_000, 88), (300_000, 88)]
LARGE = [(1_000_000, 88), (3_000_000, 88), (100_000, 1_000)]
DRAWS = 3


class Peak(threading.Thread):
    """Largest anonymous memory of this process while it runs, in MiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.mebibytes = 0.0
        self.start()

    def run(self) -> None:
        while True:
            text = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
            found = {
                name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in text.splitlines()[1:])
            }
            self.mebibytes = max(self.mebibytes, (found["Pss_Anon"] + found["Pss_Shmem"]) / 1024)
            time.sleep(0.02)


def convert(table: Path, rows: int, columns: int) -> dict[str, float]:
    """Write a table; one of another width than the simulator's is noise with shifts of level as faults."""
    from trainables.data.canonical import write_canonical
    from trainables.data.readers import READERS
    from trainables.settings import DataSettings

    peak, started = Peak(), time.perf_counter()
    if columns == 88:
        write_canonical(READERS["simulated"], DataSettings(rows=rows), table)
    else:
        _write_noise(table, rows, columns)
    return {"convert": time.perf_counter() - started, "convert_mib": peak.mebibytes}


def _write_noise(table: Path, rows: int, columns: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    label = (np.arange(rows) % 2_500 < 120).astype(np.int8)
    stamps = np.datetime64("2026-01-01", "ns") + np.arange(rows) * np.timedelta64(10, "s")
    values = {f"m{n}": rng.normal(size=rows).astype(np.float32) + 3 * label * (n % 97 == 0) for n in range(columns)}
    pq.write_table(pa.table({"timestamp": stamps, **values, "label": label}), table, row_group_size=20_000)


def trial(table: Path) -> dict[str, float]:
    """Read, prepare and run draws as a worker does."""
    from trainables.data import load_source, prepare
    from trainables.evaluate import run_trial
    from trainables.protocol import TrialResources
    from trainables.settings import DataSettings, FewShotSettings, SplitSettings, ThresholdSettings
    from trainables.trial import EvaluationSettings, TrialRequest

    peak, times = Peak(), [time.perf_counter()]
    data = DataSettings(source="table", path=table)
    series = load_source(data)
    times.append(time.perf_counter())
    settings = EvaluationSettings(data, SplitSettings(), FewShotSettings(), ThresholdSettings())
    prepare(series, settings, 0)
    times.append(time.perf_counter())
    first = TrialRequest("random_forest", 0, 100, "report", 99, 1)  # prepares again, within run_trial's own cache
    run_trial(first, settings, series, TrialResources())
    drawn = time.perf_counter()
    for draw in range(DRAWS):
        outcome = run_trial(
            TrialRequest("random_forest", 0, 100, "report", draw, 1), settings, series, TrialResources()
        )
        assert outcome.status == "ok", outcome.reason
    draw_s = (time.perf_counter() - drawn) / DRAWS
    return {"read": times[1] - times[0], "prepare": times[2] - times[1], "draw": draw_s, "memory_mib": peak.mebibytes}


def _in_its_own_process(*arguments: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench_rows", *arguments], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--convert", nargs=3)
    parser.add_argument("--trial", type=Path)
    options = parser.parse_args()
    if options.convert:
        path, rows, columns = options.convert
        print(json.dumps(convert(Path(path), int(rows), int(columns))))
        return
    if options.trial:
        print(json.dumps(trial(options.trial)))
        return
    print("rows x columns | float32, MiB | convert, s | MiB | read, s | prepare, s | draw, s | memory, MiB | of table")
    for rows, columns in SIZES + (LARGE if options.large else []):
        with tempfile.TemporaryDirectory(prefix="bench-rows-") as folder:
            table = str(Path(folder) / "table.parquet")
            found = _in_its_own_process("--convert", table, str(rows), str(columns))
            found |= _in_its_own_process("--trial", table)
        size = rows * columns * 4 / 2**20
        print(
            f"{rows:,} x {columns:,} | {size:,.0f} | {found['convert']:.1f} | {found['convert_mib']:,.0f} | "
            f"{found['read']:.1f} | {found['prepare']:.1f} | {found['draw']:.2f} | {found['memory_mib']:,.0f} | "
            f"{found['memory_mib'] / size:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
