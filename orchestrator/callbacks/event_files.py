"""TensorBoard's event files: one a run, made of its events alone, so that equal events are equal bytes.

Rows hold no time of day, so every event has the wall time 0. The name of a file holds a digest of its events: what is
there already is not written again, and a TensorBoard that is looking sees a run that changed as a new file.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tensorboardX.proto.api_pb2 import DataType, Experiment, HParamInfo, MetricInfo, MetricName, Status
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar as scalar_summary
from tensorboardX.summary import text as text_summary

Setting = str | float | bool
"""Value of a hyperparameter; TensorBoard knows text, numbers and truth values."""

OURS = "events.out.tfevents.{}.fewshot-sweep"
"""Name of a file that we made, with the digest of its events."""


def scalar(tag: str, value: float, step: int) -> bytes:
    """Return the event of a number."""
    return _event(scalar_summary(tag, value), step)


def text(tag: str, words: str, step: int) -> bytes:
    """Return the event of a text."""
    return _event(text_summary(tag, words), step)


def session(settings: Mapping[str, Setting], *, failed: bool) -> Iterator[bytes]:
    """Yield the events that make a run a line of the table of hyperparameters."""
    start = SessionStartInfo()
    for name, value in settings.items():
        setattr(start.hparams[name], f"{_kind(value)}_value", value)
    yield _hparams("session_start_info", session_start_info=start)
    end = SessionEndInfo(status=Status.Value("STATUS_FAILURE" if failed else "STATUS_SUCCESS"))
    yield _hparams("session_end_info", session_end_info=end)


def experiment(settings: Mapping[str, Setting], metrics: Sequence[str]) -> bytes:
    """Return the event that names the columns of that table: one value of each setting, and the tags of metrics."""
    types = {"string": "DATA_TYPE_STRING", "bool": "DATA_TYPE_BOOL", "number": "DATA_TYPE_FLOAT64"}
    named = [HParamInfo(name=n, type=DataType.Value(types[_kind(v)])) for n, v in settings.items()]
    measured = [MetricInfo(name=MetricName(tag=tag)) for tag in metrics]
    return _hparams("experiment", experiment=Experiment(hparam_infos=named, metric_infos=measured))


def update(folder: Path, runs: Mapping[str, Sequence[bytes]]) -> int:
    """Make the event files of a folder those of these runs: name of its folder in there -> events.

    Files that this function did not make are left alone.

    Returns
    -------
    int
        How many files were written; those that are there already are not.
    """
    wanted = {folder / name / OURS.format(_digest(events)): events for name, events in runs.items()}
    new = [path for path in wanted if not path.exists()]
    for path in new:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name("events.part")  # a name that TensorBoard does not read
        _write(part, wanted[path])
        part.replace(path)
    for path in sorted(folder.rglob(OURS.format("*"))):
        if path not in wanted:
            path.unlink()
            _remove_empty(path.parent, folder)
    return len(new)


def _write(path: Path, events: Sequence[bytes]) -> None:
    path.unlink(missing_ok=True)  # of a start that was killed
    writer = RecordWriter(str(path))
    try:
        for event in (Event(file_version="brain.Event:2").SerializeToString(), *events):
            writer.write(event)
    finally:
        writer.close()


def _remove_empty(place: Path, root: Path) -> None:
    while place != root and not any(place.iterdir()):
        place.rmdir()
        place = place.parent


def _digest(events: Sequence[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for event in events:
        digest.update(len(event).to_bytes(8, "big") + event)
    return digest.hexdigest()


def _event(summary: Summary, step: int) -> bytes:
    return bytes(Event(step=step, summary=summary).SerializeToString(deterministic=True))


def _hparams(tag: str, **content: object) -> bytes:
    data = HParamsPluginData(**content).SerializeToString(deterministic=True)
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=data)
    value = Summary.Value(tag=f"_hparams_/{tag}", metadata=SummaryMetadata(plugin_data=plugin))
    return _event(Summary(value=[value]), 0)


def _kind(value: Setting) -> str:
    return "string" if isinstance(value, str) else "bool" if isinstance(value, bool) else "number"
