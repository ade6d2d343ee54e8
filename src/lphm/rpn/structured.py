"""One class for each structure of W, under the names that RPN gives them.

The constructors take the sizes of ``W`` first: those of the structure, whose ``n`` is ``b`` for the attribute
type and ``m`` for the instance type. All other arguments, the shapes and the errors are documented on
``parameterized_bilinear_interdependence``. ``w`` holds the factors one after another, each row-major. The
specification passes its ``*args`` and ``**kwargs`` on to the parent; here they are written out, so that type
checkers and editors know them.

NOTE[DIFF] tinyBIG's ``w`` holds ``Qᵀ`` and ``Tᵀ`` in place of ``Q`` and ``T``. The ``W`` of HM, LPHM and dual
LPHM is the specification's Kronecker product; tinyBIG's is the outer product of the flattened factors, which
is the Kronecker product only for ``q = 1`` or ``p = n``.
"""

from typing import TYPE_CHECKING, TypedDict

import torch

from lphm.rpn.base import InterdependenceType
from lphm.rpn.bilinear import parameterized_bilinear_interdependence
from lphm.rpn.functions import Functions
from lphm.structures import HM, LPHM, DualLPHM, LowRank, RandomMatrixAdaptation

if TYPE_CHECKING:
    from typing_extensions import Unpack


class ParentOptions(TypedDict, total=False):
    """Arguments of ``parameterized_bilinear_interdependence`` that are given by name."""

    require_data: bool
    require_parameters: bool
    preprocess_functions: Functions
    postprocess_functions: Functions
    device: torch.device | str
    partial: bool


class lowrank_parameterized_bilinear_interdependence(parameterized_bilinear_interdependence):
    r"""Low-rank: ``W = P Qᵀ``, ``P, Q (n x r)``, ``l = 2 n r``.

    Args:
        r: rank of ``W``.
        name, b, m, interdependence_type: as for ``parameterized_bilinear_interdependence``.
        **kwargs: its other arguments.

    Example:
        >>> from lphm.rpn import lowrank_parameterized_bilinear_interdependence
        >>> lowrank_parameterized_bilinear_interdependence(r=2, b=8, m=5).calculate_l()      # 2 * 5 * 2
        20
    """

    sizes = ("r",)
    structure_class = LowRank

    def __init__(
        self,
        r: int = 2,
        name: str = "lowrank_parameterized_bilinear_interdependence",
        b: int | None = None,
        m: int | None = None,
        interdependence_type: InterdependenceType = "instance",
        **kwargs: "Unpack[ParentOptions]",
    ) -> None:
        super().__init__(b, m, interdependence_type, name, **kwargs)
        self.r = r
        self._check_sizes()


class hm_parameterized_bilinear_interdependence(parameterized_bilinear_interdependence):
    r"""Hierarchical mapping (HM): ``W = A ⊗ B``, ``A (p x q)``, ``B (n/p x n/q)``, ``l = pq + n²/(pq)``.

    Args:
        p, q: row and column blocks of ``W``, divisors of ``n``; ``q`` is ``p`` if not given.
        name, b, m, interdependence_type: as for ``parameterized_bilinear_interdependence``.
        **kwargs: its other arguments.

    Example:
        >>> from lphm.rpn import hm_parameterized_bilinear_interdependence
        >>> hm_parameterized_bilinear_interdependence(p=3, q=2, b=8, m=6).calculate_l()      # 6 + 36 / 6
        12
    """

    sizes = ("p", "q")
    structure_class = HM

    def __init__(
        self,
        p: int,
        q: int | None = None,
        name: str = "hm_parameterized_bilinear_interdependence",
        b: int | None = None,
        m: int | None = None,
        interdependence_type: InterdependenceType = "instance",
        **kwargs: "Unpack[ParentOptions]",
    ) -> None:
        super().__init__(b, m, interdependence_type, name, **kwargs)
        self.p = p
        self.q = p if q is None else q
        self._check_sizes()


