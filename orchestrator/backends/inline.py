"""The same searcher in the calling process, one draw at a time, without Ray: the debugger works."""

from orchestrator.backends.base import Workplace
from orchestrator.driver import Driver
from orchestrator.interrupts import Interrupts
from orchestrator.resources import card_variables
from orchestrator.variables import environment
from trainables.watchdog import run_within


class InlineBackend:
    """See `Backend`. A draw that hangs in C code cannot be ended here: that would end the driver, too."""

    def run(self, driver: Driver, workplace: Workplace, interrupts: Interrupts) -> None:
        """See `Backend`."""
        with environment(card_variables(workplace.slots)):  # torch reads it when it first asks for a card
            self._run(driver, workplace, interrupts)

    @staticmethod
    def _run(driver: Driver, workplace: Workplace, interrupts: Interrupts) -> None:
        while (assignment := driver.next()) is not None:
            plan = assignment.plan
            source = plan.cell.source
            for draw in assignment.draws:
                with interrupts.may_strike():
                    outcome = run_within(
                        assignment.request(draw),
                        workplace.settings[source],
                        workplace.series[source],
                        workplace.resources(workplace.device(plan.cell)),
                        timeout_s=workplace.limits.draw_timeout_s,
                        hard=False,
                    )
                if not driver.report(assignment, draw, outcome):
                    break
            driver.done(assignment)
