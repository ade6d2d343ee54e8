"""The argument ``categorical_features``, which means what it does in ``HistGradientBoostingClassifier``."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lphm.data.columns import as_numbers_or_words, holds_numbers
from lphm.data.conversions import Conversions, convert, find_conversions
from lphm.data.words import is_category
from lphm.errors import InputError

Inputs: TypeAlias = pd.DataFrame | np.ndarray

WANTED = "categorical_features must be 'from_dtype', None, or a list of names, indices or truth values"


def are_listed(chosen: Any) -> bool:
    """Whether the argument lists the columns that hold categories."""
    return chosen is not None and not (isinstance(chosen, str) and chosen == "from_dtype")


def decided(inputs: Inputs, chosen: Any, named: bool) -> tuple[Inputs, tuple[str, ...], Conversions]:
    """A table by ``as_numbers_or_words``, its columns of categories by type or choice, and conversions.

    What is written for people and is no category becomes numbers first, see ``lphm.data.conversions``.

    Args:
        inputs: a table whose columns have names of text, or series.
        chosen: "from_dtype", None, or a mask, indices or names of columns.
        named: whether the names are those of the user's data frame.

    Raises:
        InputError: the argument fits no column, or a column that it does not list holds no numbers.
    """
    if not isinstance(inputs, pd.DataFrame):
        if are_listed(chosen):
            raise InputError(f"{WANTED}, and no list for series, got {chosen!r:.80}")
        return inputs, (), {}
    typed = tuple(name for name in inputs if is_category(inputs[name]))
    if not are_listed(chosen) and chosen is not None:
        conversions = find_conversions(inputs)
        return as_numbers_or_words(convert(inputs, conversions)), typed, conversions
    listed = () if chosen is None else _listed(chosen, list(inputs), named)
    conversions = find_conversions(inputs, listed)
    inputs = convert(inputs, conversions)
    for name in (name for name in inputs if name not in listed):
        column = inputs[name].astype(object) if name in typed else inputs[name]
        if holds_numbers(column, name) is False:
            got = f"text such as {column.dropna().iloc[0]!r:.60}"
            raise InputError(
                f"column {name!r} must hold numbers, for categorical_features does not list it, got {got}; "
                "list it or leave it out"
            )
    read = as_numbers_or_words(inputs, {name: name not in listed for name in inputs})
    return read, listed, conversions


def _listed(chosen: Any, names: Sequence[str], named: bool) -> tuple[str, ...]:
    """The names of the columns that the argument lists."""
    try:
        array, is_list = np.ravel(chosen), np.ndim(chosen) > 0
    except ValueError:  # lists of different lengths
        is_list = False
    if not is_list or not (array.dtype.kind in "biu" or all(isinstance(each, str) for each in array)):
        raise InputError(f"{WANTED}, got {chosen!r:.80}")
    if array.dtype.kind == "b":
        if len(array) != len(names):
            wanted = f"a truth value for each of the {len(names)} columns"
            raise InputError(f"categorical_features must be a mask with {wanted}, got {len(array)}")
        return tuple(name for name, is_listed in zip(names, array, strict=True) if is_listed)
    if array.dtype.kind in "iu":
        for place in array:
            if not 0 <= place < len(names):
                wanted = f"of at least 0 and below {len(names)}, the number of columns"
                raise InputError(f"categorical_features must hold indices {wanted}, got {place}")
        return tuple(names[place] for place in array)
    listed = tuple(map(str, array))
    for name in listed:
        if not named:
            wanted = "indices or a mask where the columns have no names"
            raise InputError(f"categorical_features must hold {wanted}, got {name!r}")
        if name not in names:
            got = f"{name!r}, not one of {', '.join(names):.200}"
            raise InputError(f"categorical_features must hold names of columns, got {got}")
    return listed
