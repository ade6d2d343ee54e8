// fused.py and the gradient of LPHM in structures/lphm.py, operator for operator, with no Python between
// the operators. At small sizes, and wherever the data has driven the interpreter out of the caches, that
// is half of the time. The names are the ones of those files; tests run them side by side.
//
// ATen operators only: whatever device and type they take, this takes.

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sum.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <vector>

namespace {

using at::bmm;
using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Tensors = std::vector<Tensor>;

enum Order { MATRIX = 0, FACTORED = 1, DENSE_FACTORED = 2 };
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

  // Sᵀ and Tᵀ, views (C, 1, r, s) and (C, 1, r, t), or where s = t both as one (C, 2, r, s).
  Tensors thin(const Tensor& w) const {
    const int64_t C = channels(w), start = w.storage_offset() + p * q;
    if (s == t) return {w.as_strided({C, 2, r, s}, {l, s * r, 1, r}, start)};
    return {w.as_strided({C, 1, r, s}, {l, s * r, 1, r}, start),
            w.as_strided({C, 1, r, t}, {l, t * r, 1, r}, start + s * r)};
  }
};

// Layouts, as in structures/blocks.py.

bool is_transpose(const Tensor& x) { return x.stride(-2) == 1 && x.stride(-1) != 1; }

bool scattered(const Tensor& x) { return x.size(0) > 1 && is_transpose(x); }

Tensor like(const Tensor& x, const Tensor& a, const Tensor& b) {
  return is_transpose(x) ? bmm(b.mT(), a.mT()).mT() : bmm(a, b);
}

Tensor accumulate(Tensor total, const Tensor& a, const Tensor& b) {
  if (is_transpose(total)) total.mT().baddbmm_(b.mT(), a.mT());
  else total.baddbmm_(a, b);
  return total;
}

Tensor orient(const Tensor& x, bool instance) { return instance ? x.mT() : x; }

// (*batch, b, m) to (N, n, k).
Tensor rows_of(const Tensor& x, bool instance) {
  return orient(x.reshape({-1, x.size(-2), x.size(-1)}), instance);
}

// (N, n, k) to (B, d, k): one matrix for each sample and channel.
Tensor grouped(const Tensor& rows, int64_t B) {
  return rows.size(0) == B ? rows : rows.reshape({B, -1, rows.size(2)});
}

// aᵀ b; a sum over very many rows in parts.
Tensor tall(const Tensor& a, const Tensor& b) {
  const int64_t rows = a.size(1), i = a.size(2), j = b.size(2);
  if (a.size(0) > 1 || rows % PARTS || rows < TALL * std::max(i, j) || !a.is_contiguous() || !b.is_contiguous())
    return bmm(a.mT(), b);
  const Tensor parts = bmm(a.view({PARTS, rows / PARTS, i}).mT(), b.view({PARTS, rows / PARTS, j}));
  return parts.sum(at::IntArrayRef{0}, /*keepdim=*/true);
}

// Blocks, as in structures/blocks.py.

Tensor blocks_forward(const Tensor& F, const Tensor& x) {
  const int64_t N = x.size(0), n = x.size(1), k = x.size(2), J = F.size(0), s = F.size(1), P = N * n / s;
  if (scattered(x)) return x.mT().reshape({-1, s}).mm(F.t()).view({N, k, n / s, J}).permute({0, 2, 3, 1});
  return bmm(F.expand({P, J, s}), x.view({P, s, k}));
}

void blocks_backward(const Tensor& F, const Tensor& x, const Tensor& dY, Tensor dF) {
  const int64_t N = x.size(0), n = x.size(1), k = x.size(2), J = F.size(0), s = F.size(1);
  if (scattered(x)) {
    const Tensor wide = dY.reshape({N, n / s, J, k}).permute({2, 0, 3, 1}).reshape({J, -1});
    dF.copy_(wide.mm(x.mT().reshape({-1, s})).view(dF.sizes()));
    return;
  }
  const Tensor parts = bmm(dY.reshape({-1, J, k}), x.view({-1, s, k}).mT());
  at::sum_out(dF, parts.view({-1, dF.size(0), dF.size(1), dF.size(2), s}), at::IntArrayRef{0});
}

