import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.errors import AnalysisError, ClaimError
from analysis.load import load_sweep, require_claimable
from analysis.planned import NO_WINNER
from orchestrator.results import score_file
from tests.fakes.run_folder import FakeSweep, make_run, without_metrics

TINY = {"random": {0: 0.0}, "random_forest": {20: 1.0}, "moment_lora": {20: 1.0}}


def tiny(**changes: object) -> FakeSweep:
    return FakeSweep(**{"skill": TINY, "draws": 3, "candidates": 2, "selection_draws": 2, **changes})


def test_a_complete_run_has_no_gaps_and_all_its_draws(fake_sweep):
    assert (120, 120) == fake_sweep.progress
    assert fake_sweep.complete
    assert () == fake_sweep.gaps
    assert "average_precision" == fake_sweep.objective
    assert {"average_precision", "f1", "vus_pr"} <= set(fake_sweep.metrics)


def test_a_draw_without_a_row_is_named_and_makes_the_run_incomplete(tmp_path):
    sweep = load_sweep([make_run(tmp_path / "run", tiny(absent=(("random_forest", 20, 101),)))])
    (gap,) = sweep.gaps
    assert ("random_forest", 20, 101, "missing") == (gap.detector, gap.shots, gap.draw, gap.status)
    assert not sweep.complete
    assert (8, 9) == sweep.progress


def test_a_failed_draw_is_a_gap_with_its_reason_but_the_run_is_complete(tmp_path):
    bad = {("moment_lora", 20, 102): ("oom", "OutOfMemoryError: 9 GB asked for")}
    sweep = load_sweep([make_run(tmp_path / "run", tiny(bad=bad))])
    (gap,) = sweep.gaps
    assert ("oom", "OutOfMemoryError: 9 GB asked for") == (gap.status, gap.reason)
    assert sweep.complete
    assert 102 not in set(sweep.report.loc[sweep.report["detector"] == "moment_lora", "draw"])


def test_the_last_line_of_a_draw_counts(tmp_path):
    run = make_run(tmp_path / "run", tiny())
    path = run / "rows.jsonl"
    row = json.loads(path.read_text().splitlines()[0]) | {"average_precision": 0.125}
    path.write_text(path.read_text() + json.dumps(row) + "\n")
    sweep = load_sweep([run])
    assert [0.125] == [v for v in sweep.rows["average_precision"] if v == 0.125]
    assert 9 == len(sweep.report)


def test_a_configuration_that_a_longer_search_replaced_is_left_out_and_said(tmp_path):
    run = make_run(tmp_path / "run", tiny())
    path = run / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    newer = [
        row | {"param.rank": 99, "trial": f"new{row['draw']}"}
        for row in rows
        if row["detector"] == "moment_lora" and row["phase"] == "report"
    ]
    path.write_text(path.read_text() + "".join(json.dumps(row) + "\n" for row in newer[:2]))
    sweep = load_sweep([run])
    kept = sweep.report[sweep.report["detector"] == "moment_lora"]
    assert {99} == set(kept["param.rank"])
    assert [102] == [gap.draw for gap in sweep.gaps]
    assert any("longer search replaced" in note for note in sweep.notes)


def test_a_search_without_a_survivor_counts_as_failed_not_as_unfinished(tmp_path):
    run = make_run(tmp_path / "run", tiny())
    path = run / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    manifest = json.loads((run / "manifest.json").read_text())
    for cell in manifest["cells"]:
        cell["selection_draws"], cell["candidates"] = ([0, 1], 2) if cell["detector"] == "moment_lora" else ([], 0)
    (run / "manifest.json").write_text(json.dumps(manifest))
    kept = [r for r in rows if not (r["detector"] == "moment_lora" and r["phase"] == "report")]
    for row in kept:
        if row["detector"] == "moment_lora" and row["draw"] == 1:
            row["status"] = "failed"
    path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    sweep = load_sweep([run])
    assert sweep.complete
    assert {("failed", NO_WINNER)} == {(gap.status, gap.reason) for gap in sweep.gaps}


