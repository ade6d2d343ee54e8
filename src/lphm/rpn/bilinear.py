"""The parent of all parameterized bilinear interdependence functions: W is a parameter."""

from typing import cast

import torch
from torch import Tensor

from lphm.ops.functional import interdependence_apply, interdependence_matrix
from lphm.rpn.base import interdependence
from lphm.rpn.checks import check_data, check_matrix, check_row, check_target
from lphm.rpn.functions import as_callables
from lphm.structures import Full, Structure


class parameterized_bilinear_interdependence(interdependence):
    r"""Bilinear interdependence of the rows or the columns of a data batch ``X`` ``(b, m)``.

        attribute:  A = Xᵀ W X   (m x m),   W = reshape(w)  (b x b),   forward: D @ A
        instance:   A = X W Xᵀ   (b x b),   W = reshape(w)  (m x m),   forward: Aᵀ @ D

    The parameters are the caller's: a head holds ``w`` and hands in one row of it. There is a class
    for every structure of ``W``; this one has ``l = n²``, where ``n = b`` (attribute) or ``m`` (instance).

    Shape:
        ``x`` ``(b, m)``, also where ``forward`` is of the instance type; ``w`` ``(1, l)``; ``kappa_x``
        ``(b', m)`` for the attribute type, ``(b, m')`` for the instance type; ``forward`` returns the
        shape of ``kappa_x`` (``x`` if not given), ``calculate_A`` returns ``(m, m)`` or ``(b, b)``.

    Args:
        b: rows of ``x``; may be None for the instance type, whose ``W`` does not depend on it.
        m: columns of ``x``; may be None for the attribute type.
        interdependence_type: ``'row'``, ``'left'``, ``'instance'`` or ``'instance_interdependence'``;
            ``'column'``, ``'right'``, ``'attribute'`` or ``'attribute_interdependence'``.
        name: what ``get_name`` returns.
        require_data: False together with ``require_parameters=False`` means that ``A`` is a constant:
            calculated once, kept in ``A`` without a gradient, and used from then on.
        require_parameters: whether a head makes a parameter for this function.
        preprocess_functions: a callable or an importable name, or a list of them, applied to the data
            in ``calculate_A``, in the orientation that it has there.
        postprocess_functions: the like, applied to ``A``.
        device: kept for the heads that read it; follows ``to``.
        *args: none is taken.
        partial: let ``x`` of the attribute type have fewer than ``b`` rows, as a last batch does; the missing
            ones at its end count as zeros, so ``A`` uses the leading part of ``W``.
        **kwargs: none is taken.

    Attributes:
        A: the constant interdependence matrix, or None.
        structure: the ``lphm.Structure`` of ``W``.

    Raises:
        ValueError: an unknown ``interdependence_type``, also when it is assigned later; a size below 1.
        TypeError: a size that is not an int; an unknown argument.

    Example:
        >>> import torch
        >>> from lphm.rpn import parameterized_bilinear_interdependence
        >>> xi = parameterized_bilinear_interdependence(b=8, m=5, interdependence_type="attribute")
        >>> xi(x=torch.randn(8, 5), w=torch.randn(1, xi.calculate_l())).shape
        torch.Size([8, 5])

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), parameterized bilinear interdependence.
    """

    @property
    def structure(self) -> Structure:
        """What ``W`` is, from the sizes as they are now."""
        letter, n = ("b", self.b) if self.kind == "attribute" else ("m", self.m)
        if n is None:
            raise ValueError(
                f"{letter} must be known for the {self.kind} type, whose W is {letter} x {letter}, "
                f"got {letter}=None; pass {letter}= to the constructor"
            )
        return self._structure(letter, n)

    def _structure(self, letter: str, n: int) -> Structure:
        """What a subclass says: the structure of a ``W`` of size ``n``, known to the caller as ``letter``."""
        return Full(n=n)

    def _check_structure(self) -> None:
        """For the end of a subclass's constructor; a size that is still to come is checked at first use."""
        if (self.b if self.kind == "attribute" else self.m) is not None:
            _ = self.structure

    def calculate_l(self) -> int:
        """``l``, the number of parameters that ``w`` must hold."""
        return self.structure.num_parameters

    def calculate_A(
        self,
        x: Tensor | None = None,
        w: Tensor | None = None,
        device: torch.device | str | None = None,
        *args: object,
        **kwargs: object,
    ) -> Tensor:
        """``A = xᵀ W x``, from data that has the ``n`` rows of ``W`` for either type.

        NOTE[DIFF] tinyBIG moves ``W`` to ``device``, ``'cpu'`` unless said otherwise. Here everything
        is computed where ``w`` and ``x`` are, and ``device`` is taken only because heads pass it.

        Shape:
            ``x`` ``(b, m)`` for the attribute type and, **already transposed**, ``(m, b)`` for the
            instance type; ``w`` ``(1, l)``; ``A`` ``(m, m)`` or ``(b, b)``.

        Raises:
            ValueError: a shape that does not fit.
            TypeError: a tensor that is not floating point, or types or devices that differ.
        """
        if self._has_constant_A:
            return cast(Tensor, self.A)
        structure = self.structure
        x = check_data(x, structure.n, self.kind, turned=True, partial=self.partial)
        rows, w = self.pre_process(x), check_row(w, structure)  # (n, k), (l,)
        A = self.post_process(interdependence_matrix(structure, w, rows, partial=self.partial))  # (k, k)
        if not self._is_constant:
            return A
        # NOTE[DIFF] tinyBIG keeps the graph, so that a second backward fails. A constant has none.
        self.A = A.detach()
        return self.A

    def forward(
        self,
        x: Tensor | None = None,
        w: Tensor | None = None,
        kappa_x: Tensor | None = None,
        device: torch.device | str | None = None,
        *args: object,
        **kwargs: object,
    ) -> Tensor:
        """``D @ A`` (attribute) or ``Aᵀ @ D`` (instance), ``D = kappa_x`` if given, else ``x``.

        ``A`` is formed only where that is cheapest, where it is a constant, or where
        ``postprocess_functions`` ask to see it.

        NOTE[DIFF] The side of ``x`` that is not the ``n`` of ``W`` may differ from the constructor's,
        as in tinyBIG: a last, smaller batch works for the instance type. For the attribute type it
        is the size of ``W`` itself: an error that says so, or with ``partial`` the leading part of ``W``.

        Shape:
            ``x`` ``(b, m)``; ``w`` ``(1, l)``; ``kappa_x`` and the result ``(b', m)`` for the attribute
            type, ``(b, m')`` for the instance type.

        Raises:
            ValueError: a shape that does not fit.
            TypeError: a tensor that is not floating point, or types or devices that differ.
        """
        data = check_matrix("x", x) if kappa_x is None else check_matrix("kappa_x", kappa_x)
        turn = self.kind == "instance"
        if self._is_constant or as_callables(self.postprocess_functions):
            A = self.calculate_A(None if self._has_constant_A else self._rows(x, self.structure), w)
            check_target(data, A.shape[0], self.kind)
            return A.mT @ data if turn else data @ A
        structure = self.structure
        rows = self.pre_process(self._rows(x, structure))
        check_target(data, rows.shape[-1], self.kind)
        seen = rows.mT if turn else rows  # (b, m)
        w = check_row(w, structure)
        return interdependence_apply(structure, w, seen, data, self.kind, partial=self.partial)

    def _rows(self, x: Tensor | None, structure: Structure) -> Tensor:
        """``x`` ``(b, m)`` as ``calculate_A`` takes it, ``(n, k)``."""
        x = check_data(x, structure.n, self.kind, turned=False, partial=self.partial)
        return x.mT if self.kind == "instance" else x

    @property
    def _is_constant(self) -> bool:
        return not self.require_data and not self.require_parameters

    @property
    def _has_constant_A(self) -> bool:
        return self._is_constant and self.A is not None
