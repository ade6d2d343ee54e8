"""Series from the ``.ts`` files of the time-series archives: a header, then a series in every line.

    @classLabel true a b
    @data
    0.5,0.7,?:1.0,1.5,2.0:a

Channels stand between colons, numbers between commas, and the label comes last.
"""

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pandas as pd

from lphm.data.dataset import Dataset
from lphm.data.row_options import RowOptions
from lphm.data.series import padded
from lphm.data.tables import reading
from lphm.data.text_files import open_text, read_text
from lphm.errors import InputError


def labelled_ts(path: Path, target: str | None, options: RowOptions) -> Dataset:
    """Series and their target: ``class``, or ``target`` if it holds numbers, unless it gets a name here."""
    if options.columns:
        raise InputError(f"{path} must be read without group, time and weight; leave them out")
    array, labels = read_ts(path)
    if labels is None:
        raise InputError(f"{path} must have labels (@classLabel true, or @targetLabel true), got none")
    labels = labels.rename(target or labels.name)
    known = labels.notna().to_numpy()
    if not known.any():
        raise InputError(f"{path} must have a series with a label, got none")
    return Dataset(path.name, array[known], labels[known], row_options=options)


def read_ts(path: Path) -> tuple[np.ndarray, pd.Series | None]:
    """Series ``(N, steps, channels)``, ``nan`` after the end, and their labels: categories or numbers."""

    def read(encoding: str) -> tuple[np.ndarray, pd.Series | None]:
        with open_text(path, encoding) as file:
            return _parsed(enumerate(file, 1), path)

    with reading(path, ".ts file"):
        return read_text(path, read)[0]


def _parsed(numbered: Iterable[tuple[int, str]], path: Path) -> tuple[np.ndarray, pd.Series | None]:
    stripped = ((number, line.strip()) for number, line in numbered)
    lines = ((number, line) for number, line in stripped if line and line[0] not in "#%")
    header = _header(lines, path)
    if _is_true(header, "@timestamps"):
        remedy = "write the values alone"
        raise InputError(f"{path} must be without time stamps (@timeStamps false), got true; {remedy}")
    has_classes, has_numbers = _is_true(header, "@classlabel"), _is_true(header, "@targetlabel")
    series: list[np.ndarray] = []
    labels: list[str | float | None] = []
    for number, line in lines:
        channels = line.split(":")
        try:
            if has_classes or has_numbers:
                label = channels.pop().strip()
                if has_classes and label not in (*header["@classlabel"][1:], "?"):
                    raise ValueError(f"the class {label!r:.40}, which the header does not name")
                known = None if label == "?" else label if has_classes else float(label)
                labels.append(known)
            if not channels:
                raise ValueError("no values")
            series.append(_matrix(channels))
        except ValueError as error:
            wanted = "numbers or '?' between commas, channels between colons, and the label at the end"
            raise InputError(f"{path} must have {wanted}, got {error!s:.80} in line {number}") from error
        if series[-1].shape[1] != series[0].shape[1]:
            got = f"{series[0].shape[1]} and, in line {number}, {series[-1].shape[1]}"
            raise InputError(f"{path} must have the same channels in every series, got {got}")
    if not series:
        raise InputError(f"{path} must hold series below @data, got none")
    if has_classes:
        return padded(series), pd.Series(labels, dtype="category", name="class")
    return padded(series), pd.Series(labels, dtype=np.float64, name="target") if has_numbers else None


def _header(lines: Iterator[tuple[int, str]], path: Path) -> dict[str, list[str]]:
    """The words behind each key, in lower case, up to ``@data``."""
    header: dict[str, list[str]] = {}
    for number, line in lines:
        key, *words = line.split()
        if key.lower() == "@data":
            return header
        if not key.startswith("@"):
            wanted = "lines that begin with '@' up to '@data'"
            raise InputError(f"{path} must begin with {wanted}, got {line!r:.40} in line {number}")
        header[key.lower()] = words
    raise InputError(f"{path} must have a line '@data', got none")


def _is_true(header: dict[str, list[str]], key: str) -> bool:
    return [word.lower() for word in header.get(key, [])[:1]] == ["true"]


def _matrix(channels: list[str]) -> np.ndarray:
    """``(steps, channels)``; a channel that ends before others is ``nan`` from there on."""
    values = [[*map(float, cells.replace("?", "nan").split(","))] if cells else [] for cells in channels]
    return np.array([*zip_longest(*values, fillvalue=np.nan)]).reshape(-1, len(channels))
