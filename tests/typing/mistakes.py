"""Mistakes that mypy has to report: where a line ends in ``# error: TEXT``, a message with that TEXT."""

import torch

import lphm
from lphm import rpn, sharded, streamed

structure = lphm.LPHM(n=12, p=3, q=2, r=2)
w, x = torch.randn(26), torch.randn(12, 5)

# Structures.
lphm.LPHM(n="12", p=3, r=2)  # error: Argument "n" to "LPHM" has incompatible type "str"; expected "int"
lphm.LPHM(n=12, p=3)  # error: Missing named argument "r"
lphm.LPHM(12, 3, 2)  # error: Too many positional arguments
lphm.HM(n=12, p=3, r=2)  # error: Unexpected keyword argument "r"
structure.n = 24  # error: Property "n" defined in "LPHM" is read-only
lphm.LPMH(n=12, p=3, r=2)  # error: Module has no attribute "LPMH"

# Functions and the layer.
lphm.interdependence_apply(structure, w, x, kind="row")  # error: expected "Literal['attribute', 'instance']"
lphm.interdependence_apply(structure, w, x, normalize="mean")  # error: Argument "normalize"
lphm.interdependence_apply(structure, w, x, partail=True)  # error: did you mean "partial"?
lphm.interdependence_matrix(w, structure, x)  # error: Argument 1 to "interdependence_matrix"; Argument 2
lphm.BilinearInterdependence(structure, kind="column")  # error: Argument "kind"
lphm.BilinearInterdependence(12)  # error: Argument 1 to "BilinearInterdependence" has incompatible type "int"
lphm.BilinearInterdependence(structure, chanels=2)  # error: did you mean "channels"?
lphm.InterdependenceAttention(12, 2, structure="lphm")  # error: Argument "structure"
lphm.InterdependenceAttention(12, 2, kdim=6)  # error: Unexpected keyword argument "kdim"
lphm.nearest(structure.to_dense(w), structure)  # error: Argument 1 to "nearest"; Argument 2 to "nearest"
streamed.interdependence_apply(structure, w, [x])  # error: Argument 3 to "interdependence_apply"
sharded.interdependence_matrix(structure, w, x, "attribute")  # error: Argument 4
sharded.interdependence_apply(structure, w, x, gruop=None)  # error: did you mean "group"?

# The names of the specification.
rpn.lphm_parameterized_bilinear_interdependence(2, 3, b="8")  # error: "b" to "lphm_parameterized
rpn.lphm_parameterized_bilinear_interdependence(2, 3, None, "name", "8")  # error: Argument 5 to "lphm_para
rpn.lphm_parameterized_bilinear_interdependence(2, 3, bb=8)  # error: Unexpected keyword argument "bb"
rpn.lphm_parameterized_bilinear_interdependence(r=2, b=8)  # error: Missing positional argument "p"
rpn.hm_parameterized_bilinear_interdependence(3, parital=True)  # error: did you mean "partial"?
rpn.lowrank_parameterized_bilinear_interdependence(2, require_data="no")  # error: Argument "require_data"
rpn.dual_lphm_parameterized_bilinear_interdependence(2, 3, interdependance_type="row")  # error: did you mean
rpn.random_matrix_adaption_parameterized_bilinear_interdependence(sed=1)  # error: did you mean "seed"?
rpn.parameterized_bilinear_interdependence(8, 5, "rows")  # error: Argument 3
rpn.parameterized_bilinear_interdependence(8, 5, nam="name")  # error: Argument "nam"
rpn.parameterized_bilinear_interdependence(8, 5).interdependence_type = "rows"  # error: Incompatible types

# Estimators.
lphm.LPHMClassifier(epoch=3)  # error: Unexpected keyword argument "epoch" for "LPHMClassifier"
lphm.LPHMClassifier(members="4")  # error: Argument "members" to "LPHMClassifier"
lphm.LPHMRegressor().fit([[1.0]], [1.0], group=[1])  # error: Unexpected keyword argument "group"
lphm.LPHMRegressor().set_fit_request(group=True)  # error: Unexpected keyword argument "group"
lphm.LPHMRegressor(class_weight="balanced")  # error: Unexpected keyword argument "class_weight"
