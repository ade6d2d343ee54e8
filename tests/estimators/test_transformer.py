"""The transformer: scikit-learn's conventions, its names, and W."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from lphm import Full, InterdependenceTransformer, Toeplitz
from lphm.errors import InputError

SERIES = np.random.default_rng(0).standard_normal((24, 30, 2)).cumsum(1)
SMALL = {"groups": 2, "maps": 3, "random_state": 0}


@parametrize_with_checks([InterdependenceTransformer(groups=1, maps=2, random_state=0)])
def test_conventions_of_scikit_learn(estimator, check) -> None:
    check(estimator)


def test_every_feature_has_its_name_and_frames_have_them() -> None:
    transformer = InterdependenceTransformer(**SMALL).set_output(transform="pandas")
    frame = transformer.fit_transform(SERIES)
    assert isinstance(frame, pd.DataFrame)
    assert len(set(frame)) == frame.shape[1] == transformer.patterns_.num_features
    assert frame.columns[0] == "series_dilation1_group1_occurs_1_1"
    # The first two maps: each occurs where its map is above its threshold, both where both are.
    one, two, both = (frame[f"series_dilation1_group1_occurs_{entry}"] for entry in ("1_1", "2_2", "1_2"))
    assert (both <= np.minimum(one, two) + 1e-6).all()
    assert (both**2 >= one**2 + two**2 - 1 - 1e-6).all()


def test_the_identity_over_the_steps_is_what_there_is_without_a_structure() -> None:
    plain = InterdependenceTransformer(**SMALL).fit(SERIES)
    whole = InterdependenceTransformer(**SMALL, structure=Full(n=30), w=np.eye(30).ravel() / 30).fit(SERIES)
    features = pd.DataFrame(plain.transform(SERIES), columns=plain.get_feature_names_out())
    same = pd.DataFrame(whole.transform(SERIES), columns=whole.get_feature_names_out())[list(features)]
    # Where all steps count, which is in the first of two groups, and of the series, which have 30 of them.
    compared = [name for name in features if name.startswith("series") and "group1" in name]
    np.testing.assert_allclose(same[compared], features[compared], atol=2e-3)
    entries = sum("occurs" in name or "above" in name for name in features)
    assert len(whole.get_feature_names_out()) == features.shape[1] + entries // 6 * 3


def test_a_shift_tells_which_pattern_comes_first() -> None:
    ahead, behind = (
        InterdependenceTransformer(**SMALL, structure=Toeplitz(n=32, lags=5), w=np.eye(5)[place]).fit(SERIES)
        for place in (0, 4)
    )
    entries = [name.split("_")[3] in {"occurs", "above"} for name in ahead.get_feature_names_out()]
    one, other = (
        torch.from_numpy(each.transform(SERIES)[:, entries]).unflatten(1, (-1, 3, 3))
        for each in (ahead, behind)
    )
    torch.testing.assert_close(one, other.mT, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(one, one.mT, atol=0.1)


def test_lists_of_series_that_differ_in_length_and_series_of_one_channel() -> None:
    transformer = InterdependenceTransformer(**SMALL)
    lengths = [30, 12, 25, *[30] * 21]
    ragged = [each[:length] for each, length in zip(SERIES, lengths, strict=True)]
    padded = SERIES.copy()
    for each, length in zip(padded, lengths, strict=True):
        each[length:] = np.nan
    features = transformer.fit_transform(padded)
    assert np.array_equal(transformer.fit_transform(ragged), features)
    more = np.pad(padded, ((0, 0), (0, 40), (0, 0)), constant_values=np.nan)
    np.testing.assert_allclose(transformer.transform(more), features, atol=1e-6)
    with pytest.raises(InputError, match=r"series must have the same channels, got \[1, 2\] of them"):
        transformer.fit([SERIES[0], SERIES[1][:, :1]])
    single = InterdependenceTransformer(**SMALL).fit_transform(SERIES[:, :, 0])
    assert np.array_equal(single, InterdependenceTransformer(**SMALL).fit_transform(SERIES[:, :, :1]))


def test_missing_values_are_filled_in_and_have_features_where_some_were_missing_at_fit() -> None:
    line = SERIES.copy()
    line[:, 10:20] = np.linspace(line[:, 9], line[:, 20], 12)[1:-1].swapaxes(0, 1)
    gaps = SERIES.copy()
    gaps[:, 10:20] = np.nan
    whole = InterdependenceTransformer(**SMALL).fit(SERIES)
    np.testing.assert_allclose(whole.transform(gaps), whole.transform(line), atol=1e-3)
    assert not any("missing" in name for name in whole.get_feature_names_out())
    frame = InterdependenceTransformer(**SMALL).set_output(transform="pandas").fit_transform(gaps)
    assert list(frame)[: len(whole.get_feature_names_out())] == list(whole.get_feature_names_out())
    assert "missing_differences_dilation1_group2_above_2_3" in frame
    padded = np.pad(gaps, ((0, 0), (0, 5), (0, 0)), constant_values=np.nan)
    transformer = InterdependenceTransformer(**SMALL).fit(gaps)
    np.testing.assert_allclose(transformer.transform(padded), frame, atol=1e-6)


def test_series_that_all_end_before_the_array_does() -> None:
    padded = np.pad(SERIES, ((0, 0), (0, 5), (0, 0)), constant_values=np.nan)
    features = InterdependenceTransformer(**SMALL).fit_transform(SERIES)
    assert np.array_equal(InterdependenceTransformer(**SMALL).fit_transform(padded), features)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": 0}, "groups must be at least 1, got groups=0"),
        ({"structure": Full(n=12), "w": np.zeros(144)}, "n of the structure must be at least 30, the steps"),
        ({"structure": Full(n=30), "w": np.zeros(3)}, "w must hold 900 parameters"),
    ],
)
def test_mistakes_are_explained(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InterdependenceTransformer(**(SMALL | change)).fit(SERIES)


def test_it_works_in_a_pipeline_and_a_grid() -> None:
    y = np.arange(24) % 2
    waves = np.sin(np.arange(30)[None, :, None] / (1 + y)[:, None, None]) + 0.1 * SERIES
    pipeline = make_pipeline(InterdependenceTransformer(**SMALL), StandardScaler(), RidgeClassifierCV())
    grid = GridSearchCV(pipeline, {"interdependencetransformer__maps": [2, 4]}, cv=2).fit(waves, y)
    assert grid.best_score_ > 0.9


def test_matrices_are_xi_of_all_rectified_maps() -> None:
    transformer = InterdependenceTransformer(**SMALL, output="matrices").fit(SERIES)
    xi, names = transformer.transform(SERIES), transformer.get_feature_names_out()
    assert xi.shape == (24, len(names), len(names))
    assert len(set(names)) == 2 * len(transformer.patterns_.dilations) * 2 * 3
    np.testing.assert_allclose(xi, xi.swapaxes(1, 2), atol=1e-6)
    assert np.linalg.eigvalsh(xi.astype(np.float64)).min() > -1e-5
    assert np.abs(np.triu(xi[:, :6, 6:])).max() > 0.01  # between groups and dilations, too
    features = InterdependenceTransformer(**SMALL).set_output(transform="pandas").fit_transform(SERIES)
    for i, name in enumerate(names):  # the diagonal, and beside it in the same group
        of_map, number = name.rsplit("_", 1)
        np.testing.assert_allclose(features[f"{of_map}_above_{number}_{number}"] ** 2, xi[:, i, i], atol=1e-5)
        if number != "3":
            entry = features[f"{of_map}_above_{number}_{int(number) + 1}"] ** 2
            np.testing.assert_allclose(entry, xi[:, i, i + 1], atol=1e-5)


def test_matrices_with_a_structure_have_its_w() -> None:
    whole = {"structure": Full(n=30), "w": np.eye(30).ravel() / 30}
    plain, given = (
        InterdependenceTransformer(groups=1, maps=3, random_state=0, output="matrices", **more).fit(SERIES)
        for more in ({}, whole)
    )
    of_series = plain.patterns_.map_names().index("differences_dilation1_group1_1")
    expected = plain.transform(SERIES)[:, :of_series, :of_series]  # the differences have 29 steps
    np.testing.assert_allclose(given.transform(SERIES)[:, :of_series, :of_series], expected, atol=1e-5)
