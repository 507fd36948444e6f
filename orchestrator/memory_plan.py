"""What training steps will take of memory, before anything starts: lines of the plan, and cells that cannot fit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from orchestrator.errors import PlanError
from orchestrator.plan import Cell, SweepPlan
from orchestrator.resources import Slots
from orchestrator.weights import backbone_names
from trainables import backbones, moment_memory
from trainables.data.series import LabelledSeries
from trainables.errors import DetectorError, MemoryCapError
from trainables.memory import GB
from trainables.memory_caps import Cap, Passes, gpu_cap, host_cap
from trainables.protocol import Scalar
from trainables.registry import config_class

MATTERS = ("backbone", "rank", "targets", "adapted_layers", "precision", "channels", "batch", "context", "objective")
"""Settings that memory depends on."""

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, slots=True)
class CellMemory:
    """What a MOMENT cell takes in the largest of its configurations.

    Attributes
    ----------
    backbone
        As the sweep file names it.
    passes
        Of a training step; of a scoring pass where nothing is trained but the head.
    trains
        Whether adapters are trained.
    """

    cell: Cell
    backbone: str
    passes: Passes
    trains: bool


def plan_memory(plan: SweepPlan, series: Mapping[str, LabelledSeries], *, on_gpu: bool) -> tuple[CellMemory, ...]:
    """Return what every MOMENT cell takes, one entry a backbone, under the cap of a GPU or of the CPU.

    Raises
    ------
    PlanError
        A cell does not fit even one window at a time, with how many GB that would need; or its settings do not
        suit the backbone or the window.
    WeightsError
        A local folder is not a MOMENT.
    """
    resources = plan.spec.resources
    cap = gpu_cap(resources.gpu_memory_gb) if on_gpu else host_cap(resources.host_memory_gb)
    found, problems = [], []
    for cell in plan.cells:
        for name in backbone_names(cell):
            try:
                found.append(_cell_memory(plan, cell, name, series[cell.source], cap))
            except (MemoryCapError, DetectorError) as err:
                problems.append(f"{cell.detector}, {cell.shots:,} shots of {cell.source}, {name}: {err}")
    if problems:
        raise PlanError("\n".join(dict.fromkeys(problems)))
    return tuple(found)


def memory_lines(
    plan: SweepPlan, series: Mapping[str, LabelledSeries], slots: Slots, *, binding: bool = True
) -> list[str]:
    """Return one line for cells that take the same; without a GPU here also what they would take on one.

    What does not fit where trials would run is refused, or only said where it is not `binding`.

    Raises
    ------
    PlanError, WeightsError
        As `plan_memory`, for where trials would run.
    """
    resources = plan.spec.resources
    try:
        here = plan_memory(plan, series, on_gpu=slots.gpu > 0)
    except PlanError as err:
        if binding:
            raise
        return [f"memory: does not fit here: {problem}" for problem in str(err).splitlines()]
    if slots.gpu:
        return _lines(here, f"on a GPU of {resources.gpu_memory_gb:g} GB")
    lines = _lines(here, f"on the CPU, {resources.host_memory_gb:g} GB a trial")
    if all(one.backbone == backbones.BUNDLED for one in here):
        return lines
    try:
        return lines + _lines(plan_memory(plan, series, on_gpu=True), f"on a GPU of {resources.gpu_memory_gb:g} GB")
    except PlanError as err:
        return [*lines, *(f"memory: does not fit a GPU: {problem}" for problem in str(err).splitlines())]


def weights_lines(plan: SweepPlan) -> list[str]:
    """Return where the weights of each backbone are, or what a start would download; asks no hub.

    Raises
    ------
    WeightsError
        What is there is not usable.
    """
    lines = []
    for name in sorted({name for cell in plan.cells for name in backbone_names(cell)} - {backbones.BUNDLED}):
        folder = backbones.find(name)
        if folder is None:
            size = backbones.download_bytes(name) / GB
            lines.append(f"weights: {name} is not in the hub cache; a start downloads {size:.2f} GB first")
        else:
            backbones.check_folder(folder)
            lines.append(f"weights: {name} found and complete")
    return lines


def _cell_memory(plan: SweepPlan, cell: Cell, name: str, series: LabelledSeries, cap: Cap) -> CellMemory:
    telemetry = moment_memory.Telemetry(
        series.values.shape[1], plan.settings[cell.source].data.window, len(series.fault_types)
    )
    backbone = _backbone_config(name)
    kind = config_class(cell.detector, cell.class_path)
    configurations = [kind.model_validate(settings) for settings in _configurations(cell, name)]
    passes = [moment_memory.detector_passes(backbone, config, telemetry, cell.shots, cap) for config in configurations]
    return CellMemory(cell, name, max(passes, key=_weight), trains=moment_memory.trains(kind))


def _weight(passes: Passes) -> tuple[bool, bool, int, float]:
    """Order by how much a configuration asks for: checkpointing, channels in slices, few windows at once, then GB."""
    return passes.checkpointing, passes.channels is not None, -passes.micro_batch, passes.gb


def _configurations(cell: Cell, backbone: str) -> Iterator[dict[str, Scalar]]:
    """Yield the settings of a cell with every combination of what memory depends on; of ranges the upper end."""
    choices: list[Sequence[tuple[str, Scalar]]] = []
    for name, dimension in cell.space.items():
        if name in MATTERS and name != "backbone":
            values = dimension.values if dimension.kind == "choice" else dimension.values[-1:]
            choices.append([(name, value) for value in values])
    for combination in product(*choices):
        settings = {**cell.settings, **dict(combination), "backbone": backbone}
        undecided = settings.get("precision") == "auto"  # it ends in either, and neither always takes more
        yield from ({**settings, "precision": precision} for precision in PRECISIONS) if undecided else (settings,)


def _backbone_config(name: str) -> Mapping[str, object]:
    if name in backbones.PUBLISHED:
        return backbones.PUBLISHED[name]
    folder = backbones.find(name)
    if folder is None:
        raise PlanError(f"backbone {name}: no such folder")
    return backbones.read_config(folder)


def _lines(cells: Sequence[CellMemory], where: str) -> list[str]:
    grouped: dict[tuple[str, str, bool, Passes], list[int]] = {}
    for one in cells:
        grouped.setdefault((one.cell.detector, one.backbone, one.trains, one.passes), []).append(one.cell.shots)
    alike: dict[str, list[str]] = {}
    for (detector, backbone, trains, passes), shots in grouped.items():
        listed = ", ".join(f"{count:,}" for count in sorted(set(shots)))
        windows = f"{passes.micro_batch} window{'s' if passes.micro_batch > 1 else ''} at once"
        if passes.channels is not None:
            windows = f"1 window at once, {passes.channels:,} of its channels at a time"
        how = (", with checkpointing" if passes.checkpointing else ", no checkpointing") if trains else ""
        what = "trains" if trains else "scores"
        said = f"({listed} shots, {backbone}) {what} {windows}{how}, about {passes.gb:.1f} GB"
        alike.setdefault(said, []).append(detector)
    return [f"memory {where}: {', '.join(dict.fromkeys(names))} {said}" for said, names in alike.items()]