class lphm_parameterized_bilinear_interdependence(parameterized_bilinear_interdependence):
    r"""Low-rank hierarchical mapping (LPHM).

        W = A ⊗ (S Tᵀ),   A (p x q),   S (n/p x r),   T (n/q x r),   l = pq + r (n/p + n/q)

    ``forward`` costs ``4 n k r + 2 p q r k + 4 d k K`` flops or less (``d`` rows of data,
    ``K = r min(p, q)``) and forms ``W`` only where it is tiny.

    Args:
        r: rank of ``S Tᵀ``.
        p, q: row and column blocks of ``W``, divisors of ``n``; ``q`` is ``p`` if not given.
        name, b, m, interdependence_type: as for ``parameterized_bilinear_interdependence``.
        **kwargs: its other arguments.

    Example:
        >>> import torch
        >>> from lphm.rpn import lphm_parameterized_bilinear_interdependence
        >>> xi = lphm_parameterized_bilinear_interdependence(
        ...     r=2, p=4, q=2, b=8, m=5, interdependence_type="attribute"
        ... )
        >>> xi.calculate_l()                                  # 4 * 2 + 2 (8 / 4 + 8 / 2); dense: 64
        20
        >>> xi(x=torch.randn(8, 5), w=torch.randn(1, 20)).shape
        torch.Size([8, 5])
    """

    sizes = ("r", "p", "q")
    structure_class = LPHM

    def __init__(
        self,
        r: int,
        p: int,
        q: int | None = None,
        name: str = "lphm_parameterized_bilinear_interdependence",
        b: int | None = None,
        m: int | None = None,
        interdependence_type: InterdependenceType = "instance",
        **kwargs: "Unpack[ParentOptions]",
    ) -> None:
        super().__init__(b, m, interdependence_type, name, **kwargs)
        self.r = r
        self.p = p
        self.q = p if q is None else q
        self._check_sizes()


class dual_lphm_parameterized_bilinear_interdependence(parameterized_bilinear_interdependence):
    r"""Dual low-rank hierarchical mapping (dual LPHM).

        W = (P Qᵀ) ⊗ (S Tᵀ),   P (p x r),   Q (q x r),   S (n/p x r),   T (n/q x r)

    Args:
        r: rank of ``P Qᵀ`` and of ``S Tᵀ``.
        p, q: row and column blocks of ``W``, divisors of ``n``; ``q`` is ``p`` if not given.
        name, b, m, interdependence_type: as for ``parameterized_bilinear_interdependence``.
        **kwargs: its other arguments.

    Example:
        >>> from lphm.rpn import dual_lphm_parameterized_bilinear_interdependence
        >>> xi = dual_lphm_parameterized_bilinear_interdependence(r=2, p=3, q=2, b=8, m=6)
        >>> xi.calculate_l()                                  # 2 (3 + 2 + 6 / 3 + 6 / 2); dense: 36
        20
    """

    sizes = ("r", "p", "q")
    structure_class = DualLPHM

    def __init__(
        self,
        r: int,
        p: int,
        q: int | None = None,
        name: str = "dual_lphm_parameterized_bilinear_interdependence",
        b: int | None = None,
        m: int | None = None,
        interdependence_type: InterdependenceType = "instance",
        **kwargs: "Unpack[ParentOptions]",
    ) -> None:
        super().__init__(b, m, interdependence_type, name, **kwargs)
        self.r = r
        self.p = p
        self.q = p if q is None else q
        self._check_sizes()


class random_matrix_adaption_parameterized_bilinear_interdependence(parameterized_bilinear_interdependence):
    r"""Random matrix adaptation.

        W = diag(λ₁) A diag(λ₂) Bᵀ,   λ₁ (n),   λ₂ (r),   l = n + r;   A, B (n x r) fixed

    NOTE[DIFF] tinyBIG draws ``A`` and ``B`` at the first call, from the global generator, and does not save
    them with the model. Here they follow from ``seed``, so that ``w`` and the configuration are enough to
    restore the function. Their columns have length ``√n``, which Gaussian columns have on average.

    Args:
        r: rank of ``W``.
        name, b, m, interdependence_type: as for ``parameterized_bilinear_interdependence``.
        **kwargs: its other arguments.
        seed: seed from which ``A`` and ``B`` are drawn; at least 0.

    Example:
        >>> from lphm.rpn import random_matrix_adaption_parameterized_bilinear_interdependence
        >>> random_matrix_adaption_parameterized_bilinear_interdependence(r=2, b=8, m=5).calculate_l()
        7
    """

    sizes = ("r", "seed")
    structure_class = RandomMatrixAdaptation

    def __init__(
        self,
        r: int = 2,
        name: str = "random_matrix_adaption_parameterized_bilinear_interdependence",
        b: int | None = None,
        m: int | None = None,
        interdependence_type: InterdependenceType = "instance",
        *,
        seed: int = 0,
        **kwargs: "Unpack[ParentOptions]",
    ) -> None:
        super().__init__(b, m, interdependence_type, name, **kwargs)
        self.r = r
        self.seed = seed
        self._check_sizes()
