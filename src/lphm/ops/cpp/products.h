// The products of LPHM on blocks of rows, and their gradients: kernels/lphm.py and kernels/blocks.py in C++. At
// small sizes, and wherever the data has driven the interpreter out of the caches, the Python between the operators
// is half of the time. The tests compare both.
//
// ATen operators only: this takes every device and type that they take.

#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sum.h>

#include <algorithm>
#include <vector>

namespace lphm {

using at::bmm;
using at::Tensor;
using Tensors = std::vector<Tensor>;

constexpr int64_t TALL = 32, PARTS = 4;  // as in fused.py

// W = A ⊗ (S Tᵀ), and where its factors lie in w (C, l).
struct Lphm {
  int64_t n, p, q, r, s, t, l;

  Lphm(int64_t n, int64_t p, int64_t q, int64_t r)
      : n(n), p(p), q(q), r(r), s(n / p), t(n / q), l(p * q + r * (n / p + n / q)) {}

  int64_t channels(const Tensor& w) const { return w.numel() / l; }

  // A (C, p, q), a view.
  Tensor mixing(const Tensor& w) const {
    return w.as_strided({channels(w), p, q}, {l, q, 1}, w.storage_offset());
  }

  // A of every sample and channel (N C, p, q).
  Tensor mixing(const Tensor& w, int64_t N) const {
    const Tensor A = mixing(w);
    return N == 1 ? A : A.expand({N, A.size(0), p, q}).reshape({-1, p, q});
  }

  // S (C, s, r) and T (C, t, r), views.
  Tensor S(const Tensor& w) const {
    return w.as_strided({channels(w), s, r}, {l, r, 1}, w.storage_offset() + p * q);
  }
  Tensor T(const Tensor& w) const {
    return w.as_strided({channels(w), t, r}, {l, r, 1}, w.storage_offset() + p * q + s * r);
  }

