"""All parameters of a network as one tensor, their average, and the network that is left."""

import copy

import pytest
import torch
from torch import nn

from lphm.learn.weights import FlatParameters


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def flat(network: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_steps_on_the_tensor_are_steps_on_every_parameter(network: nn.Module) -> None:
    apart, together = copy.deepcopy(network), network
    weights = FlatParameters(together)
    ours = torch.optim.AdamW([weights.values], lr=0.1, weight_decay=0.3)
    theirs = torch.optim.AdamW(apart.parameters(), lr=0.1, weight_decay=0.3)
    for _ in range(4):
        x = torch.randn(5, 3)
        for model, optimizer in ((together, ours), (apart, theirs)):
            optimizer.zero_grad(set_to_none=False)
            model(x).square().sum().backward()
        norms = [nn.utils.clip_grad_norm_(each, 0.5) for each in (weights.values, apart.parameters())]
        torch.testing.assert_close(*norms)
        ours.step()
        theirs.step()
    torch.testing.assert_close(flat(together), flat(apart))
    assert torch.equal(flat(together), weights.values.detach())


def test_the_average_follows_the_values(network: nn.Module) -> None:
    weights = FlatParameters(network)
    first = flat(network)
    with torch.no_grad():
        network[0].weight.add_(1.0)
    last = flat(network)
    weights.update_average(0.25)
    torch.testing.assert_close(weights.average, first + 0.25 * (last - first))
    with weights.averaged():
        torch.testing.assert_close(flat(network), weights.average)
    assert torch.equal(flat(network), last)
    weights.update_average(7.0)  # a step that is more than what is averaged over
    torch.testing.assert_close(weights.average, last)


def test_the_values_come_back_after_an_error(network: nn.Module) -> None:
    weights, before = FlatParameters(network), flat(network)
    weights.average.zero_()
    with pytest.raises(ZeroDivisionError), weights.averaged():
        raise ZeroDivisionError
    assert torch.equal(flat(network), before)


def test_every_parameter_is_left_with_memory_of_its_own(network: nn.Module) -> None:
    weights = FlatParameters(network)
    network(torch.ones(1, 3)).sum().backward()
    wanted = torch.arange(26.0)
    weights.release(wanted)
    assert torch.equal(flat(network), wanted)
    for parameter in network.parameters():
        assert parameter.grad is None
        assert parameter.untyped_storage().nbytes() == 4 * parameter.numel()
