"""optuna.journal: a copy of the studies on disk, for Optuna Dashboard. The rows are the truth, not this file."""

from functools import cached_property
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from orchestrator.plan import Cell
from orchestrator.storage import JOURNAL, cannot_write


class _NoLock(JournalFileOpenLock):
    """No lock: the run folder is locked already, and the driver is the only writer."""

    def acquire(self) -> bool:
        """Do nothing."""
        return True

    def release(self) -> None:
        """Do nothing."""


class StudyJournal:
    """Appends each told configuration once, also over several starts of a sweep.

    Parameters
    ----------
    run
        The run folder.
    direction
        Of all studies.
    rebuild
        Start the file afresh: results that it holds are about to change.
    """

    def __init__(self, run: Path, direction: StudyDirection, *, rebuild: bool = False) -> None:
        self._path = run / JOURNAL
        self._direction = direction
        self._rebuild = rebuild
        self._is_open = False
        self._waiting: list[tuple[str, FrozenTrial]] = []
        self._studies: dict[str, optuna.Study] = {}
        self._present: dict[str, int] = {}
        self._added: dict[str, int] = {}

    def open(self) -> None:
        """Begin to write, with what was added so far."""
        try:
            if self._rebuild or not _ends_whole(self._path):
                self._path.unlink(missing_ok=True)
        except OSError as err:
            raise cannot_write(self._path, err) from err
        self._is_open = True
        for name, trial in self._waiting:
            self._append(name, trial)
        self._waiting.clear()

    def add(self, cell: Cell, trial: FrozenTrial) -> None:
        """Append a configuration; those of a cell come in the order of their numbers."""
        if self._is_open:
            self._append(cell.name, trial)
        else:
            self._waiting.append((cell.name, trial))

    def _append(self, name: str, trial: FrozenTrial) -> None:
        number = self._added.get(name, 0)
        self._added[name] = number + 1
        try:
            study = self._study(name)
            if number >= self._present[name]:
                study.add_trial(trial)
        except OSError as err:
            raise cannot_write(self._path, err) from err

    @cached_property
    def _storage(self) -> JournalStorage:
        return JournalStorage(JournalFileBackend(str(self._path), lock_obj=_NoLock(str(self._path))))

    def _study(self, name: str) -> optuna.Study:
        if name not in self._studies:
            self._studies[name] = optuna.create_study(
                study_name=name, storage=self._storage, direction=self._direction, load_if_exists=True
            )
            self._present[name] = len(self._studies[name].get_trials(deepcopy=False))
        return self._studies[name]


def _ends_whole(path: Path) -> bool:
    """Say whether the last line has its end; without it the driver died while appending."""
    if not path.exists():
        return True
    with path.open("rb") as file:
        file.seek(0, 2)
        if file.tell() == 0:
            return True
        file.seek(-1, 2)
        return file.read(1) == b"\n"
