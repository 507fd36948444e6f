"""What the engine costs a trial, beside Ray Tune as its documentation teaches it: `make bench`.

Not a test: it prints seconds a trial after the first one, from one run on the machine it is on.
    ours          200 empty trials through the engine: rows, score files, searcher, everything but a detector's work
    tracked       the same with Weights & Biases on, offline; the last line says what that delays a trial
    reuse         200 empty trials of a class trainable with reuse_actors=True, nothing stored
    documented    20 trials of a function trainable with OptunaSearch and Ray Tune's defaults
"""

import argparse
import contextlib
import io
import itertools
import logging
import os
import tempfile
import time
from pathlib import Path

OURS, REUSE, DOCUMENTED = 200, 200, 20


class Times:
    """An observer that notes when rows arrive."""

    def __init__(self) -> None:
        self.rows: list[float] = []

    def on_row(self, *arguments: object) -> None:
        self.rows.append(time.perf_counter())

    def __getattr__(self, name: str):
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *arguments: None


def ours(folder: Path, trials: int, *, tracked: bool = False) -> list[float]:
    """Times at which rows were on disk."""
    from orchestrator.callbacks.wandb import wandb_observer
    from orchestrator.engine import run
    from orchestrator.options import RunOptions
    from tests.fakes.sweeps import FAKES, plan_of

    draws = f"few_shot.report_seeds={{first: 100, count: {trials}}}"
    plan, series = plan_of(folder, f'\n  empty: {{class: "{FAKES}:InstantNone"}}\n', [draws])
    times = Times()
    tracker = wandb_observer(plan.spec.tracking.wandb.model_copy(update={"mode": "offline"}), folder / "run")
    observers = [times, tracker] if tracked else [times]
    run(plan, series, folder / "run", RunOptions(quiet=True), observers=observers, with_report=False)
    assert len(times.rows) == trials
    return times.rows


def tracked(folder: Path, trials: int) -> list[float]:
    """Times at which rows were on disk, Weights & Biases watching."""
    return ours(folder, trials, tracked=True)


def reuse(folder: Path, trials: int) -> list[float]:
    """Times at which bare Ray Tune, actors reused, completed its trials."""
    from ray import tune

    class Empty(tune.Trainable):
        def step(self) -> dict[str, object]:
            return {"score": 1.0, "done": True}

        def reset_config(self, new_config: dict[str, object]) -> bool:
            return True

    return tuned(
        Empty,
        tune.TuneConfig(num_samples=trials, reuse_actors=True, metric="score", mode="max"),
        folder,
        checkpoint_at_end=False,
    )


def documented(folder: Path, trials: int) -> list[float]:
    """Times at which Ray Tune as documented completed its trials."""
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    def empty(config: dict[str, float]) -> None:
        tune.report({"score": config["x"]})

    return tuned(
        empty,
        tune.TuneConfig(num_samples=trials, search_alg=OptunaSearch(), metric="score", mode="max"),
        folder,
        space={"x": tune.uniform(0.0, 1.0)},
    )


def tuned(trainable, config, folder: Path, *, space=None, **checkpoints: bool) -> list[float]:
    from ray import tune

    done: list[float] = []

    class Done(tune.Callback):
        def on_trial_complete(self, iteration, trials, trial, **info) -> None:
            done.append(time.perf_counter())

    tuner = tune.Tuner(
        trainable,
        param_space=space or {},
        tune_config=config,
        run_config=tune.RunConfig(
            storage_path=str(folder),
            callbacks=[Done()],
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(**checkpoints),
        ),
    )
    tuner.fit()
    return done


def measured(name: str, function, trials: int) -> tuple[str, float]:
    """The line of the table, and the seconds a trial."""
    from ray import init, shutdown

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        if function not in {ours, tracked}:
            init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        try:
            times = function(Path(folder), trials)
        finally:
            shutdown()
    gaps = [after - before for before, after in itertools.pairwise(times)]
    hundred = gaps[-100:]
    last = f"{sum(hundred) / len(hundred):.4f}" if len(gaps) >= 120 else "-"
    mean = sum(gaps) / len(gaps)
    return f"{name:12} {trials:6} {times[0] - started:10.1f} {mean:14.4f} {last:>15}", mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=OURS, help="of ours and of reuse (default: 200)")
    trials = parser.parse_args().trials
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    print(f"{'what':12} {'trials':>6} {'first, s':>10} {'s a trial':>14} {'last 100, s':>15}")
    seconds: dict[str, float] = {}
    for name, function, count in (
        ("ours", ours, trials),
        ("tracked", tracked, trials),
        ("reuse", reuse, trials),
        ("documented", documented, min(DOCUMENTED, trials)),
    ):
        line, seconds[name] = measured(name, function, count)
        print(line, flush=True)
    delay = seconds["tracked"] - seconds["ours"]
    print(
        f"tracking delays a trial by {1000 * delay:.0f} ms ({seconds['tracked'] / seconds['ours']:.2f} times untracked)"
    )


if __name__ == "__main__":
    main()
