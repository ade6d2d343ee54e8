"""What a caller of the layer can get wrong, with the whole message."""

import pytest
import torch

from lphm import LPHM, BilinearInterdependence
from support.messages import whole

STRUCTURE = LPHM(n=12, p=2, q=3, r=2)
x = torch.randn(3, 12, 5)


def test_channels_must_divide() -> None:
    layer = BilinearInterdependence(STRUCTURE, channels=5)
    with pytest.raises(
        ValueError, match=whole("channels must divide the rows of data, got channels=5, rows=12")
    ):
        layer(x)
    layer = BilinearInterdependence(STRUCTURE, "instance", channels=5)
    with pytest.raises(
        ValueError, match=whole("channels must divide the columns of data, got channels=5, columns=12")
    ):
        layer(x.mT)


def test_layer() -> None:
    text = "x must have 12 rows, got shape (7, 5); pass partial=True to treat the missing rows as zeros"
    with pytest.raises(ValueError, match=whole(text)):
        BilinearInterdependence(STRUCTURE)(torch.randn(7, 5))
    with pytest.raises(
        TypeError, match=whole("structure must be a lphm.Structure such as lphm.LPHM(...), got 12")
    ):
        BilinearInterdependence(12)
    with pytest.raises(ValueError, match=whole("channels must be at least 1, got channels=0")):
        BilinearInterdependence(STRUCTURE, channels=0)
    with pytest.raises(ValueError, match=whole("kind must be 'attribute' or 'instance', got 'column'")):
        BilinearInterdependence(STRUCTURE, "column")
