"""Batches in memory: every sample once an epoch, in an order known from the seed and the epoch's number."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lphm.data.batches import Batches, MemoryBatches


def batches(rows: int, batch_size: int, seed: int = 0, **options: bool) -> MemoryBatches:
    x = torch.arange(3.0 * rows).reshape(rows, 3)
    return MemoryBatches(x, torch.arange(rows), 0.5 * torch.arange(rows), batch_size, seed, **options)


def orders(made: Batches, number: int) -> list[list[int]]:
    return [y.tolist() for _, y, _ in made.epoch(number)]


@given(st.integers(1, 40), st.integers(1, 45), st.integers(0, 5), st.booleans())
def test_every_sample_once_with_what_belongs_to_it(rows: int, size: int, number: int, shuffle: bool) -> None:
    made = batches(rows, size, shuffle=shuffle)
    read = list(made.epoch(number))
    assert made.rows == rows
    assert [len(y) for _, y, _ in read] == [size] * (rows // size) + [rows % size] * bool(rows % size)
    assert len(made) == len(read)
    seen = torch.cat([y for _, y, _ in read])
    assert sorted(seen.tolist()) == list(range(rows))
    assert torch.equal(torch.cat([x for x, _, _ in read]), made.x[seen])
    assert torch.equal(torch.cat([weight for _, _, weight in read]), 0.5 * seen)


def test_the_order_is_known_from_the_seed_and_the_number() -> None:
    assert orders(batches(50, 8, seed=3), 7) == orders(batches(50, 8, seed=3), 7)
    others = [orders(batches(50, 8, seed), number) for seed in (3, 4) for number in (7, 8)]
    assert all(others.count(order) == 1 for order in others)


def test_an_epoch_does_not_depend_on_what_was_read_before() -> None:
    made = batches(30, 4)
    next(made.epoch(2))
    list(made.epoch(1))
    torch.rand(5)
    assert orders(made, 2) == orders(batches(30, 4), 2)


def test_the_order_of_the_training_loop() -> None:
    """The one that runs trained before had, so that they can be trained again."""
    expected = torch.randperm(50, generator=torch.Generator().manual_seed(3 * 1_000_003 + 7))
    assert orders(batches(50, 8, seed=3), 7) == [part.tolist() for part in expected.split(8)]


def test_without_shuffling_every_epoch_is_in_order() -> None:
    made = batches(7, 3, shuffle=False)
    assert orders(made, 0) == orders(made, 1) == [[0, 1, 2], [3, 4, 5], [6]]


def test_every_sample_counts_one_unless_told() -> None:
    made = MemoryBatches(torch.zeros(3, 2), torch.arange(3), None, 2, seed=0)
    assert [weight.tolist() for _, _, weight in made.epoch(0)] == [[1, 1], [1]]


@pytest.mark.parametrize(("x", "y", "weight"), [(3, 2, 2), (2, 3, 3), (2, 2, 3), (0, 0, 0)])
def test_tensors_that_do_not_hold_the_same_samples(x: int, y: int, weight: int) -> None:
    with pytest.raises(ValueError, match=rf"same samples, at least one, got {x}, {y} and {weight}"):
        MemoryBatches(torch.zeros(x, 2), torch.zeros(y), torch.zeros(weight), 2, seed=0)


def test_a_batch_must_hold_a_sample() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, got batch_size=0"):
        batches(3, 0)
