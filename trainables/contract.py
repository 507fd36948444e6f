"""What every detector must do, as a list of checks: the test suite runs it, and so can you on your own class.

``python -m trainables.contract module:Class [--settings name=value]...`` runs the checks on a detector in any
importable file. Exit code 0 if all pass, 1 if one fails, 2 if there is nothing to check.

A class may declare ``uninformed: ClassVar[bool] = True`` if its scores ignore the windows on purpose (a reference
such as `random`); whether they rise on faults is then not asked. ``unsaved: ClassVar[bool] = True`` says that its
winners are not to be saved. Nothing else is optional, apart from `classify` and
`channel_errors`, which are checked where they exist.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import typer
import yaml
from rich.console import Console
from rich.table import Table

from trainables._contract_checks import CHECKS, Subject
from trainables.errors import DetectorError, MissingPackageError, TrainablesError, WeightsError
from trainables.protocol import Scalar, TrialResources
from trainables.registry import build_detector, detector_entry, load_class


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Outcome of one check; `problem` is empty if it passed."""

    name: str
    meaning: str
    problem: str = ""

    @property
    def passed(self) -> bool:
        """True if the detector does what the check asks."""
        return not self.problem


def subject_of(
    detector: str, settings: Mapping[str, Scalar] | None = None, resources: TrialResources | None = None
) -> Subject:
    """Return what is to be checked: a built-in detector by name, or a class as "module:Class".

    Raises
    ------
    DetectorError
        No such detector, or one that cannot be constructed with these settings.
    """
    path = detector if ":" in detector else detector_entry(detector).path
    subject = Subject(path, load_class(path), dict(settings or {}), resources or TrialResources(seed=7))
    try:
        build_detector(subject.name, subject.settings, subject.resources, path)
    except TrainablesError:
        raise
    except Exception as err:
        raise DetectorError(f"{path} cannot be constructed: {_in_words(err)}") from err
    return subject


def checks_for(subject: Subject) -> tuple[str, ...]:
    """Return the names of the checks that apply to this detector, in order."""
    return tuple(check.name for check in CHECKS if check.applies(subject))


def run_checks(subject: Subject) -> Iterator[CheckResult]:
    """Run every check that applies, one after the other.

    Raises
    ------
    MissingPackageError, WeightsError
        The detector cannot run here at all.
    """
    for check in CHECKS:
        if not check.applies(subject):
            continue
        try:
            check.run(subject)
        except (MissingPackageError, WeightsError):
            raise
        except ModuleNotFoundError as err:
            raise MissingPackageError(f"{subject.path} needs the package {err.name}, which is not installed") from err
        except Exception as err:  # whatever a detector raises is what the check found
            yield CheckResult(check.name, check.meaning, _in_words(err))
        else:
            yield CheckResult(check.name, check.meaning)


def _in_words(err: Exception) -> str:
    """Return an error on one line; one of ours speaks for itself."""
    kind = "" if isinstance(err, DetectorError) else f"{type(err).__name__}: "
    return kind + " ".join(str(err).split()) or type(err).__name__


def _parsed(settings: list[str]) -> dict[str, Scalar]:
    parsed: dict[str, Scalar] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = []  # no plain value
        if not equals or not name or not isinstance(value, Scalar):
            raise DetectorError(f"--settings takes name=value with a plain value, got {setting!r}")
        parsed[name] = value
    return parsed


def _show(results: list[CheckResult], detector: str) -> None:
    failed = [result for result in results if not result.passed]
    console = Console()
    if console.is_terminal:
        table = Table("check", "asks that", "found", title=detector)
        for result in results:
            table.add_row(result.name, result.meaning, "[green]ok[/]" if result.passed else f"[red]{result.problem}[/]")
        console.print(table)
    else:
        for result in results:
            typer.echo(f"ok      {result.name}" if result.passed else f"FAILED  {result.name}: {result.problem}")
    typer.echo(f"{detector}: {len(results)} checks, {len(failed)} failed")


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def main(
    detector: Annotated[str, typer.Argument(help="module:Class, or the name of a built-in detector.")],
    settings: Annotated[
        list[str] | None, typer.Option("--settings", help="A setting of the detector, name=value; repeatable.")
    ] = None,
) -> None:
    """Run the checks that every detector must pass on one class."""
    try:
        results = list(run_checks(subject_of(detector, _parsed(settings or []))))
    except TrainablesError as err:
        typer.echo(str(err), err=True)
        raise typer.Exit(2) from err
    _show(results, detector)
    raise typer.Exit(0 if all(result.passed for result in results) else 1)


if __name__ == "__main__":
    app()
