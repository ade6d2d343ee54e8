"""The network whose weights ridge regression finds."""

import torch
from torch import Tensor, nn

from lphm.nn.patterns import LocalPatterns


class PatternNetwork(nn.Module):
    """A linear map of the standardised features of ``LocalPatterns``, as a network of one member.

    Shape:
        ``(N, steps, channels)`` to ``(N, 1, outputs)``.

    Args:
        patterns: gives the features.
        outputs: classes, or 1 for regression.

    Attributes:
        mean, scale: of each feature; what varies in training has variance 1, what does not counts nothing.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, patterns: LocalPatterns, outputs: int) -> None:
        super().__init__()
        self.patterns = patterns
        self.register_buffer("mean", torch.zeros(patterns.num_features))
        self.register_buffer("scale", torch.ones(patterns.num_features))
        self.linear = nn.Linear(patterns.num_features, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, or what is said about the standardised target."""
        out: Tensor = self.linear((self.patterns(x) - self.mean) * self.scale)
        return out.unsqueeze(1)
