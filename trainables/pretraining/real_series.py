"""Real series that PyPI packages ship: electricity profiles, weather, sensors. Read from the installed packages.

No labelled anomaly set is read: of aeon only the classification sets named here, not its KDD-TSAD_135, Daphnet and
`ecg-diff-count-3` files, which stay clean for zero-shot checks. A missing package is an error, never a smaller corpus.

The packages are never imported: their files are enough, so they are installed without their dependencies, whose pins
(pandas below 3.1, numba, pandapower) this project does not share.
"""

import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.errors import MissingPackageError

Series = NDArray[np.float32]

VERSIONS: Mapping[str, str] = {"simbench": "1.6.3", "aeon": "1.6.0", "pvlib": "0.16.1"}
"""Of the packages, as the bundled weights were made."""

SIMBENCH_YEARS = (0, 1, 2)
SIMBENCH_TABLES = ("LoadProfile", "RESProfile", "PowerPlantProfile", "StorageProfile")
SIMBENCH_HELD_OUT = re.compile(r"[A-Z]+\d*-[MH](_[pq]load)?")
"""Load profiles of the classes M and H (G0-M, L2-M, G3-H, H0-H, BL-H, WB-H ...): only the gate sees them."""

AEON_TRAINED = ("ACSF1", "OSULeaf", "GunPoint", "PickupGestureWiimoteZ", "BasicMotions")
AEON_HELD_OUT = ("ArrowHead",)
PVLIB_WEATHER = {"703165TY.csv": 1, "723170TYA.CSV": 1}
"""Typical weather years and the lines before their header."""

MISSING_CODE = -9900
"""Of the weather years."""

SHORTEST = 64
"""Steps a series must have."""


def training_series() -> Mapping[str, list[Series]]:
    """Return the real series pretraining sees, by corpus; each float32 [L], finite, not constant, no two equal.

    Raises
    ------
    MissingPackageError
        simbench or aeon is not installed.
    """
    profiles = dict(_simbench())
    return {
        "simbench": [series for name, series in profiles.items() if not SIMBENCH_HELD_OUT.fullmatch(name[1])],
        "aeon": [series for name in AEON_TRAINED for series in _aeon(name)],
    }


def held_out_series() -> Mapping[str, list[Series]]:
    """Return the real series that only the gate sees, by corpus, as `training_series` does.

    Raises
    ------
    MissingPackageError
        simbench, aeon or pvlib is not installed.
    """
    profiles = dict(_simbench())
    return {
        "simbench classes M and H": [s for name, s in profiles.items() if SIMBENCH_HELD_OUT.fullmatch(name[1])],
        **{f"aeon {name}": list(_aeon(name)) for name in AEON_HELD_OUT},
        "pvlib weather": list(_pvlib()),
    }


def package_folder(name: str) -> Path:
    """Return where a package is installed, without importing it.

    Raises
    ------
    MissingPackageError
        It is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        wanted = " ".join(f"{package}=={version}" for package, version in VERSIONS.items())
        raise MissingPackageError(
            f"pretraining reads real series from the package {name}, which is missing; run: "
            f"pip install --no-deps {wanted}"
        )
    return Path(spec.origin).parent


def _simbench() -> Iterator[tuple[tuple[int, str], Series]]:
    """Give the 15-minute profiles of three scenario years, [35136] each; most columns repeat and are given once."""
    networks = package_folder("simbench") / "networks"
    seen: set[bytes] = set()
    for year in SIMBENCH_YEARS:
        for table in SIMBENCH_TABLES:
            file = networks / f"1-complete_data-mixed-all-{year}-sw" / f"{table}.csv"
            if year == 0 and table == "StorageProfile":
                continue  # today's scenario has no storage
            for name, column in pd.read_csv(file, sep=";").drop(columns="time").items():
                series = column.to_numpy(np.float32)
                content = series.tobytes()
                if content not in seen and _usable(series):
                    seen.add(content)
                    yield (year, str(name)), series


def _aeon(name: str) -> Iterator[Series]:
    """Give every channel of every example of a classification set; training and test half."""
    for half in ("TRAIN", "TEST"):
        file = package_folder("aeon") / "datasets" / "data" / name / f"{name}_{half}.ts"
        examples = file.read_text(encoding="utf-8").lower().partition("@data")[2].split()
        for example in examples:
            for channel in example.split(":")[:-1]:  # the last field is the class
                if "?" not in channel:
                    series = np.array(channel.split(","), np.float32)
                    if _usable(series):
                        yield series


def _pvlib() -> Iterator[Series]:
    """Give the measured columns of two typical weather years, hourly, [8760] each."""
    for file, header in PVLIB_WEATHER.items():
        table = pd.read_csv(package_folder("pvlib") / "data" / file, skiprows=header)
        for name, column in table.select_dtypes("number").items():
            series = column.to_numpy(np.float32)
            measured = re.search("uncert|source", str(name)) is None and MISSING_CODE not in series
            if measured and _usable(series) and len(np.unique(series)) > 20:
                yield series


def _usable(series: Series) -> bool:
    return len(series) >= SHORTEST and bool(np.isfinite(series).all()) and float(series.std()) > 0
