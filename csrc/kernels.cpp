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

namespace {

using torch::stable::Tensor;
using torch::headeronly::ScalarType;

template <typename T>
struct Spmm {
  const int64_t* indptr;
  const int32_t* indices;
  const T* values;
  const int32_t* permutation;  // null: values are in the order of the edges
  const T* x;
  const T* bias;  // null: none
  T* y;
  int64_t batch;
};

template <typename T>
struct Sddmm {
  const int64_t* indptr;
  const int32_t* indices;
  const T* g;
  const T* x;
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

// Calls work(begin, end) on ranges of rows that hold about equally many edges, one range a thread.
template <typename F>
void for_rows(const int64_t* indptr, int64_t n_rows, int64_t batch, const F& work) {
  const int64_t load = indptr[n_rows] + n_rows;
  const int64_t threads = torch::stable::get_num_threads();
  const int64_t parts = std::clamp<int64_t>(load * std::max<int64_t>(batch, 1) / worth_a_thread, 1, threads);
  if (parts == 1) return work(0, n_rows);
  const auto boundary = [&](int64_t part) {
    int64_t low = 0, high = n_rows;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (indptr[middle] + middle < load * part / parts) low = middle + 1;
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

struct Pattern {
  const int64_t* indptr;
  const int32_t* indices;
  int64_t n_rows;
  int64_t n_edges;
};

Pattern pattern_of(const Tensor& indptr, const Tensor& indices) {
  STD_TORCH_CHECK(indptr.dim() == 1 && indptr.size(0) >= 1, "indptr: expected at least one element");
  const int64_t n_rows = indptr.size(0) - 1;
  const auto* starts = vector_of<int64_t>(indptr, "indptr", ScalarType::Long, n_rows + 1);
  const int64_t n_edges = starts[n_rows];
  return {starts, vector_of<int32_t>(indices, "indices", ScalarType::Int, n_edges), n_rows, n_edges};
}

template <typename T>
Tensor spmm_of(const Pattern& p, const Tensor& values, const std::optional<Tensor>& permutation, const Tensor& x,
               const std::optional<Tensor>& bias) {
  const ScalarType dtype = values.scalar_type();
  check_matrix(x, "x", dtype);
  Tensor y = torch::stable::new_empty(x, {p.n_rows, x.size(1)});
  const Spmm<T> a{
      p.indptr,
      p.indices,
      vector_of<T>(values, "values", dtype, p.n_edges),
      permutation ? vector_of<int32_t>(*permutation, "permutation", ScalarType::Int, p.n_edges) : nullptr,
      static_cast<const T*>(x.const_data_ptr()),
      bias ? vector_of<T>(*bias, "bias", dtype, p.n_rows) : nullptr,
      static_cast<T*>(y.mutable_data_ptr()),
      x.size(1),
  };
  for_rows(p.indptr, p.n_rows, a.batch, [&](int64_t begin, int64_t end) { DISPATCH(spmm<T>, a, begin, end); });
  return y;
}

Tensor spmm(Tensor indptr, Tensor indices, Tensor values, std::optional<Tensor> permutation, Tensor x,
            std::optional<Tensor> bias) {
  const Pattern p = pattern_of(indptr, indices);
  if (values.scalar_type() == ScalarType::Double) return spmm_of<double>(p, values, permutation, x, bias);
  STD_TORCH_CHECK(values.scalar_type() == ScalarType::Float, "values: expected float32 or float64");
  return spmm_of<float>(p, values, permutation, x, bias);
}

template <typename T>
Tensor sddmm_of(const Pattern& p, const Tensor& g, const Tensor& x) {
  check_matrix(g, "g", g.scalar_type());
  check_matrix(x, "x", g.scalar_type());
  STD_TORCH_CHECK(g.size(0) == p.n_rows && g.size(1) == x.size(1), "g: expected one row per output and x's batch");
  Tensor out = torch::stable::new_zeros(x, {p.n_edges});
  const Sddmm<T> a{
      p.indptr,
      p.indices,
      static_cast<const T*>(g.const_data_ptr()),
      static_cast<const T*>(x.const_data_ptr()),
      static_cast<T*>(out.mutable_data_ptr()),
      x.size(1),
  };
  for_rows(p.indptr, p.n_rows, a.batch, [&](int64_t begin, int64_t end) { DISPATCH(sddmm<T>, a, begin, end); });
  return out;
}

Tensor sddmm(Tensor indptr, Tensor indices, Tensor g, Tensor x) {
  const Pattern p = pattern_of(indptr, indices);
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
  m.def("spmm(Tensor indptr, Tensor indices, Tensor values, Tensor? permutation, Tensor x, Tensor? bias) -> Tensor");
  m.def("sddmm(Tensor indptr, Tensor indices, Tensor g, Tensor x) -> Tensor");
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
