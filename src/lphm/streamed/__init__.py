"""Rows of ``X`` that come block after block and are never all in memory."""

from lphm.streamed.functional import Mixing, Reduction, interdependence_apply, interdependence_matrix

__all__ = ["Mixing", "Reduction", "interdependence_apply", "interdependence_matrix"]
