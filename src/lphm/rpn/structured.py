"""One class for each structure of W, under the names that RPN gives them."""

from typing import Any

from lphm.errors import require_divisor, require_positive
from lphm.rpn.bilinear import parameterized_bilinear_interdependence
from lphm.structures import LPHM, Structure

__all__ = ["lphm_parameterized_bilinear_interdependence"]


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
        self.r = r
        self.p = p
        self.q = p if q is None else q
        require_positive(r=self.r, p=self.p, q=self.q)
        self._check_structure()

    def _structure(self, letter: str, n: int) -> Structure:
        require_positive(r=self.r, p=self.p, q=self.q)
        require_divisor(letter, n, p=self.p, q=self.q)
        return LPHM(n=n, p=self.p, q=self.q, r=self.r)
