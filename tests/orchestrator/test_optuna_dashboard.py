"""optuna.journal opens in Optuna Dashboard: studies by cell, states, values of each draw, attributes."""

import json
import threading
from urllib.request import urlopen
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tests.fakes.sweeps import FAKES, SEARCHED, plan_of, rows_of, run_sweep

dashboard = pytest.importorskip("optuna_dashboard")

FAILING = f"""
  failing:
    class: {FAKES}:Raising
    space: {{gain: {{uniform: [0.1, 2.0]}}}}
"""


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A sweep of two searched cells, one of which fails: its rows, and a function that asks the dashboard's API."""
    place = tmp_path_factory.mktemp("journal")
    plan, series = plan_of(place, SEARCHED + FAILING.lstrip("\n"))
    assert 1 == run_sweep(plan, series, place / "run", backend="inline")[0]
    storage = JournalStorage(JournalFileBackend(str(place / "run" / "optuna.journal")))
    server = make_server("127.0.0.1", 0, dashboard.wsgi(storage), handler_class=Quiet)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def ask(path: str):
        with urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=30) as answer:
            return json.load(answer)

    yield rows_of(place / "run"), ask
    server.shutdown()
    server.server_close()


def trials_of_study(ask, name: str) -> list[dict]:
    (study,) = [entry for entry in ask("/api/studies")["study_summaries"] if entry["study_name"] == name]
    return ask(f"/api/studies/{study['study_id']}")["trials"]


def test_each_searched_cell_is_a_study_of_its_name(opened):
    _, ask = opened
    names = {entry["study_name"] for entry in ask("/api/studies")["study_summaries"]}
    assert {"searched-simulated-f0-k8", "failing-simulated-f0-k8"} == names


def test_configurations_show_their_mean_each_draw_and_the_trial_of_the_rows(opened):
    rows, ask = opened
    trials = trials_of_study(ask, "searched-simulated-f0-k8")
    assert ["Complete"] * 4 == [trial["state"] for trial in trials]
    for trial in trials:
        (name,) = [entry["value"] for entry in trial["user_attrs"] if entry["key"] == "trial"]
        values = {draw: row["average_precision"] for (key, draw), row in rows.items() if key == name}
        assert values == {entry["step"]: entry["value"] for entry in trial["intermediate_values"]}
        assert [pytest.approx(sum(values.values()) / len(values))] == trial["values"]
        (gain,) = [float(p["param_external_value"]) for p in trial["params"] if p["name"] == "gain"]
        assert {gain} == {row["param.gain"] for (key, _), row in rows.items() if key == name}


def test_failed_configurations_show_their_reason(opened):
    _, ask = opened
    trials = trials_of_study(ask, "failing-simulated-f0-k8")
    assert ["Fail"] * 4 == [trial["state"] for trial in trials]
    reasons = [entry["value"] for trial in trials for entry in trial["user_attrs"] if entry["key"] == "reason"]
    assert 4 == len(reasons)
    assert all("planted error" in reason for reason in reasons)
