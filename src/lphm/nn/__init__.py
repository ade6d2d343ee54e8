"""Modules with parameters: the layer, its initialisation, blocks and the network on top."""

from lphm.nn.attention import InterdependenceAttention
from lphm.nn.init import initialize_
from lphm.nn.layer import BilinearInterdependence

__all__ = ["BilinearInterdependence", "InterdependenceAttention", "initialize_"]