Tensor blocks_transposed(const Tensor& F, const Tensor& x, const Tensor& dY, const Tensor& dx) {
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

Tensors project(const Lphm& W, const Tensor& w, const Tensor& x) {
  const int64_t N = x.size(0), k = x.size(2), C = W.channels(w), r = W.r;
  Tensors sides, flat;
  for (const Tensor& view : W.thin(w)) {
    const int64_t h = view.size(1), s = view.size(3), blocks = W.n / s;
    flat.push_back(view.reshape({C * h * r, s}));
    Tensor Y = blocks_forward(flat.back(), x);
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

Tensors project_backward(const Lphm& W, const Tensor& w, const Tensor& x, Tensor dleft, Tensor dright,
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
    blocks_backward(flat[i], x, sides[i], dflat[i]);
    if (needs_dx) dx = blocks_transposed(flat[i], x, sides[i], dx);
  }
  return {dw, dx};
}

Tensors forward_thin(const Lphm& W, bool factored, const Tensor& w, const Tensor& x) {
  Tensors pair = project(W, w, x);
  const Tensor &left = pair[0], &right = pair[1], D = grouped(x, left.size(0));
  const Tensor middle = factored ? bmm(D, left.mT()) : bmm(left.mT(), right);
  const Tensor out = factored ? like(D, middle, right) : like(D, D, middle);
  Tensors result{left.size(0) == x.size(0) ? out : out.reshape(x.sizes()), middle};
  result.insert(result.end(), pair.begin(), pair.end());
  return result;
}

Tensors backward_thin(const Lphm& W, bool factored, const Tensor& w, const Tensor& x, Tensor G, bool needs_dx,
                      const Tensors& kept) {
  const Tensor &middle = kept[0], &left = kept[1], &right = kept[2];
  const Tensor D = grouped(x, left.size(0));
  G = grouped(G, left.size(0));
  Tensor a, b, dleft, dright;
  if (factored) {
    a = bmm(G, right.mT()), b = left;
    dleft = bmm(a.mT(), D), dright = bmm(middle.mT(), G);
  } else {
    a = G, b = middle.mT();
    const Tensor dxi = tall(D, G);
    dleft = bmm(right, dxi.mT()), dright = bmm(left, dxi);
  }
  Tensors grads = project_backward(W, w, x, std::move(dleft), std::move(dright), needs_dx, kept[3], &kept[4]);
  if (!needs_dx) return grads;
  if (D.is_same(x)) return {grads[0], accumulate(grads[1], a, b)};
  return {grads[0], grads[1].add_(bmm(a, b).view(x.sizes()))};
}

// W formed.

Tensor by_channel(const Tensor& Z, int64_t C) {
  const int64_t N = Z.size(0), n = Z.size(2);
  if (C == 1) return Z.view({1, N * n, n});
  return Z.view({N, C, n / C, n}).transpose(0, 1).reshape({C, -1, n});
}

Tensor by_sample(const Tensor& Q, int64_t N) {
  const int64_t C = Q.size(0), n = Q.size(2);
  if (C == 1) return Q.view({N, n, n});
  return Q.view({C, N, n / C, n}).transpose(0, 1).reshape({N, n, n});
}

struct Factors {
  Tensor A, S, T;
  Factors(const Lphm& W, const Tensor& w) {
    const int64_t C = W.channels(w), start = w.storage_offset() + W.p * W.q;
    A = W.mixing(w);
    S = w.as_strided({C, W.s, W.r}, {W.l, W.r, 1}, start);
    T = w.as_strided({C, W.t, W.r}, {W.l, W.r, 1}, start + W.s * W.r);
  }
};

Tensors forward_dense(const Lphm& L, const Tensor& w, const Tensor& x) {
  const Factors f(L, w);
  const int64_t C = L.channels(w);
  const Tensor B = bmm(f.S, f.T.mT());
  const Tensor W =
      (f.A.unsqueeze(2).unsqueeze(4) * B.view({C, 1, L.s, 1, L.t})).view({C, L.n, L.n});
  const Tensor Z = by_channel(tall(x.mT(), x.mT()), C), Q = by_sample(bmm(Z, W), x.size(0));
  return {like(x, Q, x), W, Z, Q, B};
}

Tensors backward_dense(const Lphm& L, const Tensor& w, const Tensor& x, const Tensor& G, bool needs_dx,
                       const Tensors& kept) {
  const Tensor &W = kept[0], &Z = kept[1], &Q = kept[2], &B = kept[3];
  const Factors f(L, w);
  const int64_t C = L.channels(w), p = L.p, q = L.q, s = L.s, t = L.t;
  const Tensor dQ = by_channel(tall(G.mT(), x.mT()), C), dW = bmm(Z.mT(), dQ);
  const Tensor blocks = dW.view({C, p, s, q, t}).transpose(2, 3).reshape({C, p * q, s * t});
  const Tensor dA = bmm(blocks, B.view({C, s * t, 1}));
  const Tensor dB = bmm(f.A.reshape({C, 1, p * q}), blocks).view({C, s, t});
  const Tensor dS = bmm(dB, f.T), dT = bmm(dB.mT(), f.S);
  const Tensor dw = at::cat({dA.view({C, -1}), dS.view({C, -1}), dT.view({C, -1})}, 1).view(w.sizes());
  if (!needs_dx) return {dw, Tensor()};
  const Tensor dZ = by_sample(bmm(dQ, W.mT()), x.size(0));
  return {dw, accumulate(like(x, Q.mT(), G), dZ + dZ.mT(), x)};
}

// Forth and back, from what the user gave to what the user gets.

struct Choice {
  Lphm W;
  int64_t order;
  bool instance;
};

// The result, and what the backward wants to have kept. Differentiable as it stands.
Tensors forward(const Choice& c, const Tensor& w, const Tensor& x) {
  const Tensor rows = rows_of(x, c.instance);
  Tensors result = c.order == DENSE_FACTORED ? forward_dense(c.W, w, rows)
                                             : forward_thin(c.W, c.order == FACTORED, w, rows);
  result[0] = orient(result[0], c.instance).reshape(x.sizes());
  return result;
}

// The gradients of w and, where it is wanted, of x.
Tensors backward(const Choice& c, const Tensor& w, const Tensor& x, const Tensor& G, bool needs_dx,
                 const Tensors& kept) {
  const Tensor rows = rows_of(x, c.instance), Grows = rows_of(G, c.instance);
  Tensors grads = c.order == DENSE_FACTORED
                      ? backward_dense(c.W, w, rows, Grows, needs_dx, kept)
                      : backward_thin(c.W, c.order == FACTORED, w, rows, Grows, needs_dx, kept);
  if (needs_dx) grads[1] = orient(grads[1], c.instance).view(x.sizes());
  return grads;
}

class ApplyToItself : public torch::autograd::Function<ApplyToItself> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& w, const Tensor& x, int64_t n, int64_t p, int64_t q,
                        int64_t r, int64_t order, bool instance) {
    at::AutoDispatchBelowADInplaceOrView guard;
    Tensors result = ::forward({{n, p, q, r}, order, instance}, w.contiguous(), x.contiguous());
    const Tensor out = result[0];
    result[0] = x;
    result.push_back(w);
    ctx->save_for_backward(std::move(result));
    ctx->saved_data["choice"] = std::vector<int64_t>{n, p, q, r, order, instance};
    return out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    Tensors kept = ctx->get_saved_variables();
    const Tensor x = kept.front(), w = kept.back(), G = gradients[0];
    kept.pop_back(), kept.erase(kept.begin());
    const auto a = ctx->saved_data["choice"].toIntVector();
    const Choice c{{a[0], a[1], a[2], a[3]}, a[4], a[5] != 0};
    Tensors grads;
    if (at::GradMode::is_enabled()) {  // a second derivative is wanted: differentiate the forward
      grads = differentiable(c, w, x, G);
    } else {
      at::AutoDispatchBelowADInplaceOrView guard;
      grads = ::backward(c, w.contiguous(), x.contiguous(), G, ctx->needs_input_grad(1), kept);
    }
    grads.resize(8);  // nothing for the six numbers
    return grads;
  }

 private:
  static Tensors differentiable(const Choice& c, const Tensor& w, const Tensor& x, const Tensor& G) {
    const Tensor out = ::forward(c, w.contiguous(), x.contiguous())[0];
    variable_list leaves;
    for (const Tensor& leaf : {w, x})
      if (leaf.requires_grad()) leaves.push_back(leaf);
    const variable_list found = torch::autograd::grad({out}, leaves, {G}, std::nullopt, /*create_graph=*/true);
    Tensors grads(2);
    size_t next = 0;
    if (w.requires_grad()) grads[0] = found[next++];
    if (x.requires_grad()) grads[1] = found[next++];
    return grads;
  }
};

Tensor apply_to_itself(int64_t n, int64_t p, int64_t q, int64_t r, int64_t order, bool instance, const Tensor& w,
                       const Tensor& x) {
  return ApplyToItself::apply(w, x, n, p, q, r, order, instance);
}

}  // namespace

TORCH_LIBRARY(lphm, library) {
  library.def(
      "apply_to_itself(int n, int p, int q, int r, int order, bool instance, Tensor w, Tensor x) -> Tensor",
      apply_to_itself);
}
