"""Targets: from columns to tensors and back, and the losses and scores of an ensemble."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, mean_squared_error, r2_score
from torch.nn import functional as F

from lphm.data.targets import ClassTarget, NumberTarget, fit_target
from lphm.errors import InputError

CLASSES = ClassTarget(name="y", classes=["a", "b", "c"])
NUMBER = NumberTarget(name="y", mean=3.0, std=2.0)
WEIGHT = torch.tensor([0.0, 1.0, 2.5, 0.5, 1.0, 3.0, 0.0])
#: Outputs of 4 members for 7 samples, and the truth.
CASES = {
    "classes": (CLASSES, torch.randn(7, 4, 3, generator=torch.Generator().manual_seed(0)), WEIGHT.long() % 3),
    "number": (NUMBER, torch.randn(7, 4, 1, generator=torch.Generator().manual_seed(1)), WEIGHT.flip(0)),
}
every_target = pytest.mark.parametrize(("target", "outputs", "y"), CASES.values(), ids=CASES)


@pytest.mark.parametrize("values", [["no", "yes"], [0, 1], [False, True], [1.0, 2.0], ["a", 3]])
def test_classes_come_back_as_they_were(values: list) -> None:
    target = pd.Series(values * 5, name="y", dtype=object if values == ["a", 3] else None)
    schema = ClassTarget.model_validate_json(fit_target(target, "classification").model_dump_json())
    codes = schema.encode(target)
    answers = schema.decode(10.0 * torch.nn.functional.one_hot(codes, schema.outputs))
    assert answers["y"].tolist() == target.tolist()
    assert list(answers) == ["y", *(f"probability_{c}" for c in schema.classes)]
    np.testing.assert_allclose(answers.iloc[:, 1:].sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("classes", "cells", "codes"),
    [
        ([0, 1], ["0", "1.0", 1.0, True, "false"], [0, 1, 1, 1, 0]),
        ([0.5, 2], ["0.50", "2", 2.0], [0, 1, 1]),
        ([False, True], ["true", "FALSE", "True", 1, 0.0, np.True_], [1, 0, 1, 1, 0, 1]),
        (["01", "1", "x"], ["01", "1", 1, 1.0, "x"], [0, 1, 1, 1, 2]),
        (["True", "maybe"], [True, "maybe"], [0, 1]),
        (["a", 3], ["a", 3, "3", 3.0], [0, 1, 1, 1]),
    ],
)
def test_a_class_is_known_by_its_value_or_its_text(classes: list, cells: list, codes: list) -> None:
    target = ClassTarget(name="y", classes=classes)
    assert target.encode(pd.Series(cells, dtype=object)).tolist() == codes
    for cell, code in zip(cells, codes, strict=True):  # whatever cells are beside it
        assert target.encode(pd.Series([cell], dtype=object)).tolist() == [code]


@pytest.mark.parametrize(("classes", "cell"), [([0, 1], "00x"), (["01", "x"], "1"), ([False, True], "maybe")])
def test_a_text_that_is_no_class(classes: list, cell: str) -> None:
    with pytest.raises(InputError, match=f"must be one of the classes .*, got '{cell}'"):
        ClassTarget(name="y", classes=classes).encode(pd.Series([cell]))


def test_what_is_missing_depends_on_what_the_target_holds() -> None:
    cells = pd.Series([None, "NA", "?", "1", 1.0, np.nan], dtype=object)
    assert ClassTarget(name="y", classes=[0, 1]).known(cells).tolist() == [False] * 3 + [True, True, False]
    words = ClassTarget(name="y", classes=["1", "NA"])
    assert words.known(cells).tolist() == [False, True, True, True, True, False]
    assert NUMBER.known(cells).tolist() == [False] * 3 + [True, True, False]


@pytest.mark.parametrize("weight", [None, WEIGHT])
@every_target
def test_what_stands_beside_the_score_is_that_of_scikit_learn(target, outputs, y, weight) -> None:
    combined = target.combine(outputs)
    found = target.details(combined, y, weight)
    if target is CLASSES:
        truth, weights = y.numpy(), None if weight is None else weight.numpy()
        constant = DummyClassifier(strategy="most_frequent").fit(truth, truth, weights)
        assert found == {"baseline": pytest.approx(constant.score(truth, truth, weights))}
        return
    truth, guess = (3 + 2 * values.double().numpy() for values in (y, combined[:, 0]))
    squared = mean_squared_error(truth, guess, sample_weight=weight)
    assert found == {
        "mae": pytest.approx(mean_absolute_error(truth, guess, sample_weight=weight)),
        "rmse": pytest.approx(squared**0.5),
    }


def test_the_most_frequent_class_is_that_of_the_most_weight() -> None:
    y, weight = torch.tensor([0, 0, 1]), torch.tensor([1.0, 1.0, 5.0])
    assert CLASSES.details(torch.zeros(3, 3), y, weight)["baseline"] == pytest.approx(5 / 7)
    assert CLASSES.details(torch.zeros(3, 3), y)["baseline"] == pytest.approx(2 / 3)


def test_a_score_is_finite_where_the_truth_does_not_vary() -> None:
    same = torch.full((5,), 2.0)
    for guess, wanted in ((same, 1.0), (same + 1, 0.0)):
        assert NUMBER.score(guess.unsqueeze(1), same).item() == wanted
        assert r2_score(same.numpy(), guess.numpy()) == wanted


def test_a_target_too_far_from_the_training_part_is_refused() -> None:
    with pytest.raises(InputError, match=r"column 'y' must hold numbers near .*, got 1e\+40 in row 2"):
        NUMBER.encode(pd.Series([1.0, 1e40]))


def test_a_target_named_as_a_probability_keeps_its_predictions() -> None:
    target = ClassTarget(name="probability_p", classes=["n", "p"])
    answers = target.decode(torch.tensor([[0.0, 9.0]]))
    assert list(answers) == ["probability_p_", "probability_n", "probability_p"]
    assert answers.iloc[0, 0] == "p"


def test_a_class_that_training_never_saw() -> None:
    schema = fit_target(pd.Series(["a", "b"], name="y"), "classification")
    with pytest.raises(InputError, match=r"'y' must be one of the classes \['a', 'b'\], got 'c'"):
        schema.encode(pd.Series(["a", "c"]))


def test_numbers_come_back_in_their_own_unit() -> None:
    target = pd.Series([100.0, 300.0, 200.0], name="y")
    schema = fit_target(target, "regression")
    answers = schema.decode(schema.encode(target).unsqueeze(1))
    np.testing.assert_allclose(answers["y"], target, rtol=1e-6)


@every_target
def test_members_are_combined_by_the_mean_of_their_outputs(
    target: ClassTarget | NumberTarget, outputs: torch.Tensor, y: torch.Tensor
) -> None:
    torch.testing.assert_close(target.combine(outputs), outputs.mean(dim=1))
    assert target.combine(outputs).shape == (len(y), target.outputs)


def test_loss_and_score_of_classes_against_scikit_learn() -> None:
    _, outputs, y = CASES["classes"]
    combined = CLASSES.combine(outputs)
    for weight in (None, WEIGHT):
        weights = None if weight is None else weight.numpy()
        probabilities = combined.softmax(-1).double().numpy()
        probabilities = probabilities / probabilities.sum(1, keepdims=True)
        loss = log_loss(y.numpy(), probabilities, sample_weight=weights)
        assert CLASSES.loss(combined, y, weight).item() == pytest.approx(loss, rel=1e-5)
        score = accuracy_score(y.numpy(), combined.argmax(-1).numpy(), sample_weight=weights)
        assert CLASSES.score(combined, y, weight).item() == pytest.approx(score)
    assert CLASSES.score_name == "accuracy"


def test_loss_and_score_of_numbers_against_scikit_learn() -> None:
    _, outputs, y = CASES["number"]
    combined = NUMBER.combine(outputs)
    for weight in (None, WEIGHT):
        weights = None if weight is None else weight.numpy()
        error = np.average((combined[:, 0] - y).square().numpy(), weights=weights)
        assert NUMBER.loss(combined, y, weight).item() == pytest.approx(error, rel=1e-5)
        score = r2_score(y.numpy(), combined.numpy(), sample_weight=weights)
        assert NUMBER.score(combined, y, weight).item() == pytest.approx(score, rel=1e-5)
    assert NUMBER.score_name == "r2"


@every_target
def test_every_member_is_trained_as_if_it_were_alone(
    target: ClassTarget | NumberTarget, outputs: torch.Tensor, y: torch.Tensor
) -> None:
    together = outputs.clone().requires_grad_()
    target.training_loss(together, y, WEIGHT, 0.1).backward()
    for member in range(outputs.shape[1]):
        alone = outputs[:, member].clone().requires_grad_()
        if target is CLASSES:
            losses = F.cross_entropy(alone, y, label_smoothing=0.1, reduction="none")
        else:
            losses = (alone[:, 0] - y) ** 2
        ((losses * WEIGHT).sum() / WEIGHT.sum()).backward()
        torch.testing.assert_close(together.grad[:, member], alone.grad)


@every_target
def test_a_sample_may_count_differently_for_each_member(
    target: ClassTarget | NumberTarget, outputs: torch.Tensor, y: torch.Tensor
) -> None:
    members = outputs.shape[1]
    weight = torch.rand(len(y), members, generator=torch.Generator().manual_seed(1))
    losses = torch.stack(
        [target.loss(outputs[:, m], y, weight[:, m]) * weight[:, m].sum() for m in range(members)]
    )
    expected = members * losses.sum() / weight.sum()
    torch.testing.assert_close(target.training_loss(outputs, y, weight), expected)


@every_target
def test_samples_that_weigh_nothing_give_no_loss(
    target: ClassTarget | NumberTarget, outputs: torch.Tensor, y: torch.Tensor
) -> None:
    assert target.training_loss(outputs, y, torch.zeros(7)).item() == 0
