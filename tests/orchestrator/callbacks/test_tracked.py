"""The tracker's ledger: what a W&B run holds, what is uploaded, and what is still missing."""

from orchestrator.callbacks.tracked import Ledger, Written, digests, files_digest
from tests.fakes.plans import make_cell, make_result, report_trial, select_trial


def rows_of_a_block(value: float = 0.5):
    trial = select_trial(make_cell(candidates=1))
    return [make_result(trial, draw, value) for draw in (0, 1)]


def write(run, entry: Written) -> None:
    (run / "wandb" / entry.folder).mkdir(parents=True, exist_ok=True)
    Ledger(run).add(entry)


def test_a_run_that_was_never_written_lacks_everything(tmp_path):
    assert Ledger(tmp_path).lacks("g-1", digests(rows_of_a_block()))


def test_a_run_on_disk_lacks_nothing_until_a_row_changes(tmp_path):
    write(tmp_path, Written("g-1", "offline-run-1-g-1", uploaded=False, content=digests(rows_of_a_block())))
    assert not Ledger(tmp_path).lacks("g-1", digests(rows_of_a_block()))
    assert Ledger(tmp_path).lacks("g-1", digests(rows_of_a_block(0.6)))


def test_a_run_whose_folder_was_deleted_is_missing_unless_it_was_uploaded(tmp_path):
    content = digests(rows_of_a_block())
    for number, uploaded in enumerate((False, True)):
        entry = Written(f"g-{number}", f"offline-run-1-g-{number}", uploaded=uploaded, content=content)
        write(tmp_path, entry)
        (tmp_path / "wandb" / entry.folder).rmdir()
    assert [True, False] == [Ledger(tmp_path).lacks(f"g-{number}", content) for number in (0, 1)]


def test_clear_removes_what_was_not_uploaded_and_what_was_never_finished(tmp_path):
    write(tmp_path, Written("g-1", "offline-run-1-g-1", uploaded=True, content={}))
    write(tmp_path, Written("g-1", "offline-run-2-g-1", uploaded=False, content={}))
    (tmp_path / "wandb" / "offline-run-3-g-1").mkdir()
    (tmp_path / "wandb" / "offline-run-4-g-2").mkdir()
    Ledger(tmp_path).clear("g-1")
    assert {"offline-run-1-g-1", "offline-run-4-g-2"} == {
        path.name for path in (tmp_path / "wandb").glob("offline-run-*")
    }


def test_the_mark_of_wandb_sync_is_found_and_an_upload_is_noted(tmp_path):
    for number in (1, 2):
        write(tmp_path, Written(f"g-{number}", f"offline-run-1-g-{number}", uploaded=False, content={"0": "a"}))
    (tmp_path / "wandb" / "offline-run-1-g-1" / "run-g-1.wandb.synced").touch()
    ledger = Ledger(tmp_path)
    arrived, left = ledger.waiting()
    assert "run-g-1.wandb.synced" == ledger.mark(arrived).name
    assert ledger.mark(left) is None
    ledger.note_upload(arrived)
    assert [left] == Ledger(tmp_path).waiting()
    assert {"0": "a"} == Ledger(tmp_path).uploaded("g-1")


def test_a_line_without_its_end_does_not_count(tmp_path):
    write(tmp_path, Written("g-1", "offline-run-1-g-1", uploaded=False, content={"0": "a"}))
    with (tmp_path / "wandb" / "tracked.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"run_id": "g-2", "fold')
    assert ["g-1"] == [entry.run_id for entry in Ledger(tmp_path).waiting()]


def test_the_group_is_the_run_folder_and_stays_when_the_folder_moves(tmp_path):
    run = tmp_path / "my sweep ü"
    assert "my-sweep" == Ledger(run).group
    write(run, Written("my-sweep-1", "offline-run-1-my-sweep-1", uploaded=False, content={}))
    moved = run.rename(tmp_path / "elsewhere")
    assert "my-sweep" == Ledger(moved).group


def test_digests_follow_the_row_and_nothing_else():
    trial = report_trial(make_cell())
    row = make_result(trial, 100)
    assert digests([row]) == digests([dict(row)])
    assert digests([row]) != digests([{**row, "attempts": 2}])


def test_a_digest_of_files_changes_with_place_and_size(tmp_path):
    file = tmp_path / "a"
    file.write_text("one")
    before = files_digest([file])
    assert before == files_digest([file])
    file.write_text("three")
    assert before != files_digest([file])


def test_what_follows_a_line_without_its_end_is_whole(tmp_path):
    write(tmp_path, Written("g-1", "offline-run-1-g-1", uploaded=False, content={}))
    with (tmp_path / "wandb" / "tracked.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"run_id": "g-2", "fol')
    write(tmp_path, Written("g-3", "offline-run-1-g-3", uploaded=False, content={}))
    assert ["g-1", "g-3"] == [entry.run_id for entry in Ledger(tmp_path).waiting()]
