"""Known estimators as fixed ``W``: each function returns a structure and its parameters, exact in float64.

``xi = Xᵀ W X`` of the rows ``x_i`` of ``X`` is ``Σ_ij W[i, j] x_i x_jᵀ``. So a weight for each pair of rows
is an estimator: of covariances at a lag, over a long run, within clusters, or between neighbours in space.
``docs/kernels.md`` compares them with other packages.
"""

from lphm.kernels.groups import by_group, clusters, driscoll_kraay
from lphm.kernels.series import bartlett, identity, lag
from lphm.kernels.space import contiguity

__all__ = ["bartlett", "by_group", "clusters", "contiguity", "driscoll_kraay", "identity", "lag"]
