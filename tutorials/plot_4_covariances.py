r"""
Standard errors by a known W
============================

:math:`\xi = X^\top W X` is a covariance if :math:`W` is the identity. Other
covariances, of econometrics and of spatial statistics, are the same product with
another :math:`W` that is known and not learned. This page draws these :math:`W`,
computes standard errors with them, compares with statsmodels, and measures whether
neighbours on a map are alike.
"""

import matplotlib.pyplot as plt
import numpy as np
import statsmodels.api as sm
import torch
from torch import Tensor

import lphm
from lphm import kernels

# %%
# Which rows count together
# -------------------------
#
# The entry :math:`W_{ij}` says how much rows :math:`i` and :math:`j` of the data
# count together. Here there are 12 rows, which are, from one picture to the next:
#
# - rows that have nothing to do with each other: ``identity``;
# - steps of a series, each compared with the one 2 steps later: ``lag``;
# - steps of a series that depend on each other the less, the farther apart:
#   ``bartlett``, as in the estimator of Newey and West;
# - three groups of four, such as years of a firm: ``clusters``;
# - four firms in three years, where also neighbouring years depend on each other:
#   ``driscoll_kraay``;
# - cells of a map of 4 by 3: ``contiguity``, 1 for neighbours.


def dense(kernel: tuple[lphm.Structure, Tensor]) -> Tensor:
    """W of a kernel, n x n; that of contiguity is the sum of two channels."""
    structure, w = kernel
    W = structure.to_dense(w)
    return W.sum(0) if W.ndim == 3 else W


groups = np.repeat([1, 2, 3], 4)
shown = {
    "identity(12)": kernels.identity(12),
    "lag(12, 2)": kernels.lag(12, 2),
    "bartlett(12, 3)": kernels.bartlett(12, 3),
    "clusters(groups)": kernels.clusters(groups),
    "driscoll_kraay(years, 1)": kernels.driscoll_kraay(groups, 1),
    "contiguity(4, 3)": kernels.contiguity(4, 3),
}
fig, axes = plt.subplots(2, 3, figsize=(6.4, 5), sharex=True, sharey=True)
for ax, (name, kernel) in zip(axes.flat, shown.items(), strict=True):
    picture = ax.imshow(dense(kernel).numpy(), vmin=0, vmax=1)
    ax.set_title(name, fontsize="small")
    ax.set(xticks=range(0, 12, 4), yticks=range(0, 12, 4))
fig.colorbar(picture, ax=axes, label="W[i, j]", shrink=0.7)
fig.supxlabel("row j")
fig.supylabel("row i")
plt.show()

for name, (structure, w) in shown.items():
    print(f"{name:25} {structure!r:27} {w.numel():3} parameters, 144 entries")

# %%
# A regression
# ------------
#
# Grunfeld's data have 11 firms over 20 years. How much does a firm invest, given
# its value and its capital? The coefficients are those of least squares. How sure
# they are depends on which rows are allowed to depend on each other.

panel = sm.datasets.grunfeld.load_pandas().data
Z = sm.add_constant(panel[["value", "capital"]])
model = sm.OLS(panel["invest"], Z)
fit = model.fit()
print(fit.params.round(3).to_string())

# %%
# Residuals of one firm are alike over the years, which the picture shows: each
# line is a firm. So 220 rows do not say as much as 220 independent ones would.

residuals = fit.resid.groupby([panel["firm"], panel["year"]]).first().unstack(0)
assert residuals.apply(lambda firm: firm.autocorr(1)).median() > 0.5
fig, ax = plt.subplots(figsize=(6.4, 3.2))
ax.plot(residuals.index, residuals, linewidth=1.2, alpha=0.9)
ax.axhline(0, color="#8a8f98", linewidth=0.8)
ax.set(
    title="Residuals of the 11 firms",
    xlabel="year",
    ylabel="residual (million dollars)",
)
ax.set(xticks=range(1935, 1956, 5))
plt.show()

# %%
# The covariance of the coefficients is :math:`B\, X^\top W X\, B`. Row :math:`i` of
# :math:`X` is the residual times the row of :math:`Z`, and
# :math:`B = (Z^\top Z)^{-1}`. Only :math:`W` changes from one estimator to the next.
# ``by_group`` brings the rows into the order that the kernel expects.

X = torch.tensor(fit.resid.to_numpy()[:, None] * Z.to_numpy())
B = fit.normalized_cov_params.to_numpy()
firms, years = panel["firm"], panel["year"]


def standard_errors(kernel: tuple[lphm.Structure, Tensor], X: Tensor) -> np.ndarray:
    """Of the three coefficients."""
    structure, w = kernel
    xi = lphm.interdependence_matrix(structure, w, X)
    return np.sqrt(np.diag(B @ xi.numpy() @ B))


