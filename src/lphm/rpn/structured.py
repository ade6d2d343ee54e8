"""One class for each structure of W, under the names that RPN gives them."""

from typing import Any

from lphm.errors import require_divisor, require_positive
from lphm.rpn.bilinear import parameterized_bilinear_interdependence
from lphm.structures import HM, LPHM, DualLPHM, LowRank, RandomMatrixAdaptation, Structure


def _check_partition(letter: str, n: int, p: int, q: int) -> None:
    """``p`` and ``q`` divide ``n``, which the caller knows as ``b`` or ``m``."""
    require_positive(p=p, q=q)
    require_divisor(letter, n, p=p, q=q)


class lowrank_parameterized_bilinear_interdependence(parameterized_bilinear_interdependence):
    r"""Low-rank parameterized bilinear interdependence.

        W = P Qᵀ,   P, Q (n x r),   l = 2 n r

    NOTE[DIFF] ``w`` holds ``[P, Q]``, each row-major; tinyBIG's holds ``P`` and ``Qᵀ``.

    Shape:
        as ``parameterized_bilinear_interdependence``.

    Args:
        r: rank of ``W``.
        name: what ``get_name`` returns.
        *args: positional arguments of the parent: ``b``, ``m``, ``interdependence_type``.
        **kwargs: keyword arguments of the parent.

    Raises:
        ValueError: ``r`` below 1; the interdependence type is not supported.

    Example:
        >>> from lphm.rpn import lowrank_parameterized_bilinear_interdependence
        >>> lowrank_parameterized_bilinear_interdependence(r=2, b=8, m=5).calculate_l()      # 2 * 5 * 2
        20

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), the low-rank parameterized bilinear interdependence function.
    """

    sizes = ("r",)

    def __init__(
        self,
        r: int = 2,
        name: str = "lowrank_parameterized_bilinear_interdependence",
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, name=name, **kwargs)  # type: ignore[misc]  # args end before name
        require_positive(r=r)
        self.r = r
        self._check_structure()

    def _structure(self, letter: str, n: int) -> Structure:
        return LowRank(n=n, r=self.r)


class hm_parameterized_bilinear_interdependence(parameterized_bilinear_interdependence):
    r"""Hierarchical mapping (HM) parameterized bilinear interdependence.

        W = A ⊗ B,   A (p x q),   B (n/p x n/q),   l = pq + n²/(pq)

    NOTE[DIFF] tinyBIG's ``W`` is the outer product of the flattened ``A`` and ``B``, which is the Kronecker
    product only for ``q = 1`` or ``p = n``. This is the specification's ``W``.

    Shape:
        as ``parameterized_bilinear_interdependence``.

    Args:
        p: row blocks of ``W``; divides ``n``, which is ``b`` (attribute) or ``m`` (instance).
        q: column blocks of ``W``; divides ``n``; ``p`` if not given.
        name: what ``get_name`` returns.
        *args: positional arguments of the parent: ``b``, ``m``, ``interdependence_type``.
        **kwargs: keyword arguments of the parent.

    Raises:
        ValueError: ``p`` or ``q`` below 1; the interdependence type is not supported.
        DivisibilityError: ``p`` or ``q`` does not divide ``n``; an ``AssertionError`` and a ``ValueError``.

    Example:
        >>> from lphm.rpn import hm_parameterized_bilinear_interdependence
        >>> hm_parameterized_bilinear_interdependence(p=3, q=2, b=8, m=6).calculate_l()      # 6 + 36 / 6
        12

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), the HM parameterized bilinear interdependence function.
    """

    sizes = ("p", "q")

    def __init__(
        self,
        p: int,
        q: int | None = None,
        name: str = "hm_parameterized_bilinear_interdependence",
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, name=name, **kwargs)  # type: ignore[misc]  # args end before name
        self.p, self.q = p, p if q is None else q
        require_positive(p=self.p, q=self.q)
        self._check_structure()

    def _structure(self, letter: str, n: int) -> Structure:
        _check_partition(letter, n, self.p, self.q)
        return HM(n=n, p=self.p, q=self.q)


class lphm_parameterized_bilinear_interdependence(parameterized_bilinear_interdependence):
    r"""Low-rank hierarchical mapping (LPHM) parameterized bilinear interdependence.

        W = A ⊗ (S Tᵀ),   A (p x q),   S (n/p x r),   T (n/q x r),   l = pq + r (n/p + n/q)

    ``w`` holds ``[A, S, T]``, each row-major. ``forward`` costs ``4 n k r + 2 p q r k + 4 d k K`` flops or
    less (``d`` rows of data, ``K = r min(p, q)``) and forms ``W`` only where it is tiny.

    NOTE[DIFF] tinyBIG's ``W`` is the outer product of the flattened factors, which is the Kronecker
    product only for ``q = 1`` or ``p = n``, and its ``w`` holds ``Tᵀ``. This is the specification's ``W``.

    Shape:
        as ``parameterized_bilinear_interdependence``.

    Args:
        r: rank of ``S Tᵀ``.
        p: row blocks of ``W``; divides ``n``, which is ``b`` (attribute) or ``m`` (instance).
        q: column blocks of ``W``; divides ``n``; ``p`` if not given.
        name: what ``get_name`` returns.
        *args: positional arguments of the parent: ``b``, ``m``, ``interdependence_type``.
        **kwargs: keyword arguments of the parent.

    Raises:
        ValueError: ``r``, ``p`` or ``q`` below 1; the interdependence type is not supported.
        DivisibilityError: ``p`` or ``q`` does not divide ``n``; an ``AssertionError`` and a ``ValueError``.

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

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), the LPHM parameterized bilinear interdependence function.
    """

    sizes = ("r", "p", "q")

    def __init__(
        self,
        r: int,
        p: int,
        q: int | None = None,
        name: str = "lphm_parameterized_bilinear_interdependence",
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, name=name, **kwargs)  # type: ignore[misc]  # args end before name
        self.r, self.p, self.q = r, p, p if q is None else q
        require_positive(r=self.r, p=self.p, q=self.q)
        self._check_structure()

    def _structure(self, letter: str, n: int) -> Structure:
        _check_partition(letter, n, self.p, self.q)
        return LPHM(n=n, p=self.p, q=self.q, r=self.r)


