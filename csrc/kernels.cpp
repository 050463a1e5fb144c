// prewired::spmm and prewired::sddmm as torch operators, through the LibTorch stable ABI: no CPython, no lock to one
// libtorch, torch's own thread pool. What the operators mean is written beside them in src/prewired/kernels.py.

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 12
#error "expected g++ 12 or newer, which has __builtin_shufflevector; set CXX=g++-12"
#endif

namespace {

using torch::stable::Tensor;
using torch::headeronly::ScalarType;

// Activations are worked on in blocks of so many bytes of the batch: 128 values in float32.
constexpr int64_t kBlockBytes = 512;

// The edges of row r in panel p are first[p * n_rows + r] up to last[p * n_rows + r]. Value b of feature i lies at
// x[(b / block) * x_block + i * x_stride + b % block].
template <typename T>
struct Spmm {
  const int64_t* first;
  const int64_t* last;
  int64_t n_rows;
  int64_t n_panels;
  const int32_t* indices;
  const T* values;
  const T* x;
  int64_t x_stride;
  int64_t x_block;
  const T* bias;  // null: none
  T* y;
  int64_t batch;
};

template <typename T>
struct Sddmm {
  const int64_t* first;
  const int64_t* last;
  int64_t n_rows;
  int64_t n_panels;
  const int32_t* indices;
  const T* g;
  const T* x;
  int64_t x_stride;
  int64_t x_block;
  T* out;
  int64_t batch;
};

template <typename T>
struct Transpose {
  const T* from;
  T* to;
  int64_t n_rows;
  int64_t n_columns;
};

#define VECTOR_BYTES 16
namespace baseline {
#include "loops.h"
}
#undef VECTOR_BYTES

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define PREWIRED_X86_DISPATCH
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define VECTOR_BYTES 32
namespace avx2 {
#include "loops.h"
}
#undef VECTOR_BYTES
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,fma,prefer-vector-width=512")
#define VECTOR_BYTES 64
namespace avx512 {
#include "loops.h"
}
#undef VECTOR_BYTES
#pragma GCC pop_options
#endif

// The instruction sets in rising order; the numbers are what prewired::instruction_set returns.
enum Isa : int64_t { kBaseline = 0, kAvx2 = 1, kAvx512 = 2 };

Isa supported_isa() {
#ifdef PREWIRED_X86_DISPATCH
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw"))
    return kAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return kAvx2;
#endif
  return kBaseline;
}

// The best the processor has, or less if PREWIRED_ISA asks for less.
Isa chosen_isa() {
  const char* wish = std::getenv("PREWIRED_ISA");
  const std::string name = wish ? wish : "";
  const Isa limit = name == "baseline" ? kBaseline : name == "avx2" ? kAvx2 : kAvx512;
  return std::min(limit, supported_isa());
}

const Isa isa = chosen_isa();

// Calls the loop of that name that was compiled for the chosen instruction set.
#ifdef PREWIRED_X86_DISPATCH
#define DISPATCH(loop, ...)              \
  (isa == kAvx512 ? avx512::loop(__VA_ARGS__) \
   : isa == kAvx2 ? avx2::loop(__VA_ARGS__)   \
                  : baseline::loop(__VA_ARGS__))
#else
#define DISPATCH(loop, ...) baseline::loop(__VA_ARGS__)
#endif

constexpr int64_t worth_a_thread = 1 << 15;  // multiply-adds, or values moved

struct Pattern {
  const int64_t* first;
  const int64_t* last;
  const int32_t* indices;
  int64_t n_rows;
  int64_t n_panels;
  int64_t n_edges;
};

// Calls work(begin, end) on ranges of rows that hold about equally many edges, one range a thread.
template <typename F>
void for_rows(const Pattern& p, int64_t batch, const F& work) {
  const int64_t load = p.n_edges + p.n_rows;
  const int64_t threads = torch::stable::get_num_threads();
  const int64_t parts = std::clamp<int64_t>(load * std::max<int64_t>(batch, 1) / worth_a_thread, 1, threads);
  if (parts == 1) return work(0, p.n_rows);
  const auto boundary = [&](int64_t part) {
    int64_t low = 0, high = p.n_rows;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (p.first[middle] + middle < load * part / parts) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  torch::stable::parallel_for(0, parts, 1, [&](int64_t from, int64_t to) { work(boundary(from), boundary(to)); });
}

void check_matrix(const Tensor& t, const char* name, ScalarType dtype) {
  STD_TORCH_CHECK(t.is_cpu() && t.dim() == 2 && t.is_contiguous() && t.scalar_type() == dtype, name,
                  ": expected a contiguous two-dimensional CPU tensor of the weights' dtype");
}

template <typename T>
const T* vector_of(const Tensor& t, const char* name, ScalarType dtype, int64_t size) {
  STD_TORCH_CHECK(t.is_cpu() && t.dim() == 1 && t.is_contiguous() && t.scalar_type() == dtype && t.size(0) == size, name,
                  ": expected a contiguous one-dimensional CPU tensor of ", size, " elements");
  return static_cast<const T*>(t.const_data_ptr());
}

// From (n_rows + 1,) starts, one panel, or (n_panels + 1, n_rows), where panel p of a row ends as panel p + 1 starts.
// Panels are worth their price from batches of 256 bytes on; below, all features are one panel.
Pattern pattern_of(const Tensor& starts, const Tensor& indices, const Tensor& x) {
  STD_TORCH_CHECK(starts.is_cpu() && starts.is_contiguous() && starts.scalar_type() == ScalarType::Long &&
                      ((starts.dim() == 1 && starts.size(0) >= 1) ||
                       (starts.dim() == 2 && starts.size(0) >= 2 && starts.size(1) >= 1)),
                  "starts: expected a contiguous int64 CPU tensor (n_rows + 1,) or (n_panels + 1, n_rows)");
  const auto* first = static_cast<const int64_t*>(starts.const_data_ptr());
  const bool one = starts.dim() == 1;
  const int64_t n_rows = one ? starts.size(0) - 1 : starts.size(1);
  const int64_t n_edges = first[starts.numel() - 1];
  const int64_t n_panels = one ? 1 : starts.size(0) - 1;
  const auto* edges = vector_of<int32_t>(indices, "indices", ScalarType::Int, n_edges);
  const bool wide = x.dim() == 2 && x.size(1) * (x.scalar_type() == ScalarType::Double ? 8 : 4) >= kBlockBytes / 2;
  if (one) return {first, first + 1, edges, n_rows, 1, n_edges};
  return {first, first + (wide ? 1 : n_panels) * n_rows, edges, n_rows, wide ? n_panels : 1, n_edges};
}

// values[order], so that the loops read them one after the other.
template <typename T>
Tensor in_order(const Tensor& values, const int32_t* order, int64_t n) {
  Tensor ordered = torch::stable::new_empty(values, {n});
  const auto* from = static_cast<const T*>(values.const_data_ptr());
  auto* to = static_cast<T*>(ordered.mutable_data_ptr());
  torch::stable::parallel_for(0, n, worth_a_thread, [=](int64_t begin, int64_t end) {
    for (int64_t e = begin; e < end; ++e) to[e] = from[order[e]];
  });
  return ordered;
}

// Where the kernels read x: in place, or from a copy whose blocks are contiguous when panels are to stay in the cache.
template <typename T>
struct Blocks {
  Tensor held;
  const T* data;
  int64_t stride;
  int64_t block;

  Blocks(const Tensor& x, int64_t n_panels)
      : held(x), data(static_cast<const T*>(x.const_data_ptr())), stride(x.size(1)), block(kBlockBytes / sizeof(T)) {
    const int64_t n = x.size(0), batch = x.size(1), width = block;
    if (n_panels == 1 || batch <= width) return;
    held = torch::stable::new_empty(x, {(batch + width - 1) / width, n, width});
    auto* to = static_cast<T*>(held.mutable_data_ptr());
    torch::stable::parallel_for(0, n, std::max<int64_t>(worth_a_thread / batch, 1), [=, from = data](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t at = 0; at < batch; at += width)
          std::copy_n(from + i * batch + at, std::min(width, batch - at), to + at / width * n * width + i * width);
    });
    data = to;
    stride = width;
    block = n * width;
  }
};

template <typename T>
Tensor spmm_of(const Pattern& p, const Tensor& values, const std::optional<Tensor>& order, const Tensor& x,
               const std::optional<Tensor>& bias) {
  const ScalarType dtype = values.scalar_type();
  check_matrix(x, "x", dtype);
  vector_of<T>(values, "values", dtype, p.n_edges);
  const Tensor ordered =
      order ? in_order<T>(values, vector_of<int32_t>(*order, "order", ScalarType::Int, p.n_edges), p.n_edges) : values;
  const Blocks<T> blocks(x, p.n_panels);
  Tensor y = torch::stable::new_empty(x, {p.n_rows, x.size(1)});
  const Spmm<T> a{
      p.first,
      p.last,
      p.n_rows,
      p.n_panels,
      p.indices,
      static_cast<const T*>(ordered.const_data_ptr()),
      blocks.data,
      blocks.stride,
      blocks.block,
      bias ? vector_of<T>(*bias, "bias", dtype, p.n_rows) : nullptr,
      static_cast<T*>(y.mutable_data_ptr()),
      x.size(1),
  };
  for_rows(p, a.batch, [&](int64_t begin, int64_t end) { DISPATCH(spmm<T>, a, begin, end); });
  return y;
}

Tensor spmm(Tensor starts, Tensor indices, Tensor values, std::optional<Tensor> order, Tensor x,
            std::optional<Tensor> bias) {
  const Pattern p = pattern_of(starts, indices, x);
  if (values.scalar_type() == ScalarType::Double) return spmm_of<double>(p, values, order, x, bias);
  STD_TORCH_CHECK(values.scalar_type() == ScalarType::Float, "values: expected float32 or float64");
  return spmm_of<float>(p, values, order, x, bias);
}

template <typename T>
Tensor sddmm_of(const Pattern& p, const Tensor& g, const Tensor& x) {
  check_matrix(g, "g", g.scalar_type());
  check_matrix(x, "x", g.scalar_type());
  STD_TORCH_CHECK(g.size(0) == p.n_rows && g.size(1) == x.size(1), "g: expected one row per output and x's batch");
  const Blocks<T> blocks(x, p.n_panels);
  Tensor out = torch::stable::new_zeros(x, {p.n_edges});
  const Sddmm<T> a{
      p.first,
      p.last,
      p.n_rows,
      p.n_panels,
      p.indices,
      static_cast<const T*>(g.const_data_ptr()),
      blocks.data,
      blocks.stride,
      blocks.block,
      static_cast<T*>(out.mutable_data_ptr()),
      x.size(1),
  };
  for_rows(p, a.batch, [&](int64_t begin, int64_t end) { DISPATCH(sddmm<T>, a, begin, end); });
  return out;
}

Tensor sddmm(Tensor starts, Tensor indices, Tensor g, Tensor x) {
  const Pattern p = pattern_of(starts, indices, x);
  if (g.scalar_type() == ScalarType::Double) return sddmm_of<double>(p, g, x);
  STD_TORCH_CHECK(g.scalar_type() == ScalarType::Float, "g: expected float32 or float64");
  return sddmm_of<float>(p, g, x);
}

template <typename T>
Tensor transposed_of(const Tensor& x) {
  Tensor y = torch::stable::new_empty(x, {x.size(1), x.size(0)});
  const Transpose<T> a{static_cast<const T*>(x.const_data_ptr()), static_cast<T*>(y.mutable_data_ptr()), x.size(0),
                       x.size(1)};
  const int64_t grain = std::max<int64_t>(worth_a_thread / std::max<int64_t>(a.n_rows, 1), 1);
  torch::stable::parallel_for(0, a.n_columns, grain,
                              [&](int64_t begin, int64_t end) { DISPATCH(transpose<T>, a, begin, end); });
  return y;
}

Tensor transposed(Tensor x) {
  check_matrix(x, "x", x.scalar_type());
  if (x.scalar_type() == ScalarType::Double) return transposed_of<double>(x);
  STD_TORCH_CHECK(x.scalar_type() == ScalarType::Float, "x: expected float32 or float64");
  return transposed_of<float>(x);
}

int64_t instruction_set() { return isa; }

}  // namespace

STABLE_TORCH_LIBRARY(prewired, m) {
  m.def("spmm(Tensor starts, Tensor indices, Tensor values, Tensor? order, Tensor x, Tensor? bias) -> Tensor");
  m.def("sddmm(Tensor starts, Tensor indices, Tensor g, Tensor x) -> Tensor");
  m.def("transposed(Tensor x) -> Tensor");
  m.def("instruction_set() -> int");
}

STABLE_TORCH_LIBRARY_IMPL(prewired, CPU, m) {
  m.impl("spmm", TORCH_BOX(&spmm));
  m.impl("sddmm", TORCH_BOX(&sddmm));
  m.impl("transposed", TORCH_BOX(&transposed));
}

STABLE_TORCH_LIBRARY_IMPL(prewired, CompositeExplicitAutograd, m) {
  m.impl("instruction_set", TORCH_BOX(&instruction_set));
}
