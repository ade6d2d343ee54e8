"""The benchmark of the layer checks its contenders against an oracle of its own, and counts correctly."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

# The package is not part of the distribution; it is in the root of the repository.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import layer as command
from benchmarks import layer_cases, runner
from benchmarks.counts import layer_flop_limit
from benchmarks.layer_cases import LayerCase, draw, factors_truth, layer_truth, readout_cases
from benchmarks.layer_contenders import LAYER, LINEAR, contenders_of, lphm_step

from support import reference

SMALL = [
    *layer_cases.select(sizes=((3, 8, 16), (2, 24, 8)), channels=(1, 4)),
    LayerCase("attribute", 3, 24, 8, 4, 4, 2, matrix=True),
]
every_small_case = pytest.mark.parametrize("case", SMALL, ids=str)


@every_small_case
def test_the_oracle_agrees_with_the_reference_of_the_tests(
    case: LayerCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_cases, "CHUNK", 1)  # sample by sample
    inputs = draw(case)
    w = inputs.w.double().requires_grad_()
    x = inputs.x.double().requires_grad_()
    if case.matrix:
        value = reference.matrix(case.structure, w, x, case.kind)
    else:
        value = reference.grouped(case.structure, w, x, kind=case.kind, normalize=case.normalize)
    gradients = torch.autograd.grad(value, (x, w), inputs.G.double())
    for truth, want in zip(layer_truth(inputs).values(), (value, *gradients), strict=True):
        assert reference.error(truth, want) < 1e-12
    factors = list(factors_truth(inputs).values())[2:]
    assert reference.error(torch.cat([g.flatten(1) for g in factors], 1), gradients[1]) < 1e-12


@every_small_case
def test_every_contender_is_correct(case: LayerCase) -> None:
    checked = runner.build_and_check(contenders_of(case), draw(case), largest_dense=4096)
    assert checked.wrong == {}
    assert len(checked.errors) == len(contenders_of(case))
    assert all(0 < error < 1e-4 for error in checked.errors.values())


@pytest.mark.parametrize("what", ["value", "dx", "dw"])
def test_a_layer_that_is_off_by_one_percent_is_not_timed(what: str) -> None:
    def build(inputs: layer_cases.LayerInputs) -> object:
        step = lphm_step(inputs)
        if what == "value":
            return replace(step, forward=lambda: step.forward() * 1.01)
        step.leaves[what == "dw"].register_hook(lambda g: g * 1.01)
        return step

    checked = runner.build_and_check([LINEAR, replace(LAYER, build=build)], draw(SMALL[0]), 4096)
    assert f"off by 1.0e-02 in {what}" in checked.wrong["lphm"]
    assert list(checked.steps) == ["linear"]


def test_the_table_has_every_size_and_operation() -> None:
    cases = [*layer_cases.select(), *readout_cases()]
    assert {(case.N, case.b, case.m) for case in cases} >= set(layer_cases.SIZES)
    assert {case.operation for case in cases} == {"", "softmax", "matrix()"}
    for case in cases:
        assert case.structure.middle == case.K
        if case.normalize == "softmax" and case.kind == "instance":
            assert case.d >= case.K  # as wide as the heads of the attention that it is compared with


def test_flop_limits() -> None:
    case = LayerCase("instance", 2, 8, 16, 1, 4, 2)
    linear = 2 * 8 * 16**2
    thin = 4 * 16 * 8 * 2 + 2 * 16 * 2 * 8
    assert layer_flop_limit(case) == (thin + 2 * 8 * 8 * (8 + 16)) / linear
    assert layer_flop_limit(replace(case, normalize="softmax")) == (thin + 2 * 8 * 8 * (8 + 16)) / linear


def test_the_command_writes_what_it_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--case", "2,8,16", "--channels", "4", "--rounds", "1", "--output", str(tmp_path)]
    assert command.main([*words, "--normalize", "softmax"]) == 0
    table = (tmp_path / "layer.md").read_text()
    assert table in capsys.readouterr().out
    assert "| instance | softmax | 2, 8, 16 | 4 | 4, 1 |" in table
    results = json.loads((tmp_path / "layer.json").read_text())
    assert results["machine"]["torch"] == torch.__version__
    assert set(results["results"][1]["both"]["seconds"]) == {
        "lphm",
        "linear",
        "dense",
        "dense-sdpa",
        "attention",
    }


def test_wrong_arguments_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--case", "2,8"])
    assert "must be three integers N,b,m, got '2,8'" in capsys.readouterr().err


def test_a_readout_is_measured_for_the_attribute_kind_alone() -> None:
    options = command.parser().parse_args(["--kind", "instance"])
    assert not any(case.matrix for case in command.cases_of(options))
    options = command.parser().parse_args(["--normalize", "matrix"])
    assert all(case.matrix for case in command.cases_of(options))
