"""Scikit-learn estimators: networks of interdependence for a table or for multichannel series."""

from lphm.estimators.models import LPHMClassifier, LPHMRegressor
from lphm.estimators.transformer import InterdependenceTransformer
from lphm.learn.monitor import Epoch

__all__ = ["Epoch", "InterdependenceTransformer", "LPHMClassifier", "LPHMRegressor"]