class dual_lphm_parameterized_bilinear_interdependence(parameterized_bilinear_interdependence):
    r"""Dual low-rank hierarchical mapping (dual LPHM) parameterized bilinear interdependence.

        W = (P Qᵀ) ⊗ (S Tᵀ),   P (p x r),   Q (q x r),   S (n/p x r),   T (n/q x r)

    ``w`` holds ``[P, Q, S, T]``, each row-major, ``l = r (p + q + n/p + n/q)``.

    NOTE[DIFF] tinyBIG's ``W`` is the outer product of the flattened factors, which is the Kronecker
    product only for ``q = 1`` or ``p = n``, and its ``w`` holds ``Qᵀ`` and ``Tᵀ``. This is the
    specification's ``W``.

    Shape:
        as ``parameterized_bilinear_interdependence``.

    Args:
        r: rank of ``P Qᵀ`` and of ``S Tᵀ``.
        p: row blocks of ``W``; divides ``n``, which is ``b`` (attribute) or ``m`` (instance).
        q: column blocks of ``W``; divides ``n``; ``p`` if not given.
        name: what ``get_name`` returns.
        *args: positional arguments of the parent: ``b``, ``m``, ``interdependence_type``.
        **kwargs: keyword arguments of the parent.

    Raises:
        ValueError: ``r``, ``p`` or ``q`` below 1; the interdependence type is not supported.
        DivisibilityError: ``p`` or ``q`` does not divide ``n``; an ``AssertionError`` and a ``ValueError``.

    Example:
        >>> from lphm.rpn import dual_lphm_parameterized_bilinear_interdependence
        >>> xi = dual_lphm_parameterized_bilinear_interdependence(r=2, p=3, q=2, b=8, m=6)
        >>> xi.calculate_l()                                  # 2 (3 + 2 + 6 / 3 + 6 / 2); dense: 36
        20

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), the dual LPHM parameterized bilinear interdependence function.
    """

    sizes = ("r", "p", "q")

    def __init__(
        self,
        r: int,
        p: int,
        q: int | None = None,
        name: str = "dual_lphm_parameterized_bilinear_interdependence",
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, name=name, **kwargs)  # type: ignore[misc]  # args end before name
        self.r, self.p, self.q = r, p, p if q is None else q
        require_positive(r=self.r, p=self.p, q=self.q)
        self._check_structure()

    def _structure(self, letter: str, n: int) -> Structure:
        _check_partition(letter, n, self.p, self.q)
        return DualLPHM(n=n, p=self.p, q=self.q, r=self.r)


class random_matrix_adaption_parameterized_bilinear_interdependence(parameterized_bilinear_interdependence):
    r"""Random matrix adaptation parameterized bilinear interdependence.

        W = diag(λ₁) A diag(λ₂) Bᵀ,   λ₁ (n),   λ₂ (r),   l = n + r;   A, B (n x r) fixed

    NOTE[DIFF] tinyBIG draws ``A`` and ``B`` at the first call, from the global generator, and does not save
    them with the model. Here they follow from ``seed``, so that ``w`` and the configuration say all. Every
    column of them has length ``√n``, which Gaussian columns have on average.

    Shape:
        as ``parameterized_bilinear_interdependence``.

    Args:
        r: rank of ``W``.
        name: what ``get_name`` returns.
        *args: positional arguments of the parent: ``b``, ``m``, ``interdependence_type``.
        seed: of ``A`` and ``B``.
        **kwargs: keyword arguments of the parent.

    Raises:
        ValueError: ``r`` below 1; ``seed`` below 0; the interdependence type is not supported.

    Example:
        >>> from lphm.rpn import random_matrix_adaption_parameterized_bilinear_interdependence
        >>> random_matrix_adaption_parameterized_bilinear_interdependence(r=2, b=8, m=5).calculate_l()
        7

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), the random matrix adaptation parameterized bilinear
        interdependence function.
    """

    sizes = ("r", "seed")

    def __init__(
        self,
        r: int = 2,
        name: str = "random_matrix_adaption_parameterized_bilinear_interdependence",
        *args: Any,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, name=name, **kwargs)  # type: ignore[misc]  # args end before name
        require_positive(r=r)
        self.r, self.seed = r, seed
        self._check_structure()

    def _structure(self, letter: str, n: int) -> Structure:
        return RandomMatrixAdaptation(n=n, r=self.r, seed=self.seed)