  // Sᵀ and Tᵀ, views (C, 1, r, s) and (C, 1, r, t), or where s = t both as one (C, 2, r, s).
  Tensors thin(const Tensor& w) const {
    const int64_t C = channels(w), start = w.storage_offset() + p * q;
    if (s == t) return {w.as_strided({C, 2, r, s}, {l, s * r, 1, r}, start)};
    return {w.as_strided({C, 1, r, s}, {l, s * r, 1, r}, start),
            w.as_strided({C, 1, r, t}, {l, t * r, 1, r}, start + s * r)};
  }
};

// Memory layouts.

inline bool is_transpose(const Tensor& x) { return x.stride(-2) == 1 && x.stride(-1) != 1; }

inline bool is_scattered(const Tensor& x) { return x.size(0) > 1 && is_transpose(x); }

inline Tensor matmul_in_layout_of(const Tensor& x, const Tensor& a, const Tensor& b) {
  return is_transpose(x) ? bmm(b.mT(), a.mT()).mT() : bmm(a, b);
}

inline Tensor accumulate(Tensor total, const Tensor& a, const Tensor& b) {
  if (is_transpose(total)) total.mT().baddbmm_(b.mT(), a.mT());
  else total.baddbmm_(a, b);
  return total;
}

inline Tensor orient(const Tensor& x, bool instance) { return instance ? x.mT() : x; }

// (*batch, b, m) to (N, n, k).
inline Tensor rows_of(const Tensor& x, bool instance) {
  return orient(x.reshape({-1, x.size(-2), x.size(-1)}), instance);
}

// (N, n, k) to (B, d, k): one matrix for each sample and channel.
inline Tensor grouped(const Tensor& rows, int64_t B) {
  return rows.size(0) == B ? rows : rows.reshape({B, -1, rows.size(2)});
}

// aᵀ b; a sum over very many rows in parts.
inline Tensor sum_over_rows(const Tensor& a, const Tensor& b) {
  const int64_t rows = a.size(1), i = a.size(2), j = b.size(2);
  if (a.size(0) > 1 || rows % PARTS || rows < TALL * std::max(i, j) || !a.is_contiguous() || !b.is_contiguous())
    return bmm(a.mT(), b);
  const Tensor parts = bmm(a.view({PARTS, rows / PARTS, i}).mT(), b.view({PARTS, rows / PARTS, j}));
  return parts.sum(at::IntArrayRef{0}, /*keepdim=*/true);
}

// Blocks of rows.

inline Tensor multiply_blocks(const Tensor& F, const Tensor& x) {
  const int64_t N = x.size(0), n = x.size(1), k = x.size(2), J = F.size(0), s = F.size(1), P = N * n / s;
  if (is_scattered(x)) return x.mT().reshape({-1, s}).mm(F.t()).view({N, k, n / s, J}).permute({0, 2, 3, 1});
  return bmm(F.expand({P, J, s}), x.view({P, s, k}));
}

inline void backward_to_factor(const Tensor& F, const Tensor& x, const Tensor& dY, Tensor dF) {
  const int64_t N = x.size(0), n = x.size(1), k = x.size(2), J = F.size(0), s = F.size(1);
  if (is_scattered(x)) {
    const Tensor wide = dY.reshape({N, n / s, J, k}).permute({2, 0, 3, 1}).reshape({J, -1});
    dF.copy_(wide.mm(x.mT().reshape({-1, s})).view(dF.sizes()));
    return;
  }
  const Tensor parts = bmm(dY.reshape({-1, J, k}), x.view({-1, s, k}).mT());
  at::sum_out(dF, parts.view({-1, dF.size(0), dF.size(1), dF.size(2), s}), at::IntArrayRef{0});
}

inline Tensor backward_to_rows(const Tensor& F, const Tensor& x, const Tensor& dY, const Tensor& dx) {
  const int64_t N = x.size(0), n = x.size(1), k = x.size(2), J = F.size(0), s = F.size(1);
  if (is_transpose(x)) {
    const Tensor tall = dY.reshape({N, n / s, J, k}).permute({0, 3, 1, 2}).reshape({-1, J});
    if (!dx.defined()) return tall.mm(F).view({N, k, n}).mT();
    dx.mT().view({-1, s}).addmm_(tall, F);
    return dx;
  }
  const Tensor thin = dY.reshape({-1, J, k}), flat = F.t().expand({N * n / s, s, J});
  if (!dx.defined()) return bmm(flat, thin).view({N, n, k});
  dx.view({-1, s, k}).baddbmm_(flat, thin);
  return dx;
}

// The thin pair of LPHM, forth and back.

inline Tensors project(const Lphm& W, const Tensor& w, const Tensor& x) {
  const int64_t N = x.size(0), k = x.size(2), C = W.channels(w), r = W.r;
  Tensors sides, flat;
  for (const Tensor& view : W.thin(w)) {
    const int64_t h = view.size(1), s = view.size(3), blocks = W.n / s;
    flat.push_back(view.reshape({C * h * r, s}));
    Tensor Y = multiply_blocks(flat.back(), x);
    if (C > 1) Y = Y.reshape({N, blocks, C, h * r, k}).transpose(1, 2);
    Y = Y.reshape({N * C, blocks, h, r * k});
    for (int64_t side = 0; side < h; ++side) sides.push_back(Y.select(2, side));
  }
  const Tensor &U = sides[0], &V = sides[1], A = W.mixing(w, N);
  Tensors result;
  if (W.p <= W.q) result = {U.reshape({N * C, -1, k}), bmm(A, V).view({N * C, -1, k}), V};
  else result = {bmm(A.mT(), U).view({N * C, -1, k}), V.reshape({N * C, -1, k}), U};
  result.insert(result.end(), flat.begin(), flat.end());
  return result;  // left, right, what A mixes, the flat factors
}

inline Tensors project_backward(const Lphm& W, const Tensor& w, const Tensor& x, Tensor dleft, Tensor dright,
                         bool needs_dx, const Tensor& mixed, const Tensor* flat) {
  const int64_t N = x.size(0), k = x.size(2), C = W.channels(w), r = W.r;
  const Tensor A = W.mixing(w, N);
  dleft = dleft.view({N * C, -1, r * k}), dright = dright.view({N * C, -1, r * k});
  Tensor dU, dV, dw = at::empty_like(w), dx;
  Tensor dA = W.mixing(dw);
  const bool narrow = W.p <= W.q;  // left, right = U, A V; otherwise Aᵀ U, V
  const Tensor a = narrow ? dright : mixed, b = narrow ? mixed.mT() : dleft.mT();
  if (N == 1) at::bmm_out(dA, a, b);
  else dA.copy_(bmm(a, b).view({N, C, W.p, W.q}).sum(at::IntArrayRef{0}));
  if (narrow) dU = dleft, dV = bmm(A.mT(), dright);
  else dU = bmm(A, dleft), dV = dright;
  Tensors sides{dU, dV};
  if (C > 1)
    for (Tensor& side : sides) side = side.view({N, C, -1, r * k}).transpose(1, 2);
  if (W.p == W.q) sides = {at::cat(sides, -1)};
  const Tensors dflat = W.thin(dw);
  for (size_t i = 0; i < dflat.size(); ++i) {
    backward_to_factor(flat[i], x, sides[i], dflat[i]);
    if (needs_dx) dx = backward_to_rows(flat[i], x, sides[i], dx);
  }
  return {dw, dx};
}

}  // namespace lphm
