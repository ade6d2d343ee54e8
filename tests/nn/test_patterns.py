"""Local patterns of series: the features against sums written out, masks, and what they depend on."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lphm import Full, Structure, Toeplitz
from lphm.nn import patterns as module
from lphm.nn.pattern_network import PatternNetwork
from lphm.nn.patterns import LocalPatterns


def fitted(
    steps: int = 40, channels: int = 3, groups: int = 2, maps: int = 3, seed: int = 0
) -> LocalPatterns:
    generator = torch.Generator().manual_seed(seed)
    patterns = LocalPatterns(steps, channels, groups, maps, generator).double()
    return patterns.fit(series(20, steps, channels), generator)


def series(N: int, steps: int, channels: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(N, steps, channels, generator=generator, dtype=torch.float64).cumsum(1)


def expected(patterns: LocalPatterns, x: Tensor, W: Tensor | None = None) -> Tensor:
    """The features of one series ``(length, channels)``, from the definition, step by step."""
    features = []
    for i, values in enumerate((x, x[1:] - x[:-1])):
        length = len(values)
        for j, dilation in enumerate(patterns.dilations):
            maps = torch.zeros(patterns.groups * patterns.maps, length, dtype=x.dtype)
            for t in range(length):
                for place in range(9):
                    at = t + (place - 4) * dilation
                    if 0 <= at < length:
                        maps[:, t] += patterns.kernels[i, j, :, :, place] @ values[at]
            thresholds = patterns.thresholds[i, j]
            occurs, above, stretches, longest = [], [], [], []
            for group in range(patterns.groups):
                own = slice(group * patterns.maps, (group + 1) * patterns.maps)
                margin = 4 * dilation if group % 2 and length >= 16 * dilation else 0
                Z = maps[own, margin : length - margin]
                for xi, Y in (
                    (occurs, (thresholds[own, None] < Z).double()),
                    (above, (Z - thresholds[own, None]).clamp_min(0)),
                ):
                    if W is not None:
                        of_steps = W[margin : length - margin, margin : length - margin]
                        matrix = Y @ of_steps @ Y.T
                        xi.extend((matrix.abs().sqrt() * matrix.sign()).flatten())
                        continue
                    matrix = Y @ Y.T / max(Z.shape[1], 1)
                    for a in range(patterns.maps):
                        xi.extend(matrix[a, b].sqrt() for b in range(a, patterns.maps))
                for a in range(patterns.maps):
                    word = "".join("x" if there else " " for there in thresholds[own][a] < Z[a])
                    lengths = [len(stretch) for stretch in word.split()]
                    stretches.append(x.new_tensor(len(lengths) / max(Z.shape[1], 1)).sqrt())
                    longest.append(x.new_tensor(max(lengths, default=0) / max(Z.shape[1], 1)).sqrt())
            features += [*occurs, *above, *stretches, *longest]
    return torch.stack(features)


@pytest.mark.parametrize(("steps", "channels"), [(40, 3), (40, 1), (9, 2), (5, 1), (2, 1), (1, 1), (70, 10)])
def test_features_are_the_roots_of_the_entries_of_xi(steps: int, channels: int) -> None:
    patterns, x = fitted(steps, channels, groups=4, maps=2), series(4, steps, channels, seed=2)
    want = torch.stack([expected(patterns, each) for each in x])
    torch.testing.assert_close(patterns(x), want)
    assert patterns(x).shape == (4, patterns.num_features)


@pytest.mark.parametrize("structure", [Full(n=30), Full(n=33), Toeplitz(n=30, lags=5)], ids=str)
def test_with_a_structure_the_entries_are_those_of_its_matrix(structure: Structure) -> None:
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(structure.num_parameters, generator=generator, dtype=torch.float64)
    patterns = (
        LocalPatterns(30, 2, 2, 3, generator, (structure, w)).double().fit(series(20, 30, 2), generator)
    )
    x = series(3, 30, 2, seed=2)
    want = torch.stack([expected(patterns, each, structure.to_dense(w)) for each in x])
    torch.testing.assert_close(patterns(x), want)
    assert patterns(x).shape == (3, patterns.num_features)
    assert len(patterns.feature_names()) == patterns.num_features
    assert torch.equal(patterns.state_dict()["w"], w)


def test_a_structure_must_have_as_many_rows_as_there_are_steps() -> None:
    LocalPatterns(12, 1, W=(Full(n=12), torch.zeros(144)))
    with pytest.raises(
        ValueError, match=r"n of the structure must be at least 13, the steps, got Full\(n=12\)"
    ):
        LocalPatterns(13, 1, W=(Full(n=12), torch.zeros(144)))
    with pytest.raises(ValueError, match="w must hold 144 parameters"):
        LocalPatterns(12, 1, W=(Full(n=12), torch.zeros(143)))


def test_names_say_what_each_feature_is() -> None:
    names = LocalPatterns(17, 1, groups=2, maps=2).feature_names()
    assert names == [
        f"{values}_dilation{dilation}_group{group}_{kind}_{entry}"
        for values in ("series", "differences")
        for dilation in (1, 2)
        for kind in ("occurs", "above", "stretches", "longest")
        for group in (1, 2)
        for entry in (("1_1", "1_2", "2_2") if kind in ("occurs", "above") else ("1", "2"))
    ]
    patterns = LocalPatterns(40, 1)
    assert (patterns.groups, patterns.maps) == (4, 16)
    assert LocalPatterns(9, 1, maps=1, groups=1).num_features == 8  # one map, four features, two series


@pytest.mark.parametrize(("most", "every"), [(20, 10), (150, 1), (1000, 1)])
def test_thresholds_are_taken_from_some_of_many_values(
    most: int, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 400)
    monkeypatch.setattr(module, "MOST_VALUES", most)
    generator = torch.Generator().manual_seed(0)
    patterns = LocalPatterns(40, 1, 1, 2, generator).double()
    x = series(30, 40, 1)
    state = generator.get_state()
    patterns.fit(x, generator)
    generator.set_state(state)
    shares = 0.1 + 0.8 * torch.rand(patterns.thresholds.shape, generator=generator)
    chosen = torch.randperm(30, generator=generator)[:5]  # 400 / (2 maps · 40 steps)
    values = torch.nn.functional.conv1d(x[chosen].mT, patterns.kernels[0, 0], padding=4)  # (5, 2, 40)
    some = values.movedim(1, 0).flatten(1)[:, ::every].sort(dim=1).values  # of 200 values
    for i in range(2):
        place = int(shares[0, 0, i] * 200 / every)
        assert patterns.thresholds[0, 0, i] == pytest.approx(some[i, place : place + 2].mean().item())


def test_dilations_reach_from_neighbours_to_the_whole_series() -> None:
    for steps in (1, 8, 9, 25, 100, 1000):
        dilations = LocalPatterns(steps, 1, maps=2).dilations
        assert dilations == sorted(set(dilations))
        assert dilations[0] == 1
        assert len(dilations) <= 12
        assert 8 * dilations[-1] <= max(steps - 1, 8) < 8 * dilations[-1] + 8


def test_kernels_sum_to_zero_and_look_at_a_few_channels() -> None:
    kernels = LocalPatterns(100, 20, groups=4, maps=16).kernels
    torch.testing.assert_close(kernels.sum(-1), torch.zeros(kernels.shape[:-1]), atol=1e-6, rtol=0)
    torch.testing.assert_close(kernels.abs().sum((-1, -2)), torch.ones(kernels.shape[:-2]))
    used = kernels.abs().sum(-1) > 0
    counts = used.sum(-1)
    assert (counts.min(), counts.max()) == (1, 8)
    assert used.any((0, 1, 2)).all()
    first = kernels.gather(-2, used.double().argmax(-1)[..., None, None].expand(-1, -1, -1, -1, 9))
    torch.testing.assert_close(kernels[used], first.expand_as(kernels)[used])


def test_a_constant_has_the_features_of_zero() -> None:
    patterns = fitted(groups=2)
    of_constant, of_zero = patterns(
        torch.stack([torch.full((40, 3), level).double() for level in (7.0, 0.0)])
    )
    names = patterns.feature_names()
    whole = [f"series_dilation{dilation}_group2" for dilation in patterns.dilations if 16 * dilation <= 40]
    assert whole
    for prefix in ["differences", *whole]:  # where only whole kernels count
        own = [i for i, name in enumerate(names) if name.startswith(prefix)]
        torch.testing.assert_close(of_constant[own], of_zero[own], atol=1e-6, rtol=0)


def test_thresholds_are_values_of_the_maps_between_a_tenth_and_nine_tenths() -> None:
    patterns = LocalPatterns(40, 1, groups=1, maps=200, generator=torch.Generator().manual_seed(0)).double()
    x = series(50, 40, 1)
    patterns.fit(x, torch.Generator().manual_seed(0))
    diagonal = {f"occurs_{i}_{i}" for i in range(1, 201)}
    own = [i for i, name in enumerate(patterns.feature_names()) if name.split("group1_")[1] in diagonal]
    occurs = patterns(x).square().mean(0)[own]
    assert occurs.min() > 0.05
    assert occurs.max() < 0.95
    assert occurs.std() > 0.2  # of a uniform distribution between .1 and .9: .23
    assert occurs.mean().item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("length", [40, 39, 30, 17, 16, 15, 9, 2, 1, 0])
def test_steps_after_the_end_of_a_series_count_nothing(length: int) -> None:
    patterns, x = fitted(), series(3, 40, 3, seed=2)
    others = patterns(x)[[0, 2]]
    x[1, length:] = torch.nan
    got = patterns(x)
    assert got.isfinite().all()
    torch.testing.assert_close(got[[0, 2]], others)
    assert length or not got[1].any()
    if length > 1:
        torch.testing.assert_close(got[1], expected(patterns, x[1, :length]))


def test_what_is_missing_within_a_series_lies_on_a_line_between_its_neighbours() -> None:
    patterns, x = fitted(), series(3, 40, 3)
    x[0, 5, 1] = x[0, 39, 2] = x[1, 7:12] = x[1, :3, 0] = x[1, 30:] = x[2, :, 1] = torch.nan
    x[2, 4:36:2, 0] = torch.nan
    filled = x.clone()
    for i, length in enumerate((40, 30, 40)):
        for channel in filled[i, :length].mT:
            known = (~channel.isnan()).nonzero()[:, 0].numpy()
            line = np.interp(np.arange(length), known, channel[known]) if len(known) else np.zeros(length)
            channel.copy_(torch.from_numpy(line))
    torch.testing.assert_close(patterns(x), patterns(filled))


def test_what_is_missing_has_patterns_of_its_own() -> None:
    generator = torch.Generator().manual_seed(0)
    patterns = LocalPatterns(40, 3, 2, 6, generator, gaps=[0, 2]).double()
    x = series(20, 40, 3)
    x[torch.rand(x.shape, generator=generator) < 0.2] = torch.nan
    x[1, 25:] = torch.nan
    x[2, 10:20] = torch.nan  # no end, but a gap in all channels
    patterns.fit(x, generator)
    of_values = LocalPatterns(40, 3, 2, 6).double()
    of_values.load_state_dict({k: v for k, v in patterns.state_dict().items() if "missing" not in k})
    features, values = patterns(x), of_values(x)
    assert torch.equal(features[:, : values.shape[1]], values)
    for i, length in enumerate((40, 25, 40)):
        indicators = x[i, :length, [0, 2]].isnan().double()
        torch.testing.assert_close(features[i, values.shape[1] :], expected(patterns.missing, indicators))
    assert (patterns.missing.groups, patterns.missing.maps) == (2, 4)
    assert patterns.missing.thresholds.any(-1).all()
    assert LocalPatterns(40, 3, 2, 3, gaps=[1]).missing.maps == 3
    names = patterns.feature_names()
    assert len(set(names)) == len(names) == patterns.num_features == features.shape[1]
    assert names[: values.shape[1]] == of_values.feature_names()
    assert names[values.shape[1] :] == [f"missing_{name}" for name in patterns.missing.feature_names()]


def test_the_patterns_of_what_is_missing_take_the_same_structure() -> None:
    structure, generator = Toeplitz(n=30, lags=5), torch.Generator().manual_seed(0)
    w = torch.randn(5, generator=generator, dtype=torch.float64)
    patterns = LocalPatterns(30, 2, 2, 3, generator, (structure, w), gaps=[1]).double()
    x = series(3, 30, 2)
    x[torch.rand(x.shape, generator=generator) < 0.2] = torch.nan
    x[:, -1] = 0
    indicators = x[..., [1]].isnan().double()
    want = torch.stack([expected(patterns.missing, each, structure.to_dense(w)) for each in indicators])
    torch.testing.assert_close(patterns(x)[:, -want.shape[1] :], want)


def test_without_gaps_nothing_is_drawn_for_what_is_missing() -> None:
    with_gaps, without = (
        LocalPatterns(40, 3, 2, 3, torch.Generator().manual_seed(0), gaps=gaps) for gaps in ([1], [])
    )
    assert torch.equal(with_gaps.kernels, without.kernels)
    assert set(without.state_dict()) == {"kernels", "thresholds"}
    assert without.missing is None


def test_a_seed_gives_the_same_features() -> None:
    x = series(3, 40, 3)
    assert torch.equal(fitted(seed=3)(x), fitted(seed=3)(x))
    assert not torch.equal(fitted(seed=3)(x), fitted(seed=4)(x))


def test_series_do_not_depend_on_each_other() -> None:
    patterns, x = fitted(), series(5, 40, 3)
    torch.testing.assert_close(patterns(x[2:3]), patterns(x)[2:3])


@pytest.mark.parametrize("size", ["steps", "channels", "groups", "maps"])
def test_sizes_are_at_least_1(size: str) -> None:
    with pytest.raises(ValueError, match=f"^{size} must be at least 1"):
        LocalPatterns(**{"steps": 4, "channels": 1, "groups": 1, "maps": 1, size: 0})


def test_the_network_is_a_linear_map_of_standardised_features() -> None:
    patterns, x = fitted(), series(4, 40, 3)
    network = PatternNetwork(patterns, 3).double()
    torch.nn.init.normal_(network.linear.weight)
    features = patterns(x)
    network.mean.copy_(features.mean(0))
    network.scale.copy_(1 / (1 + features.std(0)))
    want = ((features - network.mean) * network.scale) @ network.linear.weight.T + network.linear.bias
    out = network(x)
    assert out.shape == (4, 1, 3)
    torch.testing.assert_close(out[:, 0], want)
