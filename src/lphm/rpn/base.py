"""What every interdependence function of RPN has: a type, sizes, functions before and after, a name."""

import sys
from collections.abc import Callable, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, get_args

import torch
from torch import Tensor, nn

from lphm.errors import did_you_mean, require_positive
from lphm.ops.checks import Kind
from lphm.rpn.functions import Functions, apply_functions, as_callables, name_of, names_of, replace_names

if TYPE_CHECKING:
    from typing_extensions import Self

# NOTE[DIFF] tinyBIG documents 'row' and 'column' and rejects them.
InstanceType = Literal["row", "left", "instance", "instance_interdependence"]
AttributeType = Literal["column", "right", "attribute", "attribute_interdependence"]
InterdependenceType = InstanceType | AttributeType
#: The kind that each of RPN's eight words names.
KINDS: dict[str, Kind] = {
    **dict.fromkeys(get_args(InstanceType), "instance"),
    **dict.fromkeys(get_args(AttributeType), "attribute"),
}


class interdependence(nn.Module):
    """All but the calculation of ``A``; documented on ``parameterized_bilinear_interdependence``."""

    A: Tensor | None
    #: Arguments of a subclass's constructor that are not among those below; all are attributes too.
    sizes: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        b: int | None = None,
        m: int | None = None,
        interdependence_type: InterdependenceType = "instance",
        name: str = "parameterized_bilinear_interdependence",
        require_data: bool = True,
        require_parameters: bool = True,
        preprocess_functions: Functions = None,
        postprocess_functions: Functions = None,
        device: torch.device | str = "cpu",
        *,
        partial: bool = False,
        **unknown: NoReturn,
    ) -> None:
        # NOTE[DIFF] tinyBIG has *args and **kwargs here and ignores them, misspelt arguments included.
        for argument in unknown:
            known = signature(interdependence).parameters.keys() - {"unknown"}
            similar = did_you_mean(argument, sorted({*self.sizes, *known}))
            advice = f"; did you mean {similar!r}?" if similar else ""
            raise TypeError(f"{type(self).__name__}() has no argument {argument!r}{advice}")
        super().__init__()
        sizes = require_positive(**{key: size for key, size in (("b", b), ("m", m)) if size is not None})
        as_callables(preprocess_functions, "preprocess_functions")  # which checks them
        as_callables(postprocess_functions, "postprocess_functions")
        self.b = sizes.get("b")
        self.m = sizes.get("m")
        self.interdependence_type = interdependence_type
        self.name = name
        self.require_data = require_data
        self.require_parameters = require_parameters
        self.preprocess_functions = preprocess_functions
        self.postprocess_functions = postprocess_functions
        self.device = device
        self.partial = partial
        self.register_buffer("A", None, persistent=False)

    @property
    def interdependence_type(self) -> InterdependenceType:
        """One of the eight words."""
        return self._interdependence_type

    @interdependence_type.setter
    def interdependence_type(self, word: InterdependenceType) -> None:
        if word not in list(KINDS):  # a list: what is assigned need not be hashable
            words = ", ".join(map(repr, KINDS))
            raise ValueError(f"interdependence_type must be one of {words}, got {word!r}")
        self._interdependence_type = word

    @property
    def kind(self) -> Kind:
        """``"attribute"`` or ``"instance"``."""
        return KINDS[self.interdependence_type]

    def calculate_b_prime(self, b: int | None = None) -> int | None:
        """Rows of the result for ``b`` rows of data: the same number."""
        return self.b if b is None else b

    def calculate_m_prime(self, m: int | None = None) -> int | None:
        """Columns of the result for ``m`` columns of data: the same number."""
        return self.m if m is None else m

    def pre_process(self, x: Tensor, device: object = None, *args: object, **kwargs: object) -> Tensor:
        """Apply ``preprocess_functions`` to ``x``, which has the orientation that ``calculate_A`` takes."""
        return apply_functions(x, self.preprocess_functions, "preprocess_functions")

    def post_process(self, x: Tensor, device: object = None, *args: object, **kwargs: object) -> Tensor:
        """Apply ``postprocess_functions`` to ``x``."""
        return apply_functions(x, self.postprocess_functions, "postprocess_functions")

    def check_A_shape_validity(self, A: Tensor | None) -> None:
        """Raise ``ValueError`` unless ``A`` is ``(m, m)`` (attribute) or ``(b, b)`` (instance)."""
        letter, k = ("m", self.m) if self.kind == "attribute" else ("b", self.b)
        if A is None or k is None or A.shape != (k, k):
            shape = None if A is None else tuple(A.shape)
            raise ValueError(
                f"A must be ({letter}, {letter}) for the {self.kind} type, got shape {shape}, {letter}={k}"
            )

    def get_A(self) -> Tensor | None:
        """The constant ``A``, or None as long as it has not been calculated."""
        return self.A

    def get_b(self) -> int | None:
        """Rows of the data."""
        return self.b

    def get_m(self) -> int | None:
        """Columns of the data."""
        return self.m

    def get_name(self) -> str:
        """The name given to the constructor."""
        return self.name

    def to_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON-serialisable values, in the two keys that tinyBIG uses.

        ``A`` is not among them. NOTE[DIFF] tinyBIG writes every attribute, also tensors, which is not JSON.

        Raises:
            ValueError: a function before or after that cannot be imported by its name.
        """
        flags = "name", "require_data", "require_parameters", "partial"
        keys = (*self.sizes, "b", "m", "interdependence_type", *flags)
        parameters = {
            **{key: getattr(self, key) for key in keys},
            "preprocess_functions": names_of(self.preprocess_functions),
            "postprocess_functions": names_of(self.postprocess_functions),
            "device": str(self.device),
        }
        return {"function_class": _class_name(type(self)), "function_parameters": parameters}

    @classmethod
    def from_config(cls, config: dict[str, Any], allowed: Sequence[Callable[..., Any]] = ()) -> "Self":
        """The function that ``to_config`` describes, of this class or of one derived from it.

        Nothing is imported for a name in ``config``: it must be that of a class of ``lphm.rpn``, of this
        class, of torch's functions of tensors, or of what is allowed.

        Args:
            config: what ``to_config`` returned.
            allowed: functions and classes of your own that the configuration may name.

        Raises:
            ValueError: ``function_class`` is missing or names no such class; a value that is not allowed.
            TypeError: an argument is missing or unknown.
        """
        own = [*allowed, cls, *vars(sys.modules["lphm.rpn"]).values()]
        classes = {
            _class_name(item): item for item in own if isinstance(item, type) and issubclass(item, cls)
        }
        name = config.get("function_class")
        if name not in list(classes):  # a list: what stands there need not be hashable
            raise ValueError(
                f"function_class must name {cls.__name__} or a subclass of it, got {name!r}; "
                "pass a class of your own in allowed"
            )
        functions = {name_of(item): item for item in allowed if not isinstance(item, type)}
        parameters = dict(config.get("function_parameters", {}))
        for key in ("preprocess_functions", "postprocess_functions"):
            if key in parameters:
                parameters[key] = replace_names(parameters[key], functions)
        return classes[name](**parameters)

    def to(self, *args: Any, **kwargs: Any) -> "Self":
        """As ``nn.Module.to``, and ``device`` follows."""
        # NOTE[DIFF] tinyBIG's `device` keeps its first value, and its heads call `to` at every forward.
        target = kwargs.get("device", args[0] if args else None)
        if isinstance(target, Tensor):
            target = target.device
        if isinstance(target, (str, torch.device)):
            self.device = target
        return super().to(*args, **kwargs)

    def extra_repr(self) -> str:
        """The sizes and the type."""
        keys = (*self.sizes, "b", "m", "interdependence_type")
        return ", ".join(f"{key}={getattr(self, key)!r}" for key in keys)


def _class_name(cls: type) -> str:
    """The public name by which a configuration knows a class."""
    module = "lphm.rpn" if cls.__module__.startswith("lphm.rpn.") else cls.__module__
    return f"{module}.{cls.__qualname__}"
