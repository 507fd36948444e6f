"""A sweep file that fits a table: settings from its inspection, as commented YAML."""

import os
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trainables.data.inspection import Finding, Inspection, Suggestion
from trainables.data.inspection.finding import quoted
from trainables.data.wording import number_of
from trainables.settings import DataSettings, MissingByColumn

SCHEMA_FILE: Final = Path(__file__).resolve().parents[1] / "search_spaces" / "schema.json"
WIDE = 128
"""Columns above which the backbone sees the channels that stray farthest only: its cost grows with their number."""
KEPT = 64
PATCH = 8
"""Steps of a patch: what MOMENT sees as one."""
COMMENT_WIDTH = 110
PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*")


@dataclass(frozen=True, slots=True)
class Effort:
    """How much a sweep tries: configurations a search, and windows that LoRA trains on in a draw."""

    candidates: int
    window_passes: int


EFFORTS: Final = (Effort(5, 512), Effort(3, 256), Effort(2, 128))
"""From the usual one to the least."""


def spec_text(name: str, inspection: Inspection, suggestion: Suggestion, folder: Path, effort: Effort) -> str:
    """Return the sweep file as text, to be written into `folder`; paths in it start from there."""
    lines = [
        *_head(inspection, folder),
        f"name: {_scalar(name)}",
        "",
        "# Average precision needs no threshold; a random score gets the share of faulty windows.",
        "objective: {metric: average_precision}",
        "",
        *_data(suggestion, folder),
        "",
        *_reason("split.by", suggestion),
        *_reason("split.folds", suggestion),
        f"split: {{by: {suggestion.split.by}, folds: {suggestion.split.folds}}}",
        "",
        *_few_shot(suggestion),
        "",
        f"search: {{sampler: tpe, candidates: {effort.candidates}, seed: 0, select_on: validation}}",
        "",
        *_reason("threshold.quantile", suggestion),
        f"threshold: {{rule: reference_quantile, quantile: {suggestion.threshold.quantile:g}}}",
        "",
        "resources: {gpu_memory_gb: 8, trials_per_gpu: 1, threads: 1, draw_timeout_s: 900}",
        f"tracking: {{wandb: {{mode: auto, project: {_scalar(name)}}}}}",
        "",
        *_detectors(len(inspection.series.columns), suggestion.data.window, effort),
    ]
    return "\n".join(lines) + "\n"


def _head(inspection: Inspection, folder: Path) -> Iterator[str]:
    facts = inspection.facts
    if SCHEMA_FILE.is_file():
        yield f"# yaml-language-server: $schema={_relative(SCHEMA_FILE, folder)}"
    kind = "simulated telemetry" if facts.simulated else "telemetry"
    size = f"# {number_of(facts.rows, 'row')} x {number_of(facts.columns, 'column')} of {kind} "
    yield size + f"every {facts.step_s:g} s, {number_of(facts.faults, 'fault')}."
    yield "# Written by python -m orchestrator.new for this table; choices say why, fewshot.yaml explains all keys."
    if inspection.prospects is not None:
        for claim in inspection.prospects.claims:
            yield from _comment(claim)
    severe = [finding for finding in inspection.findings if finding.severity == "severe"]
    if severe:
        yield "# Before you believe a number:"
        for finding in severe:
            yield from _comment(f"{finding.kind}: {finding.what}", "#   ")
            yield from _remedy(finding, inspection)


def _remedy(finding: Finding, inspection: Inspection) -> Iterator[str]:
    suggestion = inspection.suggestion
    done = suggestion is not None and set(finding.columns) <= set(suggestion.data.drop) and finding.columns
    if done:
        yield "#     done below: data.drop"
    elif finding.yaml:
        yield f"#     consider: {finding.yaml}"


