"""Rows of ``X`` spread over the ranks of a process group."""

from lphm.sharded.functional import interdependence_apply, interdependence_matrix

__all__ = ["interdependence_apply", "interdependence_matrix"]