def test_without_a_manifest_rows_are_read_and_the_lack_is_said(tmp_path):
    run = make_run(tmp_path / "run", tiny())
    (run / "manifest.json").unlink()
    sweep = load_sweep([run])
    assert sweep.planned is None
    assert any("manifest" in note for note in sweep.notes)


def test_claims_are_refused_on_selection_rows(fake_sweep):
    with pytest.raises(ClaimError, match="selection rows"):
        require_claimable(fake_sweep.rows)


def test_claims_are_refused_when_seeds_were_searched(fake_sweep):
    with pytest.raises(ClaimError, match="searched"):
        require_claimable(fake_sweep.report.assign(seeds="searched"))


@pytest.mark.parametrize("content", [None, "", '{"not": "a row"}\n'])
def test_what_is_not_a_run_is_one_clear_error(tmp_path, content):
    folder = tmp_path / "run"
    if content is not None:
        folder.mkdir()
        (folder / "rows.jsonl").write_text(content)
    with pytest.raises(AnalysisError, match="run"):
        load_sweep([folder])


def test_unlike_fingerprints_of_two_runs_are_refused_unless_told(tmp_path):
    runs = [
        make_run(tmp_path / "a", tiny()),
        make_run(tmp_path / "b", tiny(column={"fingerprint": "0ther"})),
    ]
    with pytest.raises(AnalysisError, match="--mixed"):
        load_sweep(runs)
    assert any(note.startswith("Mixed input") for note in load_sweep(runs, mixed=True).notes)


def forced(folder, sweep, draws):
    """A run in which other code made some draws of the random forest (a slice); and all rows of its report draws."""
    run = make_run(folder, sweep)
    path = run / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    report = [row for row in rows if row["phase"] == "report" and row["detector"] == "random_forest"]
    for row in report[draws]:
        row["fingerprint"] = "0ther"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_sweep([run]), report


@pytest.mark.parametrize(
    ("draws", "made_elsewhere", "left"),
    [
        (10, slice(9, 10), list(range(100, 109))),
        (10, slice(0, 1), list(range(101, 110))),
        (4, slice(2, 4), [102, 103]),
    ],
    ids=["one draw retried at the end", "one old draw", "as many of both: the later"],
)
def test_the_origin_that_made_most_draws_of_a_cell_stays(tmp_path, draws, made_elsewhere, left):
    made = FakeSweep(searched=(), skill={"random_forest": {20: 1.0}}, draws=draws)
    sweep, _ = forced(tmp_path / "run", made, made_elsewhere)
    assert left == list(sweep.report["draw"])
    assert any("A new run of the sweep file" in note for note in sweep.notes)


def test_rows_of_unlike_fingerprints_in_one_cell_are_not_pooled(tmp_path):
    sweep, report = forced(tmp_path / "run", tiny(), slice(0, 1))
    left = sweep.report[sweep.report["detector"] == "random_forest"]
    assert [row["draw"] for row in report[1:]] == list(left["draw"])
    (gap,) = sweep.gaps
    assert ("random_forest", report[0]["draw"], "pruned") == (gap.detector, gap.draw, gap.status)
    assert "other code, data or weights" in gap.reason
    assert any(note.startswith("1 rows of random_forest at ") for note in sweep.notes)


def test_the_same_detector_in_two_runs_is_told_apart_not_pooled(tmp_path):
    runs = [make_run(tmp_path / name, tiny()) for name in ("a", "b")]
    sweep = load_sweep(runs)
    assert {"random_forest [a]", "random_forest [b]"} <= set(sweep.rows["detector"])
    assert 3 == len(sweep.report[sweep.report["detector"] == "random_forest [a]"])
    assert sweep.complete


def test_notes_do_not_depend_on_where_the_folder_lies(tmp_path: Path):
    first = load_sweep([make_run(tmp_path / "one", tiny())])
    second = load_sweep([make_run(tmp_path / "deep" / "two", tiny())])
    assert first.notes == second.notes


