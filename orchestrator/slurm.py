"""A batch script for Slurm: Ray on every node of the job, the sweep on the first, and on again after the time limit."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parent.parent

NOTICE_S = 120
"""Before the time limit the sweep is asked to end, and the job goes back into the queue; Slurm looks at limits
every minute or so, and the sweep itself leaves within ten seconds."""


@dataclass(frozen=True, slots=True)
class Job:
    """What Slurm is asked for, each node alike.

    Attributes
    ----------
    name
        Of the job; the run folder is called after it and the job's number.
    time
        As Slurm takes it: minutes, HH:MM:SS or D-HH:MM:SS.
    more
        Further options of sbatch, as `partition=gpu`.
    """

    name: str
    nodes: int
    cpus: int
    gpus: int
    time: str
    more: tuple[str, ...] = ()


def time_problem(text: str) -> str | None:
    """Say what is wrong with a time limit, or None."""
    if re.fullmatch(r"\d+|(\d+-)?\d{1,2}:\d{2}(:\d{2})?|\d+-\d{1,2}", text):
        return None
    return f"--time {text}: not a time limit; write minutes, HH:MM:SS or D-HH:MM:SS"


def batch_script(job: Job, python: str, sweep: Sequence[str]) -> str:
    """Return the script; `sweep` are the arguments of a new sweep, `python` runs it on every node."""
    options = [
        f"job-name={job.name}",
        f"nodes={job.nodes}",
        "ntasks-per-node=1",
        f"cpus-per-task={job.cpus}",
        *([f"gpus-per-task={job.gpus}"] if job.gpus else []),
        f"time={job.time}",
        f"signal=B:USR1@{NOTICE_S}",
        "requeue",
        "open-mode=append",
        "output=%x-%j.log",
        *job.more,
    ]
    return _SCRIPT.substitute(
        options="\n".join(f"#SBATCH --{option}" for option in options),
        folder=shlex.quote(str(ROOT)),
        name=shlex.quote(job.name),
        bin=shlex.quote(str(Path(python).parent)),
        sweep=shlex.join(sweep),
        gpus=f" --num-gpus={job.gpus}",
    )


_SCRIPT = Template("""\
#!/usr/bin/env bash
# Submit with sbatch. RUN=FOLDER sbatch ... goes on in a run folder of an earlier job.
# The run folder must lie where the first node of every start can write it; workers need no shared disk for it.
$options
set -euo pipefail
cd $folder
export PATH=$bin:$$PATH

run=$${RUN:-runs/$name-$$SLURM_JOB_ID}
if [ -e "$$run/spec.yaml" ]; then
  sweep=(--resume "$$run")
else
  sweep=($sweep --output "$$run")
fi

# Nodes of the job talk to each other alone: each needs the token, which lies in the home folder.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$${RAY_AUTH_TOKEN_PATH:-$$HOME/.ray/auth_token}
if [ ! -e "$$RAY_AUTH_TOKEN_PATH" ]; then
  mkdir -p "$$(dirname "$$RAY_AUTH_TOKEN_PATH")"
  (umask 077 && python -c 'import secrets; print(secrets.token_hex(32))' > "$$RAY_AUTH_TOKEN_PATH")
fi
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300
head=$$(scontrol show hostnames "$$SLURM_JOB_NODELIST" | head -n 1)
address=$$head:$$((20000 + SLURM_JOB_ID % 10000))  # two jobs on one node must not meet

# One task a node: Ray starts on all of them, the sweep on the first. A task that is asked to end waits for the sweep.
task='trap "while pgrep -g 0 -f \\"^[^ ]*python[^ ]* -m orchestrator.sweep\\" > /dev/null; do sleep 0.2; done" TERM
  ray symmetric-run "$$@" & wait $$!'
srun bash -c "$$task" task --address "$$address" --min-nodes "$$SLURM_JOB_NUM_NODES" \\
  --num-cpus="$$SLURM_CPUS_PER_TASK"$gpus --disable-usage-stats \\
  -- python -m orchestrator.sweep "$${sweep[@]}" --address "$$address" &
step=$$!

# Before the time limit: rows are kept, and the job waits for its next turn.
limit=
trap 'limit=near; kill -TERM "$$step"' USR1
code=0
wait "$$step" || code=$$?
if [ -n "$$limit" ]; then
  wait "$$step" || true
  scontrol requeue "$$SLURM_JOB_ID"
  exit 0
fi
if [ "$$code" -eq 0 ] && [ ! -e "$$run/rows.jsonl" ]; then
  echo "the sweep did not start: see above" >&2
  exit 1
fi
exit "$$code"
""")