def _data(suggestion: Suggestion, folder: Path) -> Iterator[str]:
    data = suggestion.data
    yield "data:"
    yield f"  source: {data.source}"
    yield f"  name: {_scalar(data.source_name)}"
    for key, path in (("path", data.path), ("incidents", data.incidents)):
        if path is not None:
            yield f"  {key}: {_scalar(_relative(path.resolve(), folder))}"
    if data.timezone is not None:
        yield f"  timezone: {_scalar(data.timezone)}"
    if data.source == "simulated":
        yield f"  rows: {data.rows}"
        yield f"  seed: {data.seed}"
    yield from _key("segments", "all" if data.segments == "all" else _flow(data.segments), suggestion)
    if data.drop:
        yield "  # columns that tell the time: a detector could learn when the faults were"
        yield f"  drop: {_flow(data.drop)}"
    yield from _key("window", str(data.window), suggestion)
    yield f"  support_stride: {data.support_stride}"
    yield from _key("score_stride", str(data.score_stride), suggestion)
    caps = data.max_score_windows.model_dump()
    text = ", ".join(f"{part}: {'null' if cap is None else cap}" for part, cap in caps.items())
    yield from _key("max_score_windows", f"{{{text}}}", suggestion)
    yield from _key("normalise", data.normalise, suggestion)
    yield from _key("missing", _missing(data), suggestion)


def _few_shot(suggestion: Suggestion) -> Iterator[str]:
    few_shot = suggestion.few_shot
    yield from _reason("few_shot.shots", suggestion)
    yield "few_shot:"
    yield f"  shots: {list(few_shot.shots)}"
    yield "  unit: windows"
    yield "  shortage: refuse"
    yield "  balance: balanced"
    for key, seeds in (("selection_seeds", few_shot.selection_seeds), ("report_seeds", few_shot.report_seeds)):
        yield f"  {key}: {{first: {seeds.first}, count: {seeds.count}}}"


def _detectors(columns: int, window: int, effort: Effort) -> Iterator[str]:
    channels = (
        f"    channels: {KEPT}          # of {columns}: those whose level strays farthest\n" if columns > WIDE else ""
    )
    yield "# What is under `space` is searched; {} takes the defaults."
    yield textwrap.dedent(
        """\
        detectors:
          # no labels: what every other detector has to beat
          random: {}
          always_alarm: {}
          moving_variance: {}
          pca: {}
          # what you alarm on today: start and end of alerts, or time and score, as CSV or Parquet
          # external: {path: alerts.csv, tolerance_s: 60}
          # normal shots at most
          isolation_forest: {}
          lstm_ae: {}
          # labelled faults
          random_forest:
            space:
              min_samples_leaf: {choice: [1, 2, 4]}
          gradient_boosting:
            space:
              learning_rate: {log_uniform: [0.03, 0.3]}
          logistic_regression:
            space:
              C: {log_uniform: [1.0e-3, 10]}"""
    )
    yield "  # the foundation model; backbone: bundled | AutonLab/MOMENT-1-small, -base, -large | ./folder"
    yield f"  moment_zero_shot:\n    backbone: bundled\n{channels}".rstrip()
    yield f"  moment_linear_probe:\n    backbone: bundled\n{channels}    space:\n      C: {{log_uniform: [1.0e-3, 10]}}"
    yield f"  moment_lora:\n    backbone: bundled\n{channels}    max_window_passes: {effort.window_passes}"
    if window == PATCH:
        yield '    targets: "v,o"        # a window of one patch: attention has no choice, so q and k could not learn'
    yield "    space:"
    yield "      rank: {choice: [2, 4, 8, 16]}\n      learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}"


def _key(key: str, value: str, suggestion: Suggestion) -> Iterator[str]:
    reason = suggestion.reasons.get(f"data.{key}")
    if reason:
        yield from _comment(reason, "  # ")
    yield f"  {key}: {value}"


def _reason(key: str, suggestion: Suggestion) -> Iterator[str]:
    if key in suggestion.reasons:
        yield from _comment(f"{key.rpartition('.')[2]}: {suggestion.reasons[key]}")


def _comment(text: str, start: str = "# ") -> list[str]:
    return textwrap.wrap(text, COMMENT_WIDTH, initial_indent=start, subsequent_indent=start, break_long_words=False)


def _missing(data: DataSettings) -> str:
    if not isinstance(data.missing, MissingByColumn):
        return data.missing
    columns = ", ".join(f"{_scalar(name)}: {rule}" for name, rule in data.missing.columns.items())
    return f"{{default: {data.missing.default}, columns: {{{columns}}}}}"


def _flow(names: tuple[str, ...]) -> str:
    return f"[{', '.join(_scalar(name) for name in names)}]"


def _scalar(text: str) -> str:
    """Return text as YAML writes it, quoted unless it is plainly a name."""
    plain = PLAIN.fullmatch(text) and text.lower() not in {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
    return text if plain else quoted(text)


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:  # another drive on Windows
        return path.as_posix()
