import numpy as np
import pytest

from trainables.data import load_source
from trainables.data.readers.labels import read_labels, read_quality, read_types
from trainables.errors import DataError


def labels_of(*texts):
    labels, types = read_labels(np.asarray(texts, dtype=object), "label", "t.csv", lambda row: f"line {row + 2}")
    return labels.tolist(), types.tolist()


def message_of(*texts):
    with pytest.raises(DataError) as caught:
        labels_of(*texts)
    return str(caught.value)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("0", "1"), [0, 1]),
        (("0.0", "1.0", "1e0"), [0, 1, 1]),
        (("True", "FALSE", "true"), [1, 0, 1]),
        (("0", "1", "True", "FALSE"), [0, 1, 1, 0]),
        (("no", "yes"), [0, 1]),
        (("normal", "Fault"), [0, 1]),
        (("Normal", "ANOMALY", "none"), [0, 1, 0]),
        (("0", "", "1"), [0, -1, 1]),
        (("", ""), [-1, -1]),
    ],
)
def test_binary_labels_are_mapped_whatever_their_case(texts, expected):
    assert (expected, [""] * len(texts)) == labels_of(*texts)


def test_names_beside_normal_are_fault_types_and_none_is_normal():
    assert ([0, 1, 1, -1, 0], ["", "cpu", "net loss", "", ""]) == labels_of("None", "cpu", "net loss", "", "normal")


def test_a_blank_is_unlabelled_never_normal(write_table):
    series = load_source(write_table("timestamp,a,label\n1,1,0\n2,2,\n3,3,1\n"))
    assert ([0, -1, 1], [True, False, True]) == (series.labels.tolist(), series.usable.tolist())
    assert "1 row without a label: neither trained nor scored on." in series.notes


def test_other_numbers_are_listed_with_their_lines():
    assert "'2' (line 4), '-1' (line 6)" in message_of("0", "1", "2", "2", "-1")


def test_numbers_mixed_with_names_are_listed():
    message = message_of("0", "1", "cpu", "mem", "cpu", "1")
    assert "'cpu' (line 4), 'mem' (line 5)" in message
    assert "mixes" in message


def test_the_rarer_kind_of_a_mixture_is_listed():
    message = message_of("cpu", "mem", "disk", "1", "cpu")
    assert "'1' (line 5)" in message
    assert "'cpu'" not in message


def test_a_typo_is_refused_with_the_nearest_word():
    assert "'falut' (line 4, did you mean fault?)" in message_of("normal", "fault", "falut")
    assert "'nromal' (line 3, did you mean normal?)" in message_of("normal", "nromal", "cpu")


@pytest.mark.parametrize("word", ["N/A", "nan", "NULL", "unknown", "?"])
def test_words_that_could_mean_normal_or_unlabelled_are_refused(word):
    assert f"'{word}' (line 3)" in message_of("0", word)
    assert f"'{word}' (line 3)" in message_of("normal", word, "cpu")


def test_none_and_na_do_not_vanish_on_the_way_from_the_file(write_table):
    series = load_source(write_table("timestamp,a,label\n1,1,None\n2,2,cpu\n3,3,none\n"))
    assert [0, 1, 0] == series.labels.tolist()
    with pytest.raises(DataError, match=r"'N/A' \(line 3\)"):
        load_source(write_table("timestamp,a,label\n1,1,None\n2,2,N/A\n"))


def test_at_most_64_types_are_possible():
    assert 64 == len(set(labels_of("normal", *(f"type {i}" for i in range(64)))[1])) - 1
    assert "holds 65 different names" in message_of("normal", *(f"type {i}" for i in range(65)))


def test_more_than_ten_wrong_values_are_cut():
    assert "and 3 more" in message_of("0", *(str(number) for number in range(2, 15)))


def types_of(labels, texts, named=None):
    named = named or [""] * len(texts)
    line = lambda row: f"line {row + 2}"  # noqa: E731
    return read_types(
        np.asarray(texts, dtype=object), np.asarray(labels, dtype=np.int8), np.asarray(named, dtype=object), "t", line
    ).tolist()


def test_types_come_from_their_own_column_or_else_from_the_label():
    assert ["", "cpu", "", "mem"] == types_of([0, 1, -1, 1], ["normal", "cpu", "x", ""], ["", "", "", "mem"])


def test_a_type_that_contradicts_the_label_is_refused():
    with pytest.raises(DataError, match=r"line 3: label says normal, fault_type 'cpu' says a fault \(1 such rows\)"):
        types_of([0, 0], ["normal", "cpu"])
    with pytest.raises(DataError, match=r"line 2: label says fault, fault_type 'Normal' says normal"):
        types_of([1, 0], ["Normal", ""])


def test_a_fault_without_a_type_is_called_fault(write_table):
    series = load_source(write_table("timestamp,a,label\n1,1,0\n2,2,1\n"))
    assert ("fault",) == series.fault_types


def test_a_fault_type_column_alone_labels(write_table):
    series = load_source(write_table("timestamp,a,fault_type\n1,1,normal\n2,2,cpu\n3,3,\n"))
    assert ([0, 1, -1], ("cpu",)) == (series.labels.tolist(), series.fault_types)


def test_unknown_quality_is_listed():
    with pytest.raises(DataError, match=r"must be one of ok, assumed_normal, guard, suspect; found 'bad' \(line 3\)"):
        read_quality(np.asarray(["ok", "bad"], dtype=object), "t", lambda row: f"line {row + 2}")
