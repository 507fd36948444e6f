"""sweep.log: our events and others' warnings; a disk that refuses it costs one line."""

import logging
from pathlib import Path

from orchestrator.log_file import log_file


def test_events_of_ours_and_warnings_of_others_are_kept(tmp_path):
    with log_file(tmp_path / "sweep.log"):
        logging.getLogger("orchestrator.driver").info("ours")
        logging.getLogger("fontTools.subset").info("noise")
        logging.getLogger("urllib3").warning("theirs")
    lines = (tmp_path / "sweep.log").read_text().splitlines()
    assert ["ours", "theirs"] == [line.rpartition(": ")[2] for line in lines]


def test_a_log_that_cannot_be_written_says_so_once(capsys):
    with log_file(Path("/dev/full")):
        for _ in range(3):
            logging.getLogger("orchestrator.driver").info("ours")
    assert "/dev/full: cannot write: No space left on device\n" == capsys.readouterr().err


def test_levels_are_put_back(tmp_path):
    before = logging.getLogger().level
    with log_file(tmp_path / "sweep.log"):
        assert logging.INFO >= logging.getLogger().level
    assert before == logging.getLogger().level