ours = {
    "rows are independent (White)": standard_errors(kernels.identity(len(X)), X),
    "years of a firm depend": standard_errors(
        kernels.clusters(firms), kernels.by_group(X, firms)
    ),
    "firms of a year depend": standard_errors(
        kernels.clusters(years), kernels.by_group(X, years)
    ),
    "and years up to 3 apart\n(Driscoll and Kraay)": standard_errors(
        kernels.driscoll_kraay(years, 3), kernels.by_group(X, years)
    ),
}
codes = {
    key: panel[key].astype("category").cat.codes.to_numpy()
    for key in ("firm", "year")
}
plain = {"use_correction": False}
theirs = [
    model.fit(cov_type="HC0"),
    model.fit(cov_type="cluster", cov_kwds={"groups": codes["firm"], **plain}),
    model.fit(cov_type="cluster", cov_kwds={"groups": codes["year"], **plain}),
    model.fit(
        cov_type="hac-groupsum",
        cov_kwds={
            "time": codes["year"].astype(int),
            "maxlags": 3,
            "df_correction": False,
            **plain,
        },
    ),
]
print(f"{'standard error of':38}{'value':>8}{'capital':>9}   difference")
for (name, errors), other in zip(ours.items(), theirs, strict=True):
    difference = np.abs(errors / other.bse.to_numpy() - 1).max()
    print(
        f"{name.splitlines()[0]:38}{errors[1]:8.4f}{errors[2]:9.4f}{difference:13.0e}"
    )
    assert difference < 1e-10

# %%
# The same data and the same coefficients, but standard errors that differ by a
# factor. Circles are ``lphm``, crosses statsmodels, without the corrections for
# small samples that it can also apply (:doc:`/kernels` has them).

fig, axes = plt.subplots(1, 2, figsize=(6.4, 3), sharey=True)
for column, (ax, name) in enumerate(
    zip(axes, ("value", "capital"), strict=True), start=1
):
    places = range(len(ours), 0, -1)
    for place, errors, other in zip(places, ours.values(), theirs, strict=True):
        ax.plot([0, errors[column]], [place, place], color="#8a8f98", linewidth=1)
        ax.plot(
            errors[column],
            place,
            "o",
            markersize=11,
            markerfacecolor="none",
            color="#3f8fd2",
        )
        ax.plot(other.bse.iloc[column], place, "x", markersize=6, color="#e08a2e")
    ax.set(title=f"coefficient of {name}", xlabel="standard error")
    ax.set(xlim=(0, None), ylim=(0.5, 4.5))
    ax.locator_params(axis="x", nbins=4)
axes[0].set_yticks(places, ours)
plt.show()

errors = np.array(list(ours.values()))
assert errors[1, 2] > 1.5 * errors[0, 2]  # of capital, if years of a firm depend

# %%
# Are neighbours alike?
# ---------------------
#
# Moran's I compares the cells of a map with their neighbours: it is near 0 if the
# values lie there at random, and near 1 if neighbours are alike. Its :math:`W` is a
# sum of two Kronecker products, so the parameters of ``contiguity`` have two
# channels, whose :math:`\xi` are added.

side = 20
structure, w = kernels.contiguity(side, side)
pairs = lphm.interdependence_matrix(
    structure, w, torch.ones(side * side, 1).double()
).sum()


def morans_i(field: np.ndarray) -> float:
    """Of a map ``(side, side)``."""
    z = torch.tensor(field - field.mean()).view(-1, 1)
    return (
        side
        * side
        / pairs
        * lphm.interdependence_matrix(structure, w, z).sum()
        / (z * z).sum()
    ).item()


generator = np.random.default_rng(0)
noise = generator.standard_normal((side + 4, side + 4))
smooth = (
    sum(noise[i : i + side, j : j + side] for i in range(5) for j in range(5)) / 5
)
shuffled = generator.permutation(smooth.ravel()).reshape(side, side)
maps = {"smooth": smooth, "shuffled": shuffled}
fig, axes = plt.subplots(1, 2, figsize=(6.4, 3.4))
for ax, (name, field) in zip(axes, maps.items(), strict=True):
    picture = ax.imshow(field)
    ax.set(title=f"{name}: I = {morans_i(field):.2f}", xlabel="column", ylabel="row")
fig.colorbar(picture, ax=axes, label="value", shrink=0.8)
plt.show()

W = dense((structure, w)).numpy()  # 400 x 400, to compare with
z = (smooth - smooth.mean()).ravel()
assert abs(morans_i(smooth) - side**2 / W.sum() * (z @ W @ z) / (z @ z)) < 1e-12
assert morans_i(smooth) > 0.6
assert abs(morans_i(shuffled)) < 0.15
