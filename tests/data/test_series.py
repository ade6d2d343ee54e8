"""Series with missing values: which channels have gaps, and that they are not taken for the end."""

import json

import numpy as np
import pytest
import torch

from lphm.data.fitting import fit_series
from lphm.data.schema import SeriesSchema


def series(N: int = 5, steps: int = 8, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((N, steps, channels))


@pytest.mark.parametrize(
    ("missing", "gaps", "ragged"),
    [
        ([], [], False),
        ([np.s_[1, 4:]], [], True),  # the end
        ([np.s_[:, 6:]], [], False),  # the end of all
        ([np.s_[0]], [], True),  # a series without any step
        ([np.s_[1, 3, 1]], [1], False),
        ([np.s_[1, 0]], [0, 1, 2], False),  # a whole step, before others
        ([np.s_[1, 4:, 2]], [2], False),  # a channel that ends before the others
        ([np.s_[1, 4:], np.s_[2, 2, 0]], [0], True),
        ([np.s_[:, :, 1]], [1], False),  # a channel without any value
    ],
)
def test_a_channel_has_gaps_where_a_value_is_missing_before_the_end(
    missing: list, gaps: list[int], ragged: bool
) -> None:
    array = series()
    for place in missing:
        array[place] = np.nan
    schema = fit_series(array)
    assert (schema.gaps, schema.ragged) == (gaps, ragged)
    assert [channel.gaps for channel in schema.channels] == [j in gaps for j in range(3)]
    assert SeriesSchema.model_validate_json(schema.model_dump_json()) == schema
    encoded = schema.encode(array)
    assert encoded.shape == (5, schema.steps, 3)
    assert torch.equal(encoded.isnan(), torch.from_numpy(np.isnan(array[:, : schema.steps])))


def test_a_configuration_without_gaps_has_none() -> None:
    content = json.loads(fit_series(series()).model_dump_json())
    for channel in content["channels"]:
        del channel["gaps"]
    assert SeriesSchema.model_validate(content) == fit_series(series())


def test_gaps_do_not_change_what_standardises_the_others() -> None:
    array = series()
    array[1, 3, 1] = np.nan
    schema = fit_series(array)
    assert (schema.channels[0], schema.channels[2]) == tuple(fit_series(series()).channels[::2])
    assert schema.channels[1].mean == pytest.approx(np.nanmean(array[..., 1]))
    assert schema.channels[1].std == pytest.approx(np.nanstd(array[..., 1]))
    want = (array - np.nanmean(array, axis=(0, 1))) / np.nanstd(array, axis=(0, 1))
    torch.testing.assert_close(
        schema.encode(array), torch.from_numpy(want.astype(np.float32)), equal_nan=True
    )
