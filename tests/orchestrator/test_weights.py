"""Which backbones a plan names, and what the driver finds out about each before anything starts."""

import hashlib
import json
import shutil
from dataclasses import replace

import pytest

from orchestrator.space import Dimension
from orchestrator.weights import resolve_weights, worker_folders
from tests.fakes.plans import make_cell, make_sweep_plan
from trainables.backbones import BUNDLED, CONFIG_FILE, WEIGHTS_FILE, WEIGHTS_FOLDER
from trainables.errors import WeightsError


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(WEIGHTS_FOLDER, tmp_path / "copy")


def test_a_detector_without_a_backbone_needs_no_weights():
    assert {} == resolve_weights(make_sweep_plan(make_cell("random_forest")))


def test_the_default_backbone_is_resolved_hashed_and_not_said_to_be_untrained():
    found = resolve_weights(make_sweep_plan(make_cell("moment_lora")))
    assert {BUNDLED} == set(found)
    assert hashlib.sha256((WEIGHTS_FOLDER / WEIGHTS_FILE).read_bytes()).hexdigest() == found[BUNDLED].sha256
    assert not found[BUNDLED].untrained


def test_a_backbone_whose_configuration_says_so_is_untrained(folder):
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    (folder / CONFIG_FILE).write_text(json.dumps(config | {"untrained": True}), encoding="utf-8")
    cell = replace(make_cell("moment_lora"), space={"backbone": Dimension("choice", (str(folder),))})
    assert resolve_weights(make_sweep_plan(cell))[str(folder)].untrained


def test_every_choice_of_a_searched_backbone_is_resolved(folder):
    space = {"backbone": Dimension("choice", (BUNDLED, str(folder)))}
    found = resolve_weights(make_sweep_plan(replace(make_cell("moment_lora"), space=space)))
    assert {BUNDLED, str(folder)} == set(found)


def test_workers_are_told_the_folder_of_every_backbone_but_the_bundled_one(folder):
    space = {"backbone": Dimension("choice", (BUNDLED, str(folder)))}
    found = resolve_weights(make_sweep_plan(replace(make_cell("moment_lora"), space=space)))
    assert {str(folder): str(folder)} == worker_folders(found)


def test_a_searched_backbone_that_lacks_its_weights_is_an_error_before_the_start(folder):
    (folder / WEIGHTS_FILE).unlink()
    space = {"backbone": Dimension("choice", (BUNDLED, str(folder)))}
    with pytest.raises(WeightsError, match=WEIGHTS_FILE):
        resolve_weights(make_sweep_plan(replace(make_cell("moment_lora"), space=space)))
