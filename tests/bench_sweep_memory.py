"""Peak memory of a sweep with all its processes: `python -m tests.bench_sweep_memory TABLE [sweep arguments]`.

Not a test: it sweeps a table (moving_variance, isolation_forest, random_forest; with `--moment` MOMENT zero-shot) to
the report, samples `/proc/PID/smaps_rollup` of every process that inherited a mark in its environment four times a
second, and prints the largest sum of proportional shares in MiB: anonymous and shared memory, and with the pages of
files. `python -m tests.bench_rows --convert TABLE ROWS COLUMNS` writes a table to sweep.
    python -m tests.bench_rows --convert rows3m.parquet 3000000 88
    python -m tests.bench_sweep_memory rows3m.parquet --moment
    python -m tests.bench_sweep_memory wide.parquet --backend inline
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MARK = "SWEEP_MEMORY_OF"

SPEC = """\
name: memory
objective: {{metric: average_precision}}
data:
  source: table
  path: {table}
  window: 32
  support_stride: 16
  score_stride: 4
  max_score_windows: {{validation: 150, test: 300}}
few_shot:
  shots: [0, 100]
  selection_seeds: {{first: 0, count: 2}}
  report_seeds: {{first: 100, count: 3}}
search: {{candidates: 2, seed: 7}}
tracking: {{wandb: {{mode: disabled}}}}
detectors:
  moving_variance: {{}}
  isolation_forest: {{}}
  random_forest: {{}}
"""


def memory_of(mark: bytes) -> list[tuple[float, float, str]]:
    """Return anonymous with shared memory and pages of files, in MiB, and the name of each process with the mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            sizes = dict(re.findall(r"(Pss_\w+):\s+(\d+)", (folder / "smaps_rollup").read_text(encoding="ascii")))
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        anonymous, files = int(sizes["Pss_Anon"]) + int(sizes["Pss_Shmem"]), int(sizes["Pss_File"])
        name = " ".join(Path(word.decode()).name for word in words[:3])
        found.append((anonymous / 1024, files / 1024, name[:60]))
    return sorted(found, reverse=True)


def main() -> None:
    """Sweep and print."""
    table, arguments = Path(sys.argv[1]).resolve(), sys.argv[2:]
    moment = "--moment" in arguments
    with tempfile.TemporaryDirectory(prefix="sweep-memory-") as folder:
        spec = Path(folder) / "memory.yaml"
        spec.write_text(SPEC.format(table=table) + "  moment_zero_shot: {backbone: bundled}\n" * moment)
        command = [sys.executable, "-m", "orchestrator.sweep", str(spec), "--output", f"{folder}/run", "--quiet"]
        command += [word for word in arguments if word != "--moment"]
        started, at_peak, with_files = time.perf_counter(), [(0.0, 0.0, "")], 0.0
        sweep = subprocess.Popen(command, env={**os.environ, MARK: str(os.getpid())})
        while sweep.poll() is None:
            now = memory_of(f"{MARK}={os.getpid()}".encode())
            at_peak = max(at_peak, now, key=lambda processes: sum(one[0] for one in processes))
            with_files = max(with_files, sum(one[0] + one[1] for one in now))
            time.sleep(0.25)
    print(f"{time.perf_counter() - started:.0f} s, exit code {sweep.returncode}")
    print(f"{sum(one[0] for one in at_peak):,.0f} MiB anonymous and shared, {with_files:,.0f} MiB with pages of files")
    for anonymous, files, name in at_peak:
        print(f"  {anonymous:6,.0f} {files:6,.0f}  {name}")


if __name__ == "__main__":
    main()
