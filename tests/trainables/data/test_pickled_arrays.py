"""Arrays are read out of pickles without running what is in them."""

import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trainables.data.readers.pickled_array import read_pickled_array
from trainables.errors import DataError

KINDS = st.sampled_from(["<f4", "<f8", ">f4", "<i8", "<i4", "|i1", "|u1", "|b1"])
SHAPES = arrays.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=40)


@given(st.data(), st.sampled_from([2, 3, 4]), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_what_pickle_wrote_is_what_is_read(tmp_path, data, protocol, fortran):
    array = data.draw(arrays.arrays(data.draw(KINDS), data.draw(SHAPES)))
    array = np.asfortranarray(array) if fortran else array
    path = tmp_path / "array.pkl"
    path.write_bytes(pickle.dumps(array, protocol=protocol))
    read = read_pickled_array(path)
    assert array.dtype == read.dtype
    np.testing.assert_array_equal(array, read)


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("value", range(94, 102))
def test_a_single_byte_is_read_though_pickle_does_not_write_it_twice(tmp_path, protocol, value):
    path = tmp_path / "array.pkl"
    path.write_bytes(pickle.dumps(np.array([value], dtype="u1"), protocol=protocol))
    np.testing.assert_array_equal([value], read_pickled_array(path))  # 98 is b"b", which stands in every array's head


class Hostile:
    """Unpickling it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_pickle_is_refused_and_does_nothing(tmp_path, protocol):
    path, trap = tmp_path / "hostile.pkl", tmp_path / "sprung"
    path.write_bytes(pickle.dumps(Hostile(trap), protocol=protocol))
    with pytest.raises(DataError, match="not one pickled numpy array"):
        read_pickled_array(path)
    assert not trap.exists()


@pytest.mark.parametrize(
    "content",
    [[1, 2], {"a": np.zeros(3)}, np.asarray([object()]), np.asarray(["text"]), np.float64(1)],
    ids=["list", "dict", "objects", "text", "scalar"],
)
def test_anything_but_one_array_of_numbers_is_refused(tmp_path, content):
    path = tmp_path / "other.pkl"
    path.write_bytes(pickle.dumps(content, protocol=3))
    with pytest.raises(DataError, match=r"other\.pkl"):
        read_pickled_array(path)


def test_a_file_that_is_cut_off_or_no_pickle_is_refused(tmp_path):
    whole = pickle.dumps(np.zeros((4, 4)), protocol=3)
    path = tmp_path / "cut.pkl"
    for content in (whole[:-40], b"not a pickle", b""):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"cut\.pkl"):
            read_pickled_array(path)


def test_another_object_of_the_same_shape_of_pickle_is_refused(tmp_path):
    path = tmp_path / "renamed.pkl"
    path.write_bytes(pickle.dumps(np.zeros(3), protocol=3).replace(b"\nndarray\n", b"\nmatrix_\n"))
    with pytest.raises(DataError, match="not one pickled numpy array"):
        read_pickled_array(path)
