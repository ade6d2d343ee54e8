"""The parent of all parameterized bilinear interdependence functions: W is a parameter."""

from typing import ClassVar

import torch
from torch import Tensor

from lphm.errors import DivisibilityError, require_at_least, require_divisor
from lphm.ops.functional import interdependence_apply, interdependence_matrix
from lphm.rpn.base import interdependence
from lphm.rpn.checks import check_data, check_matrix, check_row, check_target
from lphm.rpn.functions import as_callables
from lphm.structures import Full, Structure


class parameterized_bilinear_interdependence(interdependence):
    r"""Bilinear interdependence of the rows or the columns of a data batch ``X`` ``(b, m)``.

        attribute:  A = Xᵀ W X   (m x m),   W = reshape(w)  (b x b),   forward: D @ A
        instance:   A = X W Xᵀ   (b x b),   W = reshape(w)  (m x m),   forward: Aᵀ @ D

    The caller holds the parameters: a head has ``w`` and passes one row of it. There is a class for every
    structure of ``W``; this one has ``l = n²``, where ``n = b`` (attribute) or ``m`` (instance).

    Shape:
        ``forward`` takes ``x`` ``(b, m)`` for both types, ``w`` ``(1, l)``, and ``kappa_x`` ``(b', m)`` for
        the attribute type, ``(b, m')`` for the instance type. It returns the shape of ``kappa_x``, or of
        ``x`` if that is not given. ``calculate_A`` returns ``(m, m)`` or ``(b, b)``.

    Args:
        b: rows of ``x``; the instance type does not need it, because its ``W`` does not depend on it.
        m: columns of ``x``; the attribute type neither needs nor checks it: its ``W`` mixes any number.
        interdependence_type: ``'row'``, ``'left'``, ``'instance'`` or ``'instance_interdependence'``;
            ``'column'``, ``'right'``, ``'attribute'`` or ``'attribute_interdependence'``.
        name: what ``get_name`` returns.
        require_data: False together with ``require_parameters=False`` means that ``A`` is a constant: it is
            calculated once, kept in ``A`` without a gradient, and used from then on.
        require_parameters: whether a head makes a parameter for this function.
        preprocess_functions: a callable or a name of torch's such as ``"torch.tanh"`` or ``"relu"``, or a
            list of them, applied to the data in ``calculate_A``, which has them transposed for the instance
            type. Without a name, such as a ``functools.partial``, one works but has no ``to_config``.
        postprocess_functions: the same, applied to ``A``; ``functools.partial(torch.softmax, dim=0)`` is
            what ``normalize="softmax"`` is elsewhere in ``lphm``.
        device: stored for heads that read it, and updated by ``to``.
        partial: allow ``x`` of the attribute type to have fewer than ``b`` rows, as a last batch does. The
            missing rows at its end count as zeros, so ``A`` uses the leading part of ``W``.

    Attributes:
        A: the constant interdependence matrix, or None.

    Raises:
        ValueError: an unknown ``interdependence_type``, also when it is assigned later; a size below 1; a
            tensor whose shape does not fit; a function that needs ``dim``, such as ``"softmax"``.
        DivisibilityError: ``p`` or ``q``, where there are such sizes, does not divide ``n``. It is an
            ``AssertionError``, as specified, and a ``ValueError``.
        TypeError: a size that is not an int; an unknown argument; a tensor that is not floating point, or
            tensors that differ in type or device.

    Example:
        >>> import torch
        >>> from lphm.rpn import parameterized_bilinear_interdependence
        >>> xi = parameterized_bilinear_interdependence(b=8, m=5, interdependence_type="attribute")
        >>> xi(x=torch.randn(8, 5), w=torch.randn(1, xi.calculate_l())).shape
        torch.Size([8, 5])

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), the parameterized bilinear interdependence functions.
    """

    #: The structure of ``W``, which is built with ``n`` and ``sizes``.
    structure_class: ClassVar[type[Structure]] = Full

    @property
    def structure(self) -> Structure:
        """The ``lphm.Structure`` of ``W``, from the present sizes."""
        letter, n = self._size_of_W
        if n is None:
            raise ValueError(
                f"{letter} must be known for the {self.kind} type, whose W is {letter} x {letter}, "
                f"got {letter}=None; pass {letter}= to the constructor"
            )
        self._check_positive()
        sizes = {key: getattr(self, key) for key in self.sizes}
        try:
            require_divisor(letter, n, **{key: sizes[key] for key in ("p", "q") if key in sizes})
        except DivisibilityError as error:
            if self.kind == "attribute":
                raise
            raise DivisibilityError(
                f"{error}: the instance type, which is the default, has a W of m x m; "
                "for interdependence_type='attribute' p and q must divide b"
            ) from None
        return self.structure_class(n=n, **sizes)

    @property
    def _size_of_W(self) -> tuple[str, int | None]:
        return ("b", self.b) if self.kind == "attribute" else ("m", self.m)

    def _check_positive(self) -> None:
        for key in self.sizes:
            checked = require_at_least(0 if key == "seed" else 1, **{key: getattr(self, key)})
            setattr(self, key, checked[key])

    def _check_sizes(self) -> None:
        """For the end of a subclass's constructor. What depends on an unknown ``n`` is checked later."""
        self._check_positive()
        if self._size_of_W[1] is not None:
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
        """``A = xᵀ W x``, where ``x`` has the ``n`` rows of ``W`` for either type.

        NOTE[DIFF] tinyBIG moves ``W`` to ``device``, which is ``'cpu'`` by default. Here everything is
        computed where ``w`` and ``x`` are; ``device`` is accepted because heads pass it.

        Shape:
            ``x`` ``(b, m)`` for the attribute type and, **already transposed**, ``(m, b)`` for the
            instance type; ``w`` ``(1, l)``; ``A`` ``(m, m)`` or ``(b, b)``.
        """
        if self._constant_A is not None:
            return self._constant_A
        structure = self.structure
        x = check_data(x, structure.n, self.kind, transposed=True, partial=self.partial, m=self.m)
        x = self.pre_process(x)  # (n, k)
        w = check_row(w, structure)  # (l,)
        A = self.post_process(interdependence_matrix(structure, w, x, partial=self.partial))  # (k, k)
        if self._is_constant:
            # NOTE[DIFF] tinyBIG keeps the graph, so that a second backward fails. A constant has none.
            A = self.A = A.detach()
        return A

    def forward(
        self,
        x: Tensor | None = None,
        w: Tensor | None = None,
        kappa_x: Tensor | None = None,
        device: torch.device | str | None = None,
        *args: object,
        **kwargs: object,
    ) -> Tensor:
        """``D @ A`` (attribute) or ``Aᵀ @ D`` (instance), where ``D`` is ``kappa_x`` if given, else ``x``.

        ``A`` is formed only where that is cheapest, where it is a constant, or where
        ``postprocess_functions`` need it.

        NOTE[DIFF] As in tinyBIG, the instance type takes any number of rows, such as a smaller last batch.
        For the attribute type ``b`` is the size of ``W``: another number of rows is an error that says so
        or, with ``partial``, uses the leading part of ``W``.
        """
        data = check_matrix("x", x) if kappa_x is None else check_matrix("kappa_x", kappa_x)
        instance, A = self.kind == "instance", self._constant_A
        if A is None and (self._is_constant or as_callables(self.postprocess_functions)):
            A = self.calculate_A(self._oriented(x), w)
        if A is not None:
            check_target(data, A.shape[0], self.kind)
            return A.mT @ data if instance else data @ A
        x = self.pre_process(self._oriented(x))  # (n, k)
        check_target(data, x.shape[-1], self.kind)
        x = x.mT if instance else x  # (b, m)
        w = check_row(w, self.structure)  # (l,)
        return interdependence_apply(self.structure, w, x, data, self.kind, partial=self.partial)

    def _oriented(self, x: Tensor | None) -> Tensor:
        """``x`` ``(b, m)`` in the orientation that ``calculate_A`` takes, ``(n, k)``."""
        x = check_data(x, self.structure.n, self.kind, transposed=False, partial=self.partial, m=self.m)
        return x.mT if self.kind == "instance" else x

    @property
    def _is_constant(self) -> bool:
        return not self.require_data and not self.require_parameters

    @property
    def _constant_A(self) -> Tensor | None:
        return self.A if self._is_constant else None
