"""Broken sweep files: each mistake is one line with its place, what was found and what would be right."""

from pathlib import Path

import pytest

from orchestrator.errors import SpecError
from orchestrator.spec import load_spec

FAKE = "tests.fakes.detectors:Instant"

BAD = "tests.fakes.broken_detectors:"

BASE = f"""\
name: broken
few_shot: {{shots: [0, 20]}}
detectors:
  mine: {{class: "{FAKE}"}}
"""
"""A right file of four lines; most rows below add a fifth."""


def detector(settings: str) -> str:
    """Return a right file whose only detector has these settings on line 5."""
    return f'name: broken\nfew_shot: {{shots: [0, 20]}}\ndetectors:\n  mine:\n    {{class: "{FAKE}", {settings}}}\n'


BROKEN = [
    # unknown, missing and misplaced keys
    ("typo at the top", BASE + "serach: {}", "5:1", "serach: unknown key; did you mean search?"),
    ("typo inside", BASE + "search: {candidats: 3}", "5:10", "search.candidats: unknown key; did you mean candidates?"),
    ("typo two levels down", BASE + "split: {parts: {suport: 0.5}}", "5:17", "split.parts.suport: unknown key"),
    ("known keys are listed", BASE + "objective: {x: 1}", "5:13", "known: metric"),
    ("no name", BASE.replace("name: broken\n", ""), "1:1", "name: is missing"),
    ("no detectors", "name: a", "1:1", "detectors: is missing; map at least one detector"),
    ("no detector", "name: a\ndetectors: {}", "2:12", "detectors: found {}; must map at least one detector"),
    ("detectors as a list", "name: a\ndetectors: [pca]", "2:12", 'detectors: found ["pca"]; must map'),
    ("detector without braces", "name: a\ndetectors:\n  pca:", "3:7", "detectors.pca: found null; must be a mapping"),
    ("count missing", BASE.replace("20]", "20], report_seeds: {first: 3}"), "2:28", "report_seeds.count: is missing"),
    ("name is a path", BASE.replace("broken", "a/b"), "1:7", 'found "a/b"; must be text that matches'),
    ("name is a number", BASE.replace("broken", "3"), "1:7", "name: found 3; must be text"),
    # wrong types and bounds
    ("text for a number", BASE + "search: {candidates: many}", "5:22", 'found "many"; must be a whole number'),
    ("quoted number", BASE + 'search: {candidates: "5"}', "5:22", 'found "5"; must be a whole number'),
    ("fraction of a candidate", BASE + "search: {candidates: 2.5}", "5:22", "found 2.5; must be a whole number"),
    ("true for a number", BASE + "search: {seed: true}", "5:16", "found true; must be a whole number"),
    ("number for true", BASE + "search: {racing: 1}", "5:18", "found 1; must be true or false"),
    ("no candidates", BASE + "search: {candidates: 0}", "5:22", "found 0; must be at least 1"),
    ("negative seed", BASE + "search: {seed: -1}", "5:16", "found -1; must be at least 0"),
    ("null where a value is needed", BASE + "split: {folds: }", "5:15", "found null; must be a whole number"),
    ("scalar for a mapping", BASE + "split: event", "5:8", 'split: found "event"; must be a mapping of keys'),
    ("list for a mapping", BASE + "search: [tpe]", "5:9", "must be a mapping of keys"),
    ("unknown choice", BASE + "search: {sampler: tpr}", "5:19", "must be one of 'tpe' or 'random'; did you mean tpe?"),
    ("unknown protocol", BASE + "protocol: leave_one_out", "5:11", "must be one of 'standard'"),
    ("window not a multiple of 8", BASE + "data: {window: 33}", "5:16", "found 33; must be a multiple of 8"),
    ("window too long", BASE + "data: {window: 1024}", "5:16", "found 1024; must be at most 512"),
    ("no test windows", BASE + "data: {max_score_windows: {test: 0}}", "5:34", "found 0; must be at least 1"),
    ("segments as a number", BASE + "data: {segments: 3}", "5:18", "found 3; must be one of 'all' or a list"),
    ("a segment as a number", BASE + "data: {segments: [a, 4]}", "5:22", "data.segments[1]: found 4; must be text"),
    ("missing rule", BASE + "data: {missing: {default: hodl}}", "5:27", "did you mean hold?"),
    ("memory of nothing", BASE + "resources: {gpu_memory_gb: 0}", "5:28", "found 0; must be above 0"),
    ("trials per gpu", BASE + "resources: {trials_per_gpu: all}", "5:29", "must be a whole number or one of 'auto'"),
    ("quantile of 1", BASE + "threshold: {quantile: 1.0}", "5:23", "found 1.0; must be below 1"),
    ("tracker mode", BASE + "tracking: {wandb: {mode: of}}", "5:26", "one of 'auto', 'online', 'offline'"),
    ("project name", BASE + "tracking: {wandb: {project: a/b}}", "5:29", "none of / \\ # ? % : or a control"),
    ("empty project", BASE + 'tracking: {wandb: {project: ""}}', "5:29", "has 1 to 128 characters"),
    ("entity name", BASE + "tracking: {wandb: {entity: my team}}", "5:28", "letters, digits, - _ and . alone"),
    ("a key", BASE + "tracking: {wandb: {api_key: abc}}", "5:20", "do not belong in a sweep file: run `wandb login`"),
    ("key as project", BASE + f"tracking: {{wandb: {{project: {'ab12' * 10}}}}}", "5:29", "set WANDB_API_KEY"),
    ("key as entity", BASE + f"tracking: {{wandb: {{entity: {'ab12' * 10}}}}}", "5:28", "set WANDB_API_KEY"),
    ("fp16 as yes", BASE + "search: {racing: yes}", "5:18", "write true"),
    # rules between keys
    ("parts above 1", BASE + "split: {parts: {support: 0.5, validation: 0.5, test: 0.5}}", "5:16", "must be 1"),
    ("same shots twice", BASE.replace("[0, 20]", "[20, 20]"), "2:11", "shots must differ"),
    ("negative shots", BASE.replace("[0, 20]", "[0, -20]"), "2:23", "found -20; must be at least 0"),
    ("no shots", BASE.replace("[0, 20]", "[]"), "2:19", "must be a list of at least 1"),
    (
        "draws shared by search and report",
        BASE.replace("20]", "20], selection_seeds: {first: 99, count: 3}"),
        "2:11",
        "share draws [100, 101]",
    ),
    ("only 0 shots", BASE.replace("[0, 20]", "[0]"), "4:3", "detectors.mine: learns from labelled faults"),
    ("never 0 shots", BASE.replace("[0, 20]", "[20]").replace("Instant", "InstantNone"), "4:3", "add 0 to few_shot"),
    ("metric", BASE + "objective: {metric: average_presicion}", "5:21", "did you mean average_precision?"),
    ("table without path", BASE + "data: {source: table}", "5:7", "source table needs a path"),
    ("too few services", BASE + "data: {simulator: {services: 1}}", "5:30", "data.simulator.services: found 1"),
    ("an unknown fault", BASE + "data: {simulator: {fault_mix: {deadlok: 1}}}", "5:41", "did you mean deadlock?"),
    ("a wrong parameter", BASE + "data: {simulator: {sevices: 3}}", "5:20", "did you mean services?"),
    ("a simulator for a table", BASE + "data: {path: a, source: smd, simulator: {drift: 0}}", "5:7", "source is smd"),
    ("path for the simulator", BASE + "data: {path: a.csv}", "5:7", "takes neither path nor incidents"),
    ("no such table", BASE + "data: {source: table, path: none.csv}", "5:29", "none.csv: no such file"),
    ("sources of one name", BASE + "data: [{rows: 2000}, {rows: 3000}]", "5:22", "two sources are called 'simulated'"),
    ("a wrong one of two sources", BASE + "data: [{name: a}, {name: b, windw: 8}]", "5:29", "data[1].windw: unknown"),
    ("empty list of sources", BASE + "data: []", "5:7", "must be a list of at least 1"),
    # detectors and their settings
    ("unknown detector", "name: a\ndetectors:\n  random_forrest: {}", "3:3", "did you mean random_forest?"),
    ("class that is no path", BASE.replace(FAKE, "Instant"), "4:17", "class must look like module:Class"),
    ("class that is not there", BASE.replace("Instant", "Instnat"), "4:17", "has no class 'Instnat'"),
    ("module that is not there", BASE.replace(FAKE, "nowhere:X"), "4:17", "cannot import 'nowhere'"),
    ("class that is no detector", BASE.replace(FAKE, "pathlib:Path"), "4:17", "is not a detector: it lacks"),
    ("class of unknown labels", BASE.replace(FAKE, BAD + "UnknownLabels"), "4:17", "labels is 'some', must be one of"),
    ("class without a method", BASE.replace(FAKE, BAD + "ScoreAsANumber"), "4:17", "score is not a method"),
    ("module that raises", BASE.replace(FAKE, "tests.fakes.broken_module:X"), "4:17", "planted (broken_module.py:3)"),
    ("detector name", BASE.replace("mine", '"my detector/1"'), "4:3", "letters, digits, _ and - only"),
    ("unknown parameter", detector("gian: 2"), "5:46", "detectors.mine.gian: unknown parameter; did you mean gain?"),
    ("wrong type of parameter", detector("gain: big"), "5:52", 'detectors.mine.gain: found "big"; must be a number'),
    ("list as parameter", detector("gain: [1, 2]"), "5:52", "must be a single value (to search it: space)"),
    ("fixed and searched", detector("choice: 1, space: {choice: {choice: [1, 2]}}"), "5:65", "keep one of them"),
    ("sources as text", detector("sources: all"), "5:55", 'found "all"; must be a list of names of sources'),
    ("unknown source", detector("sources: [simulatd]"), "5:56", "sources[0]: unknown source; did you mean simulated?"),
    # spaces
    ("unknown searched", detector("space: {chioce: {choice: [1]}}"), "5:54", "unknown parameter; did you mean choice?"),
    ("space as a list", detector("space: [choice]"), "5:53", "must map parameters to dimensions"),
    ("fixed value in space", detector("space: {choice: 3}"), "5:62", "a fixed value goes outside space"),
    ("two kinds", detector("space: {choice: {choice: [1], uniform: [0, 1]}}"), "5:62", "must be one of {choice: [...]"),
    ("kind", detector("space: {gain: {loguniform: [1, 2]}}"), "5:61", "did you mean log_uniform?"),
    ("empty choice", detector("space: {choice: {choice: []}}"), "5:71", "choice is empty"),
    ("choice twice", detector("space: {choice: {choice: [1, 1]}}"), "5:71", "lists a value twice"),
    ("choice of a wrong type", detector("space: {choice: {choice: [1, 2.5]}}"), "5:75", "found 2.5; must be a whole"),
    ("one end", detector("space: {gain: {uniform: [1]}}"), "5:70", "takes two numbers, [low, high]; found [1]"),
    ("not a list", detector("space: {gain: {uniform: 1}}"), "5:70", "found 1; must be a list"),
    ("text as an end", detector("space: {gain: {uniform: [1, b]}}"), "5:70", "takes two numbers"),
    ("low above high", detector("space: {gain: {uniform: [2, 1]}}"), "5:70", "needs low < high; found [2, 1]"),
    ("low is high", detector("space: {gain: {uniform: [2, 2]}}"), "5:70", "needs low < high"),
    ("log from 0", detector("space: {gain: {log_uniform: [0, 1]}}"), "5:74", "needs a low end above 0"),
    ("log from below 0", detector("space: {gain: {log_uniform: [-1, 1]}}"), "5:74", "needs a low end above 0"),
    ("fraction in whole numbers", detector("space: {choice: {int_uniform: [1, 2.5]}}"), "5:76", "takes whole numbers"),
    ("fractions for a whole parameter", detector("space: {choice: {uniform: [1, 9]}}"), "5:72", "must be a whole"),
    # MOMENT
    ("fp16", BASE + "  moment_lora: {precision: fp16}", "5:28", "fp16 is refused"),
    ("rank 0", BASE + "  moment_lora: {rank: 0}", "5:23", "detectors.moment_lora.rank: found 0; must be at least 1"),
    ("rank 0 among others", BASE + "  moment_lora: {space: {rank: {choice: [0, 4]}}}", "5:41", "choice[0]: found 0"),
    ("rank 0 at an end", BASE + "  moment_lora: {space: {rank: {int_uniform: [0, 4]}}}", "5:46", "must be at least 1"),
    ("backbone", BASE + "  moment_zero_shot: {backbone: bundeld}", "5:32", "did you mean bundled?"),
    ("searched backbone", BASE + "  moment_lora: {space: {backbone: {choice: [x]}}}", "5:45", "unknown backbone"),
    ("folder of a backbone", BASE + "  moment_lora: {backbone: ./none}", "5:27", "no such folder"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place", "phrase"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, place: str, phrase: str):
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    told = [problem for problem in caught.value.problems if phrase in problem]
    assert told, caught.value.problems
    assert told[0].startswith(f"{path}:{place}  ")


def test_a_single_mistake_is_a_single_line(tmp_path: Path):
    path = tmp_path / "sweep.yaml"
    several = {}
    for name, text, _, _ in BROKEN:
        path.write_text(text)
        with pytest.raises(SpecError) as caught:
            load_spec(path)
        if len(caught.value.problems) != 1:
            several[name] = caught.value.problems
    assert {"typo two levels down"} >= set(several), several


def test_every_mistake_of_a_file_comes_at_once_in_its_order(tmp_path: Path):
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "name: a\nserach: {}\nsearch: {candidates: 0}\nobjective: {metric: f2}\n"
        f'detectors:\n  mine: {{class: "{FAKE}", gian: 1}}\n  pcaa: {{}}\n  pca: 3\n'
    )
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    places = [problem.split("  ")[0].removeprefix(f"{path}:") for problem in caught.value.problems]
    assert ["2:1", "3:22", "4:21", "6:50", "7:3", "8:8"] == places


def test_at_least_forty_mistakes_are_tried():
    assert len({text for _, text, _, _ in BROKEN}) >= 40


@pytest.mark.parametrize("key", ["ab12" * 10, "local-" + "ab12" * 10, "wandb_v1_" + "Ab1" * 8])
@pytest.mark.parametrize("place", ["mode", "project", "entity", "api_key"])
def test_a_wandb_key_in_the_file_or_an_option_is_never_repeated(tmp_path, key, place):
    (tmp_path / "sweep.yaml").write_text(f"{BASE}tracking: {{wandb: {{{place}: {key}}}}}\n", encoding="utf-8")
    with pytest.raises(SpecError) as in_file:
        load_spec(tmp_path / "sweep.yaml")
    (tmp_path / "sweep.yaml").write_text(BASE, encoding="utf-8")
    with pytest.raises(SpecError) as in_option:
        load_spec(tmp_path / "sweep.yaml", overrides=[f"tracking.wandb.{place}={key}"])
    for message in (str(in_file.value), str(in_option.value)):
        assert f"tracking.wandb.{place}" in message
        assert key not in message
        assert "ab12ab12" not in message
