# Without these types the estimators would be subclasses of Any, with any argument and any attribute.
from typing import Any

from numpy.typing import ArrayLike
from typing_extensions import Self

class BaseEstimator:
    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def set_params(self, **params: Any) -> Self: ...
    def set_fit_request(
        self,
        *,
        sample_weight: bool | str | None = ...,
        X_val: bool | str | None = ...,
        y_val: bool | str | None = ...,
        groups: bool | str | None = ...,
    ) -> Self: ...
    def set_score_request(self, *, sample_weight: bool | str | None = ...) -> Self: ...
    def __sklearn_tags__(self) -> Any: ...

class ClassifierMixin:
    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float: ...

class RegressorMixin:
    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float: ...
