"""Run folders -> one checked frame of rows, the plan they should fulfil, and what is missing from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from analysis.errors import AnalysisError, ClaimError
from analysis.intervals import SAME
from analysis.notes import computing_notes, fingerprint_notes, schema_notes, search_notes
from analysis.planned import CELL, Gap, Names, dead_cells, find_gaps, judged_draws, planned_draws
from analysis.recompute import with_metrics
from analysis.words import listed, records
from orchestrator.errors import RunFolderError
from orchestrator.results import COLUMNS, read_manifest, read_rows
from trainables.metrics import METRICS


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """Everything that the report says comes from here.

    Attributes
    ----------
    folders
        Run folders, in the order given.
    rows
        One row a draw of every run; column `run` is the position of its folder.
    manifests, specs
        `manifest.json` and `spec.yaml` of each folder; `{}` where the file is missing.
    planned
        Frame of planned report draws (columns of `CELL` and `draw`); None if no manifest says.
    gaps
        Planned report draws that have no ok row.
    notes
        What a reader must know about the input (mixed fingerprints, missing manifest ...).
    """

    folders: tuple[Path, ...]
    rows: pd.DataFrame
    manifests: tuple[Mapping[str, object], ...]
    specs: tuple[Mapping[str, object], ...]
    planned: pd.DataFrame | None
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metric columns that hold at least one number, those of this version first."""
        fixed = {*COLUMNS, "run", *METRICS}
        others = [name for name in self.rows.columns if name not in fixed and not name.startswith("param.")]
        names = [*(name for name in METRICS if name in self.rows), *others]
        return tuple(n for n in names if pd.api.types.is_numeric_dtype(self.rows[n]) and self.rows[n].notna().any())

    @property
    def objective(self) -> str:
        """The metric that comes first: the one searched for, else average precision."""
        for spec in self.specs:
            objective = spec.get("objective")
            if isinstance(objective, Mapping) and objective.get("metric") in self.metrics:
                return str(objective["metric"])
        return "average_precision"

    @property
    def report(self) -> pd.DataFrame:
        """Report rows that are ok: what levels, curves and comparisons rest on.

        Where a kind of fault is held out these are the folds that never saw it.
        """
        return self._judged[self._judged["exposure"] != "seen"]

    @property
    def plan(self) -> pd.DataFrame:
        """Draws that `report` should hold, ok or not: columns of `CELL` and `draw`."""
        return judged_draws(self.rows, self.planned)

    @property
    def seen(self) -> pd.DataFrame:
        """The counterpart of held-out folds: same test windows, the kind of fault among the labels."""
        return self._judged[self._judged["exposure"] == "seen"]

    @property
    def _judged(self) -> pd.DataFrame:
        return self.rows[(self.rows["phase"] == "report") & (self.rows["status"] == "ok")]

    @property
    def selection(self) -> pd.DataFrame:
        """Selection rows that are ok: for the search landscape, never for claims."""
        return self.rows[(self.rows["phase"] == "select") & (self.rows["status"] == "ok")]

    @property
    def failed(self) -> pd.DataFrame:
        """Rows of either phase that are not ok and were not raced out on purpose."""
        return self.rows[~self.rows["status"].isin(["ok", "pruned"])]

    @property
    def unit(self) -> str:
        """What a shot is: "windows" or "events"."""
        units = self.rows["unit"].dropna().unique()
        return str(units[0]) if len(units) == 1 else "windows"

    @property
    def simulated(self) -> bool:
        """True if any row was made on simulated telemetry."""
        return bool(self.rows["simulated"].fillna(value=False).astype(bool).any())

    @property
    def leaks(self) -> bool:
        """True if windows were dealt to the parts at random in any run, so that training saw what is tested."""
        splits = [spec.get("split") for spec in self.specs]
        return any(isinstance(split, Mapping) and split.get("by") == "random_windows" for split in splits)

    @property
    def progress(self) -> tuple[int, int]:
        """Report draws with a row of any status, and report draws planned."""
        done = int((self.rows["phase"] == "report").sum())
        return (done, len(self.planned)) if self.planned is not None else (done, done)

    @property
    def complete(self) -> bool:
        """True if every planned report draw has a row, ok or not."""
        return not any(gap.status == "missing" for gap in self.gaps)


def load_sweep(folders: Sequence[Path], *, mixed: bool = False) -> Sweep:
    """Read run folders into one `Sweep`.

    Parameters
    ----------
    folders
        One or more run folders.
    mixed
        Accept runs with unlike fingerprints (other code, data or weights), with a note on the page.

    Raises
    ------
    AnalysisError
        No folder, not a run folder, no rows at all, a share outside 0 to 1, or unlike fingerprints without `mixed`.
    """
    if not folders:
        raise AnalysisError("no run folder given; usage: python -m analysis.report RUN [RUN ...]")
    try:
        frames = [_rows(folder).assign(run=number) for number, folder in enumerate(folders)]
    except RunFolderError as err:
        raise AnalysisError(str(err)) from err
    rows = pd.concat([frame for frame in frames if len(frame)] or frames, ignore_index=True)
    if rows.empty:
        raise AnalysisError(f"{folders[0]}: no rows yet; the sweep has not finished a draw")
    notes = [*fingerprint_notes(rows, mixed=mixed), *schema_notes(rows)]
    names = _told_apart(rows, folders, notes)
    rows = _one_winner(_one_origin(_renamed(rows, names), notes), notes)
    notes += [*computing_notes(rows), *search_notes(rows)]
    manifests = tuple(_manifest(folder, notes) for folder in folders)
    planned = planned_draws(manifests, names)
    if planned is None:
        notes.append("The manifest does not list the planned draws, so missing draws cannot be named.")
    return Sweep(
        folders=tuple(folders),
        rows=rows,
        manifests=manifests,
        specs=tuple(_spec(folder) for folder in folders),
        planned=planned,
        gaps=tuple(find_gaps(rows, planned, dead_cells(rows, manifests, names))),
        notes=tuple(notes),
    )


