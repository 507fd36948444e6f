"""A Slurm of one node: sbatch, srun and scontrol that do on this machine what the real ones would do.

`sbatch SCRIPT ROWS FILE` runs a script, sends the signal that the script asks for to it alone once FILE has so many
lines (the time limit of the first turn), and runs it again if it was requeued. Written into a folder for PATH.
"""

from pathlib import Path

SBATCH = r"""#!/usr/bin/env bash
set -u
script=$1 rows=$2 file=$3
export SLURM_JOB_ID=4711 SLURM_JOB_NODELIST=fake-[1] SLURM_JOB_NUM_NODES=1 SLURM_CPUS_PER_TASK=2
here=$(dirname "$0")
notice=$(sed -n 's/^#SBATCH --signal=B:\([A-Z0-9]*\)@[0-9]*$/\1/p' "$script")
turn=1
while :; do
  rm -f "$here/requeued"
  bash "$script" & job=$!
  if [ "$turn" -eq 1 ]; then
    until [ -e "$file" ] && [ "$(wc -l < "$file")" -ge "$rows" ]; do
      kill -0 "$job" 2> /dev/null || break
      sleep 0.1
    done
    echo "fake slurm: time limit near" >&2
    kill -s "$notice" "$job"
  fi
  wait "$job"; code=$?
  [ -e "$here/requeued" ] || break
  echo "fake slurm: requeued after turn $turn" >&2
  turn=$((turn + 1))
done
echo "fake slurm: $turn turns, exit code $code" >&2
exit "$code"
"""

SRUN = r"""#!/usr/bin/env python3
import os, signal, sys
# One task in a process group of its own; signals to srun go to the whole group. What is left of it then ends.
task = os.fork()
if task == 0:
    os.setpgid(0, 0)
    os.execvp(sys.argv[1], sys.argv[1:])
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda arrived, _frame: os.killpg(task, arrived))
_, status = os.waitpid(task, 0)
try:
    os.killpg(task, signal.SIGKILL)
except ProcessLookupError:
    pass
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"""

SCONTROL = r"""#!/usr/bin/env bash
case "$1" in
  show) hostname -I | cut -d " " -f 1 ;;
  requeue) touch "$(dirname "$0")/requeued" ;;
esac
"""


def install(folder: Path) -> None:
    """Write the three commands."""
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("scontrol", SCONTROL)):
        path = folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
