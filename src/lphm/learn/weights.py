"""The parameters of a network as one tensor: a training step takes few operators for all of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class FlatParameters:
    """All parameters of a network as parts of one tensor, and their gradients as parts of another.

    An optimizer, the norm of the gradient and a running average then take one operator instead of one for
    each parameter.

    Args:
        network: on the device where it is trained.

    Attributes:
        values: the tensor, as a parameter with a gradient.
        average: the running average of ``values``.
    """

    def __init__(self, network: nn.Module) -> None:
        self.parameters = list(network.parameters())
        sizes = [p.numel() for p in self.parameters]
        self.values = nn.Parameter(torch.cat([p.detach().flatten() for p in self.parameters]))
        self.values.grad = torch.zeros_like(self.values)
        values, gradients = (torch.split(each, sizes) for each in (self.values.detach(), self.values.grad))
        for parameter, value, gradient in zip(self.parameters, values, gradients, strict=True):
            parameter.data, parameter.grad = value.view_as(parameter), gradient.view_as(parameter)
        self.average = self.values.detach().clone()

    @torch.no_grad()
    def update_average(self, weight: float) -> None:
        """Move the average towards the values by that share of the way."""
        self.average.lerp_(self.values, min(weight, 1.0))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The network with the average in place of its values."""
        values = self.values.detach().clone()
        self.values.data.copy_(self.average)
        try:
            yield
        finally:
            self.values.data.copy_(values)

    def release(self, values: Tensor) -> None:
        """Leave the network with these values, on the CPU, and every parameter with memory of its own."""
        parts = torch.split(values.cpu(), [p.numel() for p in self.parameters])
        for parameter, value in zip(self.parameters, parts, strict=True):
            parameter.data, parameter.grad = value.view_as(parameter).clone(), None