def test_folds_that_saw_the_held_out_kind_are_no_part_of_the_plan_of_the_claims(fake_sweep):
    exposure = {0: "unseen", 1: "seen", 2: "unseen", 3: "seen"}
    planned = pd.concat([fake_sweep.planned.assign(fold=fold, exposure=told) for fold, told in exposure.items()])
    assert {0, 2} == set(replace(fake_sweep, planned=planned).plan["fold"])


def test_where_the_plan_does_not_say_what_a_fold_saw_its_rows_do(fake_sweep):
    one = fake_sweep.rows[fake_sweep.rows["phase"] == "report"]
    rows = pd.concat([one.assign(fold=fold, exposure=told) for fold, told in ((0, "unseen"), (1, "seen"))])
    assert {0} == set(replace(fake_sweep, rows=rows, planned=None).plan["fold"])


def test_the_plan_of_a_sweep_without_held_out_kinds_is_every_planned_draw(fake_sweep):
    assert len(fake_sweep.planned) == len(fake_sweep.plan)


@pytest.mark.parametrize(("column", "values"), [("device", ("cuda", "cpu")), ("dtype", ("fp32", "bf16"))])
def test_a_cell_that_was_computed_in_two_ways_is_named(tmp_path, column, values):
    run = make_run(tmp_path / "run", tiny())
    path = run / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row[column] = values[row["draw"] % 2] if row["detector"] == "moment_lora" else values[0]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (note,) = load_sweep([run]).notes
    assert f"Draws of moment_lora at 20 shots on simulated were computed in {' and '.join(sorted(values))}." == note


def edited(folder, change):
    """A run whose rows were changed, each by a function of itself."""
    run = make_run(folder, tiny())
    path = run / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row | change(row)) + "\n" for row in rows))
    return run


def test_rows_of_several_schema_versions_are_said_to_be_mixed(tmp_path):
    sweep = load_sweep([edited(tmp_path / "run", lambda row: {"schema_version": 1 - row["draw"] % 2})])
    (note,) = sweep.notes
    assert note.startswith("Mixed input: rows of schema versions 0 and 1")


def test_a_row_of_a_newer_schema_is_named_by_its_line(tmp_path):
    run = edited(tmp_path / "run", lambda row: {"schema_version": 2} if row["draw"] == 101 else {})
    with pytest.raises(AnalysisError, match=r"rows\.jsonl:\d+: of schema 2, this version reads up to 1"):
        load_sweep([run])


def test_a_share_above_one_is_named_with_its_row(tmp_path):
    run = edited(tmp_path / "run", lambda row: {"f1": 1.2} if row["draw"] == 101 and row["f1"] is not None else {})
    with pytest.raises(AnalysisError, match=r"f1 is 1.2 for \w+ on simulated, \d+ shots, report draw 101; it lies"):
        load_sweep([run])


def test_metrics_that_rows_lack_come_from_score_files_and_a_search_without_them_is_said(tmp_path):
    whole = load_sweep([make_run(tmp_path / "run", tiny())])
    without_metrics(tmp_path / "run", {"report", "select"})
    again, names = load_sweep([tmp_path / "run"]), [*whole.metrics]
    pd.testing.assert_frame_equal(whole.rows[names], again.rows[names])
    for row in whole.selection.to_dict("records"):  # as earlier versions left it
        score_file(tmp_path / "run", row["trial"], row["draw"]).unlink()
    bare = load_sweep([tmp_path / "run"])
    assert whole.metrics == bare.metrics
    pd.testing.assert_frame_equal(whole.report[names], bare.report[names])
    assert ("Selection rows hold no metric and have no score files: the search cannot be shown.",) == bare.notes


def test_rows_that_do_not_say_how_they_were_computed_draw_no_note(fake_sweep):
    assert () == fake_sweep.notes
