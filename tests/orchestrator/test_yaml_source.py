"""YAML text to values and places."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import SpecError
from orchestrator.yaml_source import Place, dotted, dump, load, parse, scalar


def test_numbers_are_read_as_people_write_them():
    values, _ = parse("a: 1e-4\nb: 1.0e-4\nc: 10_000\nd: .5\ne: -3\nf: 1E3", "x")
    assert {"a": 1e-4, "b": 1e-4, "c": 10_000, "d": 0.5, "e": -3, "f": 1000.0} == values


def test_dates_times_and_octals_stay_text():
    values, _ = parse("a: 2023-01-30\nb: 1:30\nc: 010\nd: 2023-01-30_load", "x")
    assert {"a": "2023-01-30", "b": "1:30", "c": "010", "d": "2023-01-30_load"} == values


def test_quoted_switch_words_are_text():
    values, _ = parse("\"on\": 'yes'\n'no': \"off\"", "x")
    assert {"on": "yes", "no": "off"} == values


def test_every_key_and_value_has_its_place():
    _, positions = parse("a:\n  b: [1, {c: 2}]\n", "x")
    assert Place(2, 3) == positions.key(("a", "b"))
    assert Place(2, 7) == positions.value(("a", "b", 0))
    assert Place(2, 11) == positions.key(("a", "b", 1, "c"))
    assert Place(2, 14) == positions.value(("a", "b", 1, "c"))


def test_a_key_that_does_not_exist_is_placed_at_its_parent():
    _, positions = parse("a:\n  b: 1\n", "x")
    assert Place(1, 1) == positions.key(("a", "missing", "deeper"))
    assert Place(1, 1) == positions.key(("nowhere",))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2", "x:2:1  a: given twice; first on line 1. Keep one of them"),
        ("a: {b: 1, b: 2}", "x:1:11  a.b: given twice; first on line 1. Keep one of them"),
        ("on: 1", 'x:1:1  key on is not text in YAML; if you mean the word, quote it: "on":'),
        ("a: {No: 1}", 'x:1:5  a: key No is not text in YAML; if you mean the word, quote it: "No":'),
        ("1: a", 'x:1:1  key 1 is not text in YAML; if you mean the word, quote it: "1":'),
        ("a: yes", 'x:1:4  a: yes is read differently by YAML versions; write true, or "yes" for text'),
        ("a: [off]", 'x:1:5  a[0]: off is read differently by YAML versions; write false, or "off" for text'),
        ("a:\n\tb: 1", "x:2:1  tab in the indentation; use spaces"),
        ("a:\tb: 1", "x:1:3  not YAML: tab; use spaces"),
        ("a: &n 1\nb: *n", "x:1:4  anchor & is not supported; write the value out, or quote it if it is text"),
        (
            "a: !!python/name:os.system x",
            "x:1:4  tag ! is not supported; write the value out, or quote it if it is text",
        ),
        ("[1, 2]", "x:1:1  the top level is a list; it must be a mapping of keys (name: ...)"),
        ("just text", "x:1:1  the top level is a single value; it must be a mapping of keys (name: ...)"),
        ("", "x:1:1  the file is empty; a sweep file needs at least name, few_shot and detectors"),
        ("# only a comment\n", "x:1:1  the file is empty; a sweep file needs at least name, few_shot and detectors"),
        ("a: .nan", "x:1:4  a: .nan is not a finite number"),
        ("a: 1e999", "x:1:4  a: 1e999 is not a finite number"),
        ("? [a]\n: 1", "x:1:3  a key must be a word, found a list or mapping"),
    ],
)
def test_what_yaml_would_misread_is_refused_with_its_place(text: str, line: str):
    with pytest.raises(SpecError) as caught:
        parse(text, "x")
    assert line == caught.value.problems[0]


@pytest.mark.parametrize("text", ["a: [1", "a: 'b", "a: b: c", "a: 1\n b: 2", "{", "---\na: 1\n---\nb: 1", "a: @b"])
def test_text_that_is_not_yaml_is_one_message_with_a_place(text: str):
    with pytest.raises(SpecError) as caught:
        parse(text, "x")
    assert 1 == len(caught.value.problems)
    assert caught.value.problems[0].startswith("x:")
    assert "not YAML" in caught.value.problems[0]


def test_all_problems_come_at_once():
    with pytest.raises(SpecError) as caught:
        parse("a: 1\na: 2\non: 3\nb: .inf\nc: no", "x")
    assert ["x:2", "x:3", "x:4", "x:5"] == [problem[:3] for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        (b"\xff\xfe\x00a", "not UTF-8 text"),
        (b"PAR1\x00\x01", "binary file"),
        (b"a" * 1_000_001, "is this the data?"),
        (b"\xef\xbb\xbf", "the file is empty"),
    ],
)
def test_a_file_that_is_no_sweep_file_is_told_so(tmp_path: Path, content: bytes, phrase: str):
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=phrase):
        load(path)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path):
    with pytest.raises(SpecError, match="no such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(SpecError, match="is a folder"):
        load(tmp_path)


def test_a_byte_order_mark_does_not_hide_the_first_key(tmp_path: Path):
    path = tmp_path / "file.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\r\nb: 1\r\n")
    assert {"name": "x", "b": 1} == load(path)[0]


@pytest.mark.parametrize(
    ("text", "value"), [("[0, 100]", [0, 100]), ("1e-3", 1e-3), ("null", None), ("", None), ("x", "x")]
)
def test_the_value_of_an_option_is_yaml(text: str, value: object):
    assert value == scalar(text)


def test_a_wrong_value_of_an_option_has_no_place():
    with pytest.raises(SpecError) as caught:
        scalar("[1")
    assert ["'[1' is not a YAML value"] == caught.value.problems


def test_key_paths_read_like_code():
    assert "a.b[1].c" == dotted(("a", "b", 1, "c"))


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), max_size=12)
texts = words | st.sampled_from(["yes", "On", "1e-4", "010", "2023-01-30", "~", "", "null", ".5", "a: b", "#x", "1_0"])
trees = st.recursive(
    plain | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)


@given(st.dictionaries(texts, trees, min_size=1, max_size=4))
def test_what_is_dumped_is_read_back_the_same(values: dict[str, object]):
    assert values == parse(dump(values), "x")[0]