def require_claimable(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows unchanged if a claim may rest on them.

    Raises
    ------
    ClaimError
        A selection row (the search saw it) or a row whose shot seed was itself searched.
    """
    if (rows["phase"] != "report").any():
        raise ClaimError("claims need report draws; selection rows were chosen by the search and flatter the winner")
    if (rows["seeds"] == "searched").any():
        raise ClaimError("few_shot.seeds is `searched`: the search could pick lucky draws, so no claim is made")
    return rows


def _rows(folder: Path) -> pd.DataFrame:
    if not folder.is_dir():
        raise AnalysisError(f"{folder}: no such folder")
    rows = with_metrics(folder, read_rows(folder))
    for name in rows.columns.intersection([m.name for m in METRICS.values() if m.direction == "max"]):
        outside = ~rows[name].astype(float).fillna(0.0).between(-SAME, 1 + SAME)
        for row in records(rows[outside]):
            raise AnalysisError(
                f"{folder / 'rows.jsonl'}: {name} is {row[name]} for {row['detector']} on {row['source']}, "
                f"{row['shots']} shots, {row['phase']} draw {row['draw']}; it lies between 0 and 1"
            )
    return rows


def _manifest(folder: Path, notes: list[str]) -> Mapping[str, object]:
    try:
        return read_manifest(folder)
    except RunFolderError as err:
        notes.append(f"Provenance is incomplete: {err}")
        return {}


def _spec(folder: Path) -> Mapping[str, object]:
    path = folder / "spec.yaml"
    if not path.exists():
        return {}
    try:
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as err:
        raise AnalysisError(f"{path}: not YAML: {err}") from err
    return spec if isinstance(spec, Mapping) else {}


def _told_apart(rows: pd.DataFrame, folders: Sequence[Path], notes: list[str]) -> Names:
    """Return names with the folder's for detectors that occur in several runs, so that their draws are not pooled."""
    runs = rows.groupby("detector")["run"].nunique()
    shared = sorted(runs[runs > 1].index)
    if not shared:
        return {}
    names = [folder.resolve().name for folder in folders]
    labels = [n if names.count(n) == 1 else f"{n} #{i + 1}" for i, n in enumerate(names)]
    notes.append(f"Several runs hold the same detectors; the run is named in brackets: {', '.join(labels)}.")
    return {(run, name): f"{name} [{label}]" for run, label in enumerate(labels) for name in shared}


def _renamed(rows: pd.DataFrame, names: Names) -> pd.DataFrame:
    keys = zip(rows["run"], rows["detector"], strict=True)
    return rows.assign(detector=[names.get(key, key[1]) for key in keys]) if names else rows


def _one_origin(rows: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Set aside what other code, data or weights made than most rows of the same cell and phase: no mean has both.

    A forced resume leaves such rows behind. Where two origins made as many, the later one stays. Draws of the others
    count as missing.
    """
    ok = rows.loc[(rows["status"] == "ok") & rows["fingerprint"].notna(), ["run", *CELL, "phase", "fingerprint"]]
    cell = ["run", *CELL, "phase"]
    alike = ok.groupby([*cell, "fingerprint"])["phase"].transform("size")
    fewest_first = ok.loc[alike.sort_values(kind="stable").index]
    kept = fewest_first.groupby(cell)["fingerprint"].transform("last").reindex(ok.index)
    other = ok[ok["fingerprint"] != kept]
    if other.empty:
        return rows
    cells = other[CELL[:3]].drop_duplicates().itertuples(index=False, name=None)
    names = listed([f"{detector} at {shots} shots on {source}" for source, detector, shots in cells])
    notes.append(
        f"{len(other)} rows of {names} are set aside: other code, data or weights made as many or more rows "
        "of their cell. A new run of the sweep file, into a folder of its own, computes whole cells."
    )
    reason = "set aside: other code, data or weights made as many or more rows of its cell"
    rows = rows.copy()
    rows.loc[other.index, ["status", "reason"]] = ["pruned", reason]
    return rows


def _one_winner(rows: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Keep the report rows of the configuration that a cell reported last; an earlier winner is superseded."""
    report = rows["phase"] == "report"
    parameters = [name for name in rows.columns if name.startswith("param.")]
    if not parameters or not report.any():
        return rows
    held = rows.loc[report, parameters]
    settings = pd.Series([repr(values) for values in held.itertuples(index=False, name=None)], index=held.index)
    cells = [rows.loc[report, name] for name in ["run", *CELL]]
    superseded = settings != settings.groupby(cells).transform("last")
    if superseded.any():
        notes.append(
            f"{int(superseded.sum())} report rows of configurations that a longer search replaced are left out."
        )
    return rows.drop(index=superseded.index[superseded])
