// xi of LPHM applied to the data that it is made from, with the gradient by hand, as one operator: fused.py in C++.

#include "products.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

namespace lphm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

enum Order { MATRIX = 0, FACTORED = 1, DENSE_FACTORED = 2 };

Tensors forward_thin(const Lphm& W, bool factored, const Tensor& w, const Tensor& x) {
  Tensors pair = project(W, w, x);
  const Tensor &left = pair[0], &right = pair[1], D = grouped(x, left.size(0));
  const Tensor middle = factored ? bmm(D, left.mT()) : bmm(left.mT(), right);
  const Tensor out = factored ? matmul_in_layout_of(D, middle, right) : matmul_in_layout_of(D, D, middle);
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
    const Tensor dxi = sum_over_rows(D, G);
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

Tensors forward_dense(const Lphm& L, const Tensor& w, const Tensor& x) {
  const int64_t C = L.channels(w);
  const Tensor A = L.mixing(w).unsqueeze(2).unsqueeze(4), B = bmm(L.S(w), L.T(w).mT());
  const Tensor W = (A * B.view({C, 1, L.s, 1, L.t})).view({C, L.n, L.n});
  const Tensor Z = by_channel(sum_over_rows(x.mT(), x.mT()), C), Q = by_sample(bmm(Z, W), x.size(0));
  return {matmul_in_layout_of(x, Q, x), W, Z, Q, B};
}

Tensors backward_dense(const Lphm& L, const Tensor& w, const Tensor& x, const Tensor& G, bool needs_dx,
                       const Tensors& kept) {
  const Tensor &W = kept[0], &Z = kept[1], &Q = kept[2], &B = kept[3];
  const int64_t C = L.channels(w), p = L.p, q = L.q, s = L.s, t = L.t;
  const Tensor dQ = by_channel(sum_over_rows(G.mT(), x.mT()), C), dW = bmm(Z.mT(), dQ);
  const Tensor blocks = dW.view({C, p, s, q, t}).transpose(2, 3).reshape({C, p * q, s * t});
  const Tensor dA = bmm(blocks, B.view({C, s * t, 1}));
  const Tensor dB = bmm(L.mixing(w).reshape({C, 1, p * q}), blocks).view({C, s, t});
  const Tensor dS = bmm(dB, L.T(w)), dT = bmm(dB.mT(), L.S(w));
  const Tensor dw = at::cat({dA.view({C, -1}), dS.view({C, -1}), dT.view({C, -1})}, 1).view(w.sizes());
  if (!needs_dx) return {dw, Tensor()};
  const Tensor dZ = by_sample(bmm(dQ, W.mT()), x.size(0));
  return {dw, accumulate(matmul_in_layout_of(x, Q.mT(), G), dZ + dZ.mT(), x)};
}

// From the user's arguments to the user's results.

struct Choice {
  Lphm W;
  int64_t order;
  bool instance;
};

// The result, and what the backward needs. It is differentiable as it stands.
Tensors forward(const Choice& c, const Tensor& w, const Tensor& x) {
  const Tensor rows = rows_of(x, c.instance);
  Tensors result = c.order == DENSE_FACTORED ? forward_dense(c.W, w, rows)
                                             : forward_thin(c.W, c.order == FACTORED, w, rows);
  result[0] = orient(result[0], c.instance).reshape(x.sizes()).contiguous();
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

// What the dispatcher calls below autograd. A tracer takes the result and the gradients as one operator each; of what
// the forward has computed, the gradients' operator gets nothing and computes it again.

Tensor apply_to_itself(int64_t n, int64_t p, int64_t q, int64_t r, int64_t order, bool instance, const Tensor& w,
                       const Tensor& x) {
  at::AutoDispatchBelowADInplaceOrView guard;
  return forward({{n, p, q, r}, order, instance}, w.contiguous(), x.contiguous())[0];
}

std::tuple<Tensor, Tensor> apply_to_itself_backward(int64_t n, int64_t p, int64_t q, int64_t r, int64_t order,
                                                    bool instance, const Tensor& w, const Tensor& x,
                                                    const Tensor& G) {
  at::AutoDispatchBelowADInplaceOrView guard;
  const Choice c{{n, p, q, r}, order, instance};
  Tensors kept = forward(c, w.contiguous(), x.contiguous());
  kept.erase(kept.begin());
  const Tensors grads = backward(c, w.contiguous(), x.contiguous(), G, true, kept);
  return {grads[0], grads[1].contiguous()};
}

// The same for tensors that have a shape only, whose sizes may be symbols.

Tensor meta(int64_t, int64_t, int64_t, int64_t, int64_t, bool, const Tensor&, const Tensor& x) {
  return at::empty_symint(x.sym_sizes(), x.options());
}

std::tuple<Tensor, Tensor> meta_backward(int64_t, int64_t, int64_t, int64_t, int64_t, bool, const Tensor& w,
                                         const Tensor& x, const Tensor&) {
  return {at::empty_symint(w.sym_sizes(), w.options()), at::empty_symint(x.sym_sizes(), x.options())};
}

// Whether these are tensors of Python, fake ones or those of a tracer, to which only the dispatcher may pass.
bool is_traced(const Tensor& w, const Tensor& x) {
  return w.key_set().has(c10::DispatchKey::Python) || x.key_set().has(c10::DispatchKey::Python);
}

template <typename Function>
auto registered(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Function>();
}

class ApplyToItself : public torch::autograd::Function<ApplyToItself> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& w, const Tensor& x, int64_t n, int64_t p, int64_t q,
                        int64_t r, int64_t order, bool instance) {
    at::AutoDispatchBelowADInplaceOrView guard;
    Tensors result;
    if (is_traced(w, x)) {
      static const auto op = registered<decltype(apply_to_itself)>("lphm::apply_to_itself");
      result = {op.call(n, p, q, r, order, instance, w, x)};
    } else {
      result = lphm::forward({{n, p, q, r}, order, instance}, w.contiguous(), x.contiguous());
    }
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
    const auto keys = G.key_set();  // for a batch of G at once: is_grads_batched, vmap
    const bool batched = keys.has(c10::DispatchKey::Batched) || keys.has(c10::DispatchKey::FuncTorchBatched);
    Tensors grads;
    if (at::GradMode::is_enabled() || batched) {
      grads = differentiable(c, w, x, G);
    } else if (is_traced(w, x)) {
      static const auto op = registered<decltype(apply_to_itself_backward)>("lphm::apply_to_itself_backward");
      auto [dw, dx] = op.call(a[0], a[1], a[2], a[3], a[4], c.instance, w, x, G);
      grads = {dw, dx};
    } else {
      at::AutoDispatchBelowADInplaceOrView guard;
      grads = lphm::backward(c, w.contiguous(), x.contiguous(), G, ctx->needs_input_grad(1), kept);
    }
    grads.resize(8);  // nothing for the six numbers
    return grads;
  }

 private:
  static Tensors differentiable(const Choice& c, const Tensor& w, const Tensor& x, const Tensor& G) {
    const bool create_graph = at::GradMode::is_enabled();
    at::AutoGradMode recording(true);
    const Tensors views{w.view_as(w), x.view_as(x)};  // x may depend on w: that is not a part of this gradient
    const Tensor out = lphm::forward(c, views[0].contiguous(), views[1].contiguous())[0];
    variable_list wanted;
    for (const Tensor& view : views)
      if (view.requires_grad()) wanted.push_back(view);
    const variable_list computed = torch::autograd::grad({out}, wanted, {G}, std::nullopt, create_graph);
    Tensors grads(2);
    size_t next = 0;
    for (size_t i = 0; i < 2; ++i)
      if (views[i].requires_grad()) grads[i] = computed[next++];
    return grads;
  }
};

Tensor with_gradient(int64_t n, int64_t p, int64_t q, int64_t r, int64_t order, bool instance, const Tensor& w,
                     const Tensor& x) {
  return ApplyToItself::apply(w, x, n, p, q, r, order, instance);
}

}  // namespace
}  // namespace lphm

TORCH_LIBRARY(lphm, library) {
  library.def("apply_to_itself(int n, int p, int q, int r, int order, bool instance, Tensor w, Tensor x) -> Tensor");
  library.def(
      "apply_to_itself_backward(int n, int p, int q, int r, int order, bool instance, Tensor w, Tensor x, "
      "Tensor gradient) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(lphm, CompositeExplicitAutograd, library) {
  library.impl("apply_to_itself", lphm::apply_to_itself);
  library.impl("apply_to_itself_backward", lphm::apply_to_itself_backward);
}

TORCH_LIBRARY_IMPL(lphm, Meta, library) {
  library.impl("apply_to_itself", lphm::meta);
  library.impl("apply_to_itself_backward", lphm::meta_backward);
}

TORCH_LIBRARY_IMPL(lphm, Autograd, library) { library.impl("apply_to_itself", lphm::with_gradient); }
