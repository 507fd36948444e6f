"""Pretrain the bundled tiny MOMENT: `python -m trainables.pretrain`.

MOMENT's published recipe at a fiftieth of MOMENT-1-small's size, on one CPU: 30 % of the patches hidden, the error
on hidden steps alone, over generated series and real ones that PyPI packages ship.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
import typer

from trainables import backbones
from trainables._moment import load
from trainables.errors import TrainablesError, WeightsError
from trainables.pretraining import gate as gates
from trainables.pretraining.corpus import training_corpus
from trainables.pretraining.folder import GATE_FILE, gate_table, write_card, write_weights
from trainables.pretraining.loop import CHECKPOINT_FILE, Pretraining, Recipe, read_recipe

TINY: Mapping[str, object] = {
    "task_name": "reconstruction",
    "model_name": "MOMENT-tiny",
    "transformer_type": "encoder_only",
    "transformer_backbone": "google/flan-t5-small",
    "seq_len": 512,
    "patch_len": 8,
    "patch_stride_len": 8,
    "d_model": 96,
    "revin_affine": False,
    "t5_config": {
        "d_model": 96,
        "d_kv": 32,
        "d_ff": 256,
        "num_heads": 3,
        "num_layers": 4,
        "vocab_size": 1,
        "feed_forward_proj": "gated-gelu",
        "dense_act_fn": "gelu_new",
        "is_gated_act": True,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
        "dropout_rate": 0.1,
        "layer_norm_epsilon": 1e-6,
        "initializer_factor": 1.0,
        "model_type": "t5",
        "is_encoder_decoder": True,
        "pad_token_id": 0,
        "decoder_start_token_id": 0,
        "eos_token_id": 0,
    },
}
"""MOMENT's published fields at a fiftieth of the size of MOMENT-1-small's encoder."""

SEED = 13
"""MOMENT's own pretraining seed."""

OUTPUT = Path("pretrained")

STEPS = 21_000
"""About 40 minutes on one thread of a laptop."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

EXAMPLES = """Examples:

python -m trainables.pretrain --output pretrained

python -m trainables.pretrain --output pretrained --resume

python -m trainables.pretrain --gate pretrained --telemetry table.parquet

Exit codes: 0 done (and the gate passed), 1 the gate failed somewhere, 2 bad input, 130 interrupted: --resume goes on
from the last checkpoint."""


@app.command(epilog=EXAMPLES)
def pretrain(
    output: Annotated[Path, typer.Option(help="Folder for checkpoint, loss curve, weights and card.")] = OUTPUT,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = STEPS,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, windows and masks.")] = SEED,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of torch.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint in OUTPUT.")] = False,
    gate: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Train nothing; measure these weights and rewrite their card.")
    ] = None,
    telemetry: Annotated[
        list[Path] | None, typer.Option(help="With --gate: a table whose fault-free rows are measured too; repeatable.")
    ] = None,
) -> None:
    """Pretrain a tiny MOMENT on a CPU, or measure one against simple ways to fill a gap.

    Real series come from files of simbench, aeon and pvlib; the message that misses one says how to get them.
    """
    try:
        _check(output, gate, telemetry, resume=resume)
        torch.set_num_threads(threads)
        code = _gate(gate, telemetry or []) if gate else _train(output, Recipe(steps, seed), resume=resume)
    except TrainablesError as err:
        sys.stderr.write(f"{err}\n")
        raise typer.Exit(2) from err
    except KeyboardInterrupt as err:
        sys.stderr.write(f"interrupted; continue with --output {output} --resume\n")
        raise typer.Exit(130) from err
    raise typer.Exit(code)


def _check(output: Path, gate: Path | None, telemetry: list[Path] | None, *, resume: bool) -> None:
    if telemetry and gate is None:
        raise WeightsError("--telemetry goes with --gate FOLDER")
    if gate is None and not resume and (output / CHECKPOINT_FILE).exists():
        raise WeightsError(f"{output} holds a checkpoint; continue it with --resume, or name another --output")


def _train(output: Path, recipe: Recipe, *, resume: bool) -> int:
    training = Pretraining(TINY, recipe, training_corpus(), gates.watched(), output)
    output.mkdir(parents=True, exist_ok=True)
    if resume:
        training.restore()
    training.run()
    write_weights(output, TINY, training.module)
    sys.stdout.write(f"{write_card(output)}\n")
    return 0


def _gate(folder: Path, telemetry: list[Path]) -> int:
    """Measure a folder; return 1 where it fails the gate."""
    backbones.check_folder(folder)
    pretrained = load(folder, torch.device("cpu"))
    untrained = load(folder, torch.device("cpu"), random_seed=read_recipe(folder).seed)
    recorded = [gates.telemetry(path) for path in telemetry]
    sources = [*gates.held_out_real(), *gates.held_out_generated(), *recorded]
    figures = gates.measure(pretrained, untrained, sources, gates.WINDOWS)
    figures.round(5).to_csv(folder / GATE_FILE, index=False)
    write_card(folder)
    sys.stdout.write(f"{gate_table(figures)}\n")
    return 0 if gates.passed(figures).all() else 1


if __name__ == "__main__":
    app()
