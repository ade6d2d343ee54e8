"""The specification's class names and signatures, for code written for RPN and tinyBIG.

Thin adapters: the mathematics is ``lphm.interdependence_matrix`` and ``lphm.interdependence_apply``
over a structure. RPN's conventions stay at this edge: ``w`` is one row ``(1, l)``, the instance type
gives ``calculate_A`` its data already transposed, and the eight words name two kinds. Where tinyBIG
0.2.1 does something else, the code says so beside ``NOTE[DIFF]``, and ``docs/rpn.md`` in one table.
"""

from lphm.rpn.bilinear import parameterized_bilinear_interdependence
from lphm.rpn.migration import from_tinybig
from lphm.rpn.structured import (
    dual_lphm_parameterized_bilinear_interdependence,
    hm_parameterized_bilinear_interdependence,
    lowrank_parameterized_bilinear_interdependence,
    lphm_parameterized_bilinear_interdependence,
    random_matrix_adaption_parameterized_bilinear_interdependence,
)

__all__ = [
    "dual_lphm_parameterized_bilinear_interdependence",
    "from_tinybig",
    "hm_parameterized_bilinear_interdependence",
    "lowrank_parameterized_bilinear_interdependence",
    "lphm_parameterized_bilinear_interdependence",
    "parameterized_bilinear_interdependence",
    "random_matrix_adaption_parameterized_bilinear_interdependence",
]
