"""Winners of the cells: which draw's detector is kept, and what the run folder holds of it.

The winner of a cell is its best configuration as fitted on the first report draw that ended ok. The first report
draw of every cell brings its detector along; if it failed, the first that did not runs once more for its detector
alone when the cell is over. Winners are written before rows: a draw that has a row has had its winner written.
"""

import logging
from collections.abc import Sequence

from orchestrator.plan import TrialPlan
from orchestrator.rows import SweepFacts
from orchestrator.storage import WINNERS, RunFolder
from trainables.errors import WinnerError
from trainables.trial import TrialOutcome
from trainables.winner_manifest import UNSAVED, Manifest, Origin, read_manifest

logger = logging.getLogger(__name__)

DrawKey = tuple[str, int]
"""Trial id and draw number."""


class Winners:
    """The winners of a run folder.

    Parameters
    ----------
    folder
        Where they are written.
    facts
        What their origin says.
    """

    def __init__(self, folder: RunFolder, facts: SweepFacts) -> None:
        self._folder = folder
        self._facts = facts
        self._asked: set[DrawKey] = set()

    def start(self) -> None:
        """Mark a new run folder as one that keeps winners."""
        if not self._folder.records:
            self._folder.make_winners()

    def missing(self, cell: str, ended_ok: Sequence[TrialPlan]) -> TrialPlan | None:
        """Return the report trial that must run again for its detector, once at most, or None.

        Parameters
        ----------
        cell
            Name of a cell that is over.
        ended_ok
            Its report trials that ended ok, in order of their draws.
        """
        if not ended_ok or not (self._folder.path / WINNERS).is_dir():
            return None  # a finished run of a version without winners stays finished
        first = ended_ok[0]
        key = (first.id, first.draws[0])
        if key in self._asked or key == self._on_disk(cell):
            return None
        self._asked.add(key)
        return first

    def put(self, plan: TrialPlan, outcome: TrialOutcome) -> None:
        """Write the winner that came with an outcome; say so if its detector should have been saved and was not."""
        if outcome.winner is None:
            return
        facts, used = self._facts, self._used(outcome.winner.manifest)
        origin = Origin(sweep=facts.sweep, trial=plan.id, fingerprint=facts.fingerprint, weights=used)
        winner = outcome.winner.from_(origin)
        self._folder.write_winner(plan.cell.name, winner)
        if winner.manifest.not_saved not in ("", UNSAVED):
            logger.warning("%s: the winner was not saved: %s", plan.cell.name, winner.manifest.not_saved)

    def _used(self, manifest: Manifest) -> dict[str, str]:
        name = str(manifest.settings.get("backbone"))
        return {name: self._facts.weights[name]} if name in self._facts.weights else {}

    def _on_disk(self, cell: str) -> DrawKey | None:
        try:
            manifest = read_manifest(self._folder.winner_folder(cell))
        except WinnerError:
            return None  # absent or damaged: it is made again
        return (manifest.origin.trial, manifest.draw) if manifest.origin is not None else None
