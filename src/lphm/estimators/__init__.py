"""Scikit-learn estimators: networks of interdependence for a table or for multichannel series."""

from lphm.estimators.models import LPHMClassifier, LPHMRegressor

__all__ = ["LPHMClassifier", "LPHMRegressor"]
