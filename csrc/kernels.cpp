// The operators of sparse layers for torch, through the LibTorch stable ABI: no CPython, no lock to one libtorch,
// torch's own thread pool. src/prewired/ops/kernels.py defines what each operator computes.

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/BFloat16.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define PREWIRED_X86_DISPATCH
#include <immintrin.h>
#endif

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 12
#error "expected g++ 12 or newer, which has __builtin_shufflevector; set CXX=g++-12"
#endif

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using BFloat16 = c10::BFloat16;

// The type of the arithmetic for values stored as S: bfloat16 is computed in float32, since its sums would lose digits.
template <typename S>
struct Compute {
  typedef S type;
};
template <>
struct Compute<BFloat16> {
  typedef float type;
};

template <size_t bytes>
struct Bits;
template <>
struct Bits<2> {
  typedef uint16_t type;
};
template <>
struct Bits<4> {
  typedef uint32_t type;
};
template <>
struct Bits<8> {
  typedef uint64_t type;
};

constexpr int64_t kHashes = 64;
constexpr int64_t kLarge = 4 << 20;  // bytes; only larger memory asks for huge pages
constexpr int64_t kFar = 1 << 20;  // bytes; rows of a larger block are prefetched: the cache cannot hold it
constexpr int64_t kAhead = 32;     // edges; how far ahead of its use a row is prefetched

// Activations of n features, in blocks of `size` values of the batch. Packed: each block is a matrix of its own, n rows
// of `width` values, one block after the other, so that the rows a kernel picks lie close together. Not packed: an
// ordinary feature-major matrix (n, batch). A width is always a multiple of 32 bytes of the type computed in.
template <typename S>
struct Blocks {
  S* data;
  int64_t n;
  int64_t batch;
  int64_t size;
  bool packed;

  int64_t n_blocks() const { return (batch + size - 1) / size; }
  int64_t width(int64_t block) const { return std::min(size, batch - block * size); }
  S* start(int64_t block) const { return data + block * size * (packed ? n : 1); }
  int64_t stride(int64_t block) const { return packed ? width(block) : batch; }
  bool is_far() const { return n * std::min(size, batch) * int64_t(sizeof(S)) > kFar; }
};

// The edges of row r in panel p are first[p * n_rows + r] up to last[p * n_rows + r].
struct Pattern {
  const int64_t* first;
  const int64_t* last;
  const int32_t* indices;
  const int32_t* rows;    // the order to take the rows in, or null
  const int32_t* groups;  // rows[groups[k] .. groups[k + 1]) read the same features; or null
  int64_t n_rows;
  int64_t n_panels;
  int64_t n_groups;
  int64_t n_edges;
};

template <typename S>
struct Spmm {
  Pattern pattern;
  const typename Compute<S>::type* values;
  const typename Compute<S>::type* bias;  // null: none
  Blocks<S> x;
  Blocks<S> y;
  bool relu;
};

// The same for a batch of one: activations are plain vectors, parameters are read as they are stored.
template <typename S>
struct Spmv {
  Pattern pattern;
  const S* weights;
  const S* bias;  // null: none
  const S* x;
  S* y;
  bool relu;
};

template <typename S>
struct Dots {
  typedef typename Compute<S>::type T;
  Pattern pattern;
  Blocks<S> own;
  Blocks<S> other;
  T* out;  // the products, in the order of the edges here
  // With the transposed product as well:
  Blocks<S> to;
  bool relu;  // where `own` is zero, keep nothing
  const T* weights;
  const int32_t* order;  // the place of each edge's weight
  T* fetched;            // the weights in the order of the edges here
  S* grad;               // the products, in the order of the weights
};

// A byte of a mask as lanes: which of the packed values belongs to each bit (-1: the bit is not set), and the other way
// round, which bit each packed value belongs to.
struct Lookup {
  int8_t value_of_bit[256][8] = {};
  int8_t bit_of_value[256][8] = {};
  uint8_t count[256] = {};

  constexpr Lookup() {
    for (int byte = 0; byte < 256; ++byte)
      for (int bit = 0, n = 0; bit < 8; ++bit) {
        const bool set = byte >> bit & 1;
        value_of_bit[byte][bit] = set ? n : -1;
        if (set) bit_of_value[byte][n++] = bit;
        count[byte] = n;
      }
  }
};
constexpr Lookup kLookup;

#define VECTOR_BYTES 16
namespace baseline {
#include "loops.h"
}
#undef VECTOR_BYTES

#ifdef PREWIRED_X86_DISPATCH
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
#define DISPATCH(loop, ...)                   \
  (isa == kAvx512 ? avx512::loop(__VA_ARGS__) \
   : isa == kAvx2 ? avx2::loop(__VA_ARGS__)   \
                  : baseline::loop(__VA_ARGS__))
#else
#define DISPATCH(loop, ...) baseline::loop(__VA_ARGS__)
#endif

constexpr int64_t kWorthAThread = 1 << 15;  // multiply-adds, or values moved

// A block of the batch in bytes of the type computed in: four registers of AVX2, eight of the others.
int64_t block_bytes() { return isa == kAvx512 ? 512 : 128; }

// A batch is padded to whole 32-byte vectors of the type computed in.
template <typename S>
int64_t padded(int64_t batch) {
  constexpr int64_t lanes = 32 / sizeof(typename Compute<S>::type);
  return (batch + lanes - 1) / lanes * lanes;
}

// Calls work(begin, end) on one range of rows (or groups of rows) for each thread. The ranges have about equally many
// edges, since the time of a row grows with its edges; a thread gets no range too small to be worth starting it.
template <typename F>
void for_rows(const Pattern& p, int64_t batch, const F& work) {
  const int64_t n_items = p.groups ? p.n_groups : p.n_rows;
  const int64_t load = p.n_edges + p.n_rows;
  const int64_t threads = torch::stable::get_num_threads();
  const int64_t parts = std::clamp<int64_t>(load * std::max<int64_t>(batch, 1) / kWorthAThread, 1, threads);
  if (parts == 1) return work(0, n_items);
  const int64_t* last = p.last + (p.n_panels - 1) * p.n_rows;
  const auto row = [&](int64_t k) { return p.rows ? p.rows[k] : k; };
  std::vector<int64_t> bounds{0};
  int64_t done = 0;
  for (int64_t item = 0; item < n_items; ++item) {
    if (done >= load * int64_t(bounds.size()) / parts) bounds.push_back(item);
    const int64_t begin = p.groups ? p.groups[item] : item, end = p.groups ? p.groups[item + 1] : item + 1;
    done += (last[row(begin)] - p.first[row(begin)] + 1) * (end - begin);
  }
  bounds.resize(parts + 1, n_items);
  bounds[parts] = n_items;
  torch::stable::parallel_for(0, parts, 1, [&](int64_t from, int64_t to) { work(bounds[from], bounds[to]); });
}

void check_vector(const Tensor& t, const char* name, ScalarType dtype, int64_t size) {
  STD_TORCH_CHECK(t.is_cpu() && t.dim() == 1 && t.is_contiguous() && t.scalar_type() == dtype && t.size(0) == size, name,
                  ": expected a contiguous one-dimensional CPU tensor of ", size, " elements");
}

template <typename T>
const T* vector_of(const Tensor& t, const char* name, ScalarType dtype, int64_t size) {
  check_vector(t, name, dtype, size);
  return static_cast<const T*>(t.const_data_ptr());
}

// Starts are (n_rows + 1,), one panel, or (n_panels + 1, n_rows), where panel p of a row ends as panel p + 1 starts.
// Panels are worth their price when at least half a block of the batch is worked on; else all features are one panel.
Pattern pattern_of(const Tensor& starts, const Tensor& indices, const Tensor* rows = nullptr,
                   const Tensor* groups = nullptr, bool panels = false) {
  STD_TORCH_CHECK(starts.is_cpu() && starts.is_contiguous() && starts.scalar_type() == ScalarType::Long &&
                      ((starts.dim() == 1 && starts.size(0) >= 1) ||
                       (starts.dim() == 2 && starts.size(0) >= 2 && starts.size(1) >= 1)),
                  "starts: expected a contiguous int64 CPU tensor (n_rows + 1,) or (n_panels + 1, n_rows)");
  Pattern p{};
  const bool one = starts.dim() == 1;
  const int64_t n_panels = one ? 1 : starts.size(0) - 1;
  p.n_rows = one ? starts.size(0) - 1 : starts.size(1);
  p.n_panels = panels ? n_panels : 1;
  p.first = static_cast<const int64_t*>(starts.const_data_ptr());
  p.last = one ? p.first + 1 : p.first + (panels ? 1 : n_panels) * p.n_rows;
  p.n_edges = p.first[starts.numel() - 1];
  p.indices = vector_of<int32_t>(indices, "indices", ScalarType::Int, p.n_edges);
  if (rows && rows->numel() > 0) p.rows = vector_of<int32_t>(*rows, "rows", ScalarType::Int, p.n_rows);
  if (groups && groups->numel() > 0) {
    STD_TORCH_CHECK(p.rows, "groups: expected the order of the rows beside them");
    p.n_groups = groups->numel() - 1;
    p.groups = vector_of<int32_t>(*groups, "groups", ScalarType::Int, p.n_groups + 1);
  }
  return p;
}

// A vector of values in the type computed in: the tensor's own memory, or a copy.
template <typename S>
struct Values {
  typedef typename Compute<S>::type T;
  std::unique_ptr<T[]> copy;
  const T* data = nullptr;

  explicit Values(const Tensor& t) {
    const auto* stored = static_cast<const S*>(t.const_data_ptr());
    if constexpr (std::is_same_v<S, T>) {
      data = stored;
    } else {
      copy = std::make_unique_for_overwrite<T[]>(t.numel());
      std::copy_n(stored, t.numel(), copy.get());
      data = copy.get();
    }
  }
};

template <typename S>
Blocks<S> blocks_of(const Tensor& t, int64_t n, int64_t batch, bool packed) {
  const int64_t size = block_bytes() / int64_t(sizeof(typename Compute<S>::type));
  return {static_cast<S*>(const_cast<void*>(t.const_data_ptr())), n, batch, size, packed};
}

// Asks for huge pages for new, large memory. Rows are read in random order: with pages of 4 KB the operating system would
// have to create every page, and the processor would have to translate the address of nearly every row.
void in_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] int64_t bytes) {
#ifdef MADV_HUGEPAGE
  if (bytes < kLarge) return;
  const auto page = uintptr_t(sysconf(_SC_PAGESIZE)), begin = (uintptr_t(data) + page - 1) / page * page;
  madvise(reinterpret_cast<void*>(begin), uintptr_t(data) + bytes - begin, MADV_HUGEPAGE);
#endif
}

template <typename S>
Tensor new_packed(const Tensor& like, int64_t n, int64_t batch) {
  Tensor packed = torch::stable::new_empty(like, {n, padded<S>(batch)});
  in_huge_pages(packed.mutable_data_ptr(), packed.numel() * int64_t(sizeof(S)));
  return packed;
}

// Activations (batch, n), row-major or feature-major, as a packed tensor (n, padded batch).
template <typename S>
Tensor pack(const Tensor& x, const char* name) {
  const int64_t batch = x.size(0), n = x.size(1);
  const bool rows = x.is_contiguous();
  STD_TORCH_CHECK(rows || (x.stride(0) == 1 && x.stride(1) == batch), name,
                  ": expected activations (batch, n), contiguous, or their transpose");
  Tensor packed = new_packed<S>(x, n, batch);
  const Blocks<S> to = blocks_of<S>(packed, n, padded<S>(batch), true);
  const auto* from = static_cast<const S*>(x.const_data_ptr());
  const int64_t line = 64 / sizeof(S), lines = (n + line - 1) / line;
  const int64_t grain = std::max<int64_t>(kWorthAThread / std::max<int64_t>(batch * line, 1), 1);
  torch::stable::parallel_for(0, lines, grain, [&](int64_t first, int64_t last) {
    const int64_t begin = first * line, end = std::min(last * line, n);
    if (rows) DISPATCH(pack_rows<S>, from, batch, to, begin, end);
    else DISPATCH(pack_columns<S>, from, batch, to, begin, end);
  });
  return packed;
}

// Packed activations as an ordinary feature-major matrix (n, batch).
template <typename S>
void unpack(const Blocks<S>& from, S* to, int64_t batch) {
  const int64_t grain = std::max<int64_t>(kWorthAThread / std::max<int64_t>(batch, 1), 1);
  torch::stable::parallel_for(0, from.n, grain, [&](int64_t begin, int64_t end) {
    for (int64_t block = 0; block < from.n_blocks(); ++block) {
      const int64_t done = block * from.size, filled = std::min(from.width(block), batch - done);
      for (int64_t i = begin; i < end; ++i)
        std::memcpy(to + i * batch + done, from.start(block) + i * from.stride(block), filled * sizeof(S));
    }
  });
}

// Bfloat16 has no panels: sums would be rounded between them.
bool worth_panels(const Tensor& x, int64_t batch) {
  return x.scalar_type() != ScalarType::BFloat16 && batch * (x.scalar_type() == ScalarType::Double ? 8 : 4) >= block_bytes() / 2;
}

// A new tensor (batch, n) whose memory is feature-major. No view: a ReLU may work on it in place.
Tensor feature_major(const Tensor& like, int64_t n, int64_t batch) {
  const int64_t sizes[] = {batch, n}, strides[] = {1, batch};
  int32_t dtype, device, index;
  AtenTensorHandle made;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(like.get(), &dtype));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(like.get(), &device));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_index(like.get(), &index));
  TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(2, sizes, strides, dtype, device, index, &made));
  return Tensor(made);
}

// Runs a loop that fills a feature-major matrix: in place where the batch is whole vectors, else by way of a packed one.
template <typename S, typename F>
Tensor filled(const Tensor& like, int64_t n, int64_t batch, const F& run) {
  Tensor y = feature_major(like, n, batch);
  in_huge_pages(y.mutable_data_ptr(), y.numel() * int64_t(sizeof(S)));
  if (padded<S>(batch) == batch) {
    run(blocks_of<S>(y, n, batch, false));
  } else {
    const Tensor packed = new_packed<S>(like, n, batch);
    const Blocks<S> blocks = blocks_of<S>(packed, n, padded<S>(batch), true);
    run(blocks);
    unpack(blocks, static_cast<S*>(y.mutable_data_ptr()), batch);
  }
  return y;
}

constexpr int64_t kPerLayer = 4;  // tensors of a wiring: starts, indices, rows, groups; by input, order for groups

void check_parameters(const Tensor& weight, const Tensor& bias, ScalarType dtype, const Pattern& p) {
  check_vector(weight, "weight", dtype, p.n_edges);
  if (bias.numel() > 0) check_vector(bias, "bias", dtype, p.n_rows);
}

// y of a chain for a batch of one, of which nothing is kept. Nothing is packed or padded.
template <typename S>
Tensor forward_of_one(const Tensor& x, const std::vector<Tensor>& wiring, const std::vector<Tensor>& parameters,
                      bool relu) {
  STD_TORCH_CHECK(x.is_contiguous(), "x: expected a contiguous row");
  const int64_t n_layers = wiring.size() / kPerLayer;
  const auto* at = static_cast<const S*>(x.const_data_ptr());
  std::unique_ptr<S[]> hidden;
  for (int64_t k = 0;; ++k) {
    const Pattern p = pattern_of(wiring[k * kPerLayer], wiring[k * kPerLayer + 1]);
    const Tensor &weight = parameters[2 * k], &bias = parameters[2 * k + 1];
    check_parameters(weight, bias, x.scalar_type(), p);
    const bool last = k + 1 == n_layers;
    const auto run = [&](S* y) {
      const Spmv<S> a{p, static_cast<const S*>(weight.const_data_ptr()),
                      bias.numel() > 0 ? static_cast<const S*>(bias.const_data_ptr()) : nullptr, at, y, relu || !last};
      for_rows(p, 1, [&](int64_t begin, int64_t end) { DISPATCH(spmv<S>, a, begin, end); });
    };
    if (last) {
      Tensor y = feature_major(x, p.n_rows, 1);
      run(static_cast<S*>(y.mutable_data_ptr()));
      return y;
    }
    auto y = std::make_unique_for_overwrite<S[]>(p.n_rows);
    run(y.get());
    hidden = std::move(y);
    at = hidden.get();
  }
}

template <typename S>
std::vector<Tensor> forward_of(const Tensor& x, const std::vector<Tensor>& wiring, const std::vector<Tensor>& parameters,
                               bool relu, bool keep) {
  const int64_t batch = x.size(0), n_layers = wiring.size() / kPerLayer;
  if (batch == 1 && !keep) return {forward_of_one<S>(x, wiring, parameters, relu)};
  std::vector<Tensor> kept;
  Tensor at = pack<S>(x, "x");
  for (int64_t k = 0; k < n_layers; ++k) {
    const Tensor* w = &wiring[k * kPerLayer];
    const Pattern p = pattern_of(w[0], w[1], &w[2], &w[3], worth_panels(x, batch));
    const Tensor &weight = parameters[2 * k], &bias = parameters[2 * k + 1];
    check_parameters(weight, bias, x.scalar_type(), p);
    const Values<S> values(weight), biases(bias);
    const bool last = k + 1 == n_layers;
    Spmm<S> a{p, values.data, bias.numel() > 0 ? biases.data : nullptr, blocks_of<S>(at, at.size(0), padded<S>(batch), true),
              {}, relu || !last};
    const auto run = [&](const Blocks<S>& y) {
      a.y = y;
      for_rows(p, a.x.batch, [&](int64_t begin, int64_t end) { DISPATCH(spmm<S>, a, begin, end); });
    };
    Tensor y = at;
    if (last) {
      y = filled<S>(x, p.n_rows, batch, run);
    } else {
      y = new_packed<S>(x, p.n_rows, batch);
      run(blocks_of<S>(y, p.n_rows, padded<S>(batch), true));
    }
    if (keep) kept.push_back(at);
    at = y;
  }
  kept.insert(kept.begin(), at);
  return kept;
}

// The sums over the batch of packed gradients, which the bias gets.
template <typename S>
Tensor sums(const Tensor& like, const Blocks<S>& g) {
  Tensor out = torch::stable::new_empty(like, {g.n});
  auto* to = static_cast<S*>(out.mutable_data_ptr());
  const int64_t grain = std::max<int64_t>(kWorthAThread / std::max<int64_t>(g.batch, 1), 1);
  torch::stable::parallel_for(0, g.n, grain,
                              [&](int64_t begin, int64_t end) { DISPATCH(row_sums<S>, g, to, begin, end); });
  return out;
}

// Zero where the output y, feature-major, is zero: the gradient of a ReLU, which lets a NaN pass.
template <typename S>
void mask(const Blocks<S>& g, const Tensor& y, int64_t batch) {
  const auto* out = static_cast<const S*>(y.const_data_ptr());
  const int64_t grain = std::max<int64_t>(kWorthAThread / std::max<int64_t>(batch, 1), 1);
  torch::stable::parallel_for(0, g.n, grain, [&](int64_t begin, int64_t end) {
    for (int64_t block = 0; block < g.n_blocks(); ++block) {
      const int64_t done = block * g.size, filled = std::min(g.width(block), batch - done);
      for (int64_t row = begin; row < end; ++row) {
        S* values = g.start(block) + row * g.stride(block);
        const S* from = out + row * batch + done;
        for (int64_t b = 0; b < filled; ++b) values[b] = from[b] <= S(0) ? S(0) : values[b];
      }
    }
  });
}

template <typename S>
std::vector<Tensor> backward_of(const Tensor& g, const Tensor& y, const std::vector<Tensor>& kept,
                                const std::vector<Tensor>& wiring, const std::vector<Tensor>& by_input,
                                const std::vector<Tensor>& parameters, bool relu, bool needs_x, bool needs_weights) {
  typedef typename Compute<S>::type T;
  const ScalarType dtype = g.scalar_type();
  const int64_t batch = g.size(0), n_layers = wiring.size() / kPerLayer;
  std::vector<Tensor> grads;  // no two are one tensor
  for (int64_t k = 0; k < 1 + 2 * n_layers; ++k) grads.push_back(torch::stable::new_empty(g, {0}));
  Tensor at = pack<S>(g, "g");
  if (relu) {
    STD_TORCH_CHECK(y.dim() == 2 && y.stride(0) == 1 && y.scalar_type() == dtype && y.size(0) == batch &&
                        y.size(1) == g.size(1) && (y.stride(1) == batch || y.size(1) == 1),
                    "y: expected the chain's output, feature-major");
    mask<S>(blocks_of<S>(at, at.size(0), padded<S>(batch), true), y, batch);
  }
  for (int64_t k = n_layers - 1; k >= 0; --k) {
    const Tensor *w = &wiring[k * kPerLayer], *t = &by_input[k * kPerLayer];
    const Tensor &weight = parameters[2 * k], &bias = parameters[2 * k + 1], &x = kept[k];
    const Pattern p = pattern_of(w[0], w[1]);
    const Pattern turned = pattern_of(t[0], t[1], &t[3]);
    check_vector(weight, "weight", dtype, p.n_edges);
    STD_TORCH_CHECK(at.size(0) == p.n_rows && p.n_edges == turned.n_edges, "g: expected one row per output");
    STD_TORCH_CHECK(!needs_weights || (x.dim() == 2 && x.is_contiguous() && x.scalar_type() == dtype &&
                                       x.size(0) == turned.n_rows && x.size(1) == padded<S>(batch)),
                    "kept: expected what forward returned for this batch");
    const auto* order = vector_of<int32_t>(t[2], "by_input", ScalarType::Int, p.n_edges);
    const Tensor above = at;  // holds the memory of `here` while `at` becomes the gradient one layer down
    const Blocks<S> here = blocks_of<S>(above, p.n_rows, padded<S>(batch), true);
    const bool first = k == 0, down = !first || needs_x;
    if (bias.numel() > 0) grads[2 + 2 * k] = sums<S>(g, here);

    Tensor grad = torch::stable::new_empty(g, {needs_weights ? p.n_edges : 0});
    if (batch == 0) torch::stable::zero_(grad);
    auto* to = static_cast<S*>(grad.mutable_data_ptr());
    Dots<S> a{};
    a.other = here;
    if (needs_weights && !down) {
      a.pattern = p;
      a.own = here;
      a.other = blocks_of<S>(x, turned.n_rows, padded<S>(batch), true);
      std::unique_ptr<T[]> wide;
      if constexpr (std::is_same_v<S, T>) a.out = to;
      else wide = std::make_unique_for_overwrite<T[]>(p.n_edges), a.out = wide.get();
      if (batch > 0)
        for_rows(p, batch, [&](int64_t begin, int64_t end) {
          DISPATCH(sddmm<S>, a, begin, end);
          if constexpr (!std::is_same_v<S, T>)
            if (begin < end) std::copy(a.out + p.first[begin], a.out + p.last[end - 1], to + p.first[begin]);
        });
    } else if (down) {
      const Values<S> values(weight);
      const auto fetched = std::make_unique_for_overwrite<T[]>(p.n_edges);
      const auto out = std::make_unique_for_overwrite<T[]>(needs_weights ? p.n_edges : 0);
      in_huge_pages(fetched.get(), p.n_edges * int64_t(sizeof(T)));
      if (needs_weights) in_huge_pages(out.get(), p.n_edges * int64_t(sizeof(T)));
      a.pattern = turned;
      a.relu = !first;
      a.weights = values.data;
      a.order = order;
      a.fetched = fetched.get();
      a.out = out.get();
      a.grad = to;
      if (needs_weights) a.own = blocks_of<S>(x, turned.n_rows, padded<S>(batch), true);
      if (!needs_weights) a.pattern.rows = nullptr;
      const auto run = [&](const Blocks<S>& target) {
        a.to = target;
        for_rows(a.pattern, batch, [&](int64_t begin, int64_t end) {
          if (needs_weights) return DISPATCH(sddmm_and_spmm<S>, a, begin, end);
          for (int64_t q = turned.first[begin]; q < turned.first[end]; ++q) fetched[q] = values.data[order[q]];
          DISPATCH(spmm<S>, Spmm<S>{a.pattern, fetched.get(), nullptr, here, target, false}, begin, end);
        });
      };
      if (first) {
        at = filled<S>(g, turned.n_rows, batch, run);
        grads[0] = at;
      } else {
        at = new_packed<S>(g, turned.n_rows, batch);
        run(blocks_of<S>(at, turned.n_rows, padded<S>(batch), true));
      }
    }
    grads[1 + 2 * k] = grad;
  }
  return grads;
}

void check_lists(const Tensor& x, const std::vector<Tensor>& wiring, const std::vector<Tensor>& parameters) {
  STD_TORCH_CHECK(x.is_cpu() && x.dim() == 2, "x: expected a two-dimensional CPU tensor");
  STD_TORCH_CHECK(!wiring.empty() && wiring.size() % kPerLayer == 0 &&
                      parameters.size() == wiring.size() / kPerLayer * 2,
                  "wiring: expected four tensors a layer, and a weight and a bias each");
}

// Calls the function for the type of a tensor.
#define BY_TYPE(tensor, function, ...)                                                       \
  switch ((tensor).scalar_type()) {                                                          \
    case ScalarType::Float: return function<float>(__VA_ARGS__);                             \
    case ScalarType::Double: return function<double>(__VA_ARGS__);                           \
    case ScalarType::BFloat16: return function<BFloat16>(__VA_ARGS__);                       \
    default: STD_TORCH_CHECK(false, "expected float32, float64 or bfloat16");                \
  }

std::vector<Tensor> forward(Tensor x, std::vector<Tensor> wiring, std::vector<Tensor> parameters, bool relu, bool keep) {
  check_lists(x, wiring, parameters);
  BY_TYPE(x, forward_of, x, wiring, parameters, relu, keep)
}

std::vector<Tensor> backward(Tensor g, Tensor y, std::vector<Tensor> kept, std::vector<Tensor> wiring,
                             std::vector<Tensor> by_input, std::vector<Tensor> parameters, bool relu, bool needs_x,
                             bool needs_weights) {
  check_lists(g, wiring, parameters);
  STD_TORCH_CHECK(needs_weights || wiring.size() == kPerLayer, "needs_weights: expected true for more than one layer");
  STD_TORCH_CHECK(by_input.size() == wiring.size() && kept.size() == wiring.size() / kPerLayer,
                  "by_input, kept: expected four tensors and one tensor a layer");
  BY_TYPE(g, backward_of, g, y, kept, wiring, by_input, parameters, relu, needs_x, needs_weights)
}

// A row of the mask has a bit for every input, in whole bytes; no mask: no elements.
const uint8_t* mask_of(const Tensor& mask, int64_t n_rows, int64_t n_in) {
  if (mask.numel() == 0) return nullptr;
  return vector_of<uint8_t>(mask, "mask", ScalarType::Byte, n_rows * ((n_in + 7) / 8));
}

// The matrix (n_out, n_in) that has the values at its edges, and zero elsewhere.
template <typename S>
Tensor scattered_of(const Pattern& p, const uint8_t* mask, const Tensor& values, int64_t n_in) {
  check_vector(values, "values", values.scalar_type(), p.n_edges);
  Tensor dense = torch::stable::new_empty(values, {p.n_rows, n_in});
  in_huge_pages(dense.mutable_data_ptr(), dense.numel() * int64_t(sizeof(S)));
  const auto* from = static_cast<const S*>(values.const_data_ptr());
  auto* to = static_cast<S*>(dense.mutable_data_ptr());
  for_rows(p, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      S* target = to + row * n_in;
      int64_t e = p.first[row], i = 0;
      if constexpr (sizeof(S) == 4)
        if (mask) DISPATCH(expand, from, p.n_edges, mask + row * ((n_in + 7) / 8), n_in, target, e, i);
      std::memset(static_cast<void*>(target + i), 0, (n_in - i) * sizeof(S));
      for (; e < p.last[row]; ++e) target[p.indices[e]] = from[e];
    }
  });
  return dense;
}

Tensor scattered(Tensor starts, Tensor indices, Tensor mask, Tensor values, int64_t n_in) {
  const Pattern p = pattern_of(starts, indices);
  BY_TYPE(values, scattered_of, p, mask_of(mask, p.n_rows, n_in), values, n_in)
}

// The values of a matrix (n_out, n_in) at the edges.
template <typename S>
Tensor gathered_of(const Pattern& p, const uint8_t* mask, const Tensor& dense) {
  Tensor values = torch::stable::new_empty(dense, {p.n_edges});
  in_huge_pages(values.mutable_data_ptr(), p.n_edges * int64_t(sizeof(S)));
  const auto* from = static_cast<const S*>(dense.const_data_ptr());
  auto* to = static_cast<S*>(values.mutable_data_ptr());
  const int64_t n_in = dense.size(1);
  for_rows(p, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      int64_t e = p.first[row];
      if constexpr (sizeof(S) == 4)
        if (mask) DISPATCH(compress, from + row * n_in, n_in, mask + row * ((n_in + 7) / 8), p.last[end - 1], to, e);
      for (; e < p.last[row]; ++e) to[e] = from[row * n_in + p.indices[e]];
    }
  });
  return values;
}

Tensor gathered(Tensor starts, Tensor indices, Tensor mask, Tensor dense) {
  const Pattern p = pattern_of(starts, indices);
  STD_TORCH_CHECK(dense.is_cpu() && dense.dim() == 2 && dense.is_contiguous() && dense.size(0) == p.n_rows,
                  "dense: expected a contiguous CPU matrix with a row per output");
  BY_TYPE(dense, gathered_of, p, mask_of(mask, p.n_rows, dense.size(1)), dense)
}

// A number that changes with the values: equal ones have equal numbers, others almost surely not.
int64_t fingerprint(Tensor values) {
  STD_TORCH_CHECK(values.is_cpu() && values.is_contiguous(), "values: expected a contiguous CPU tensor");
  const auto* bytes = static_cast<const char*>(values.const_data_ptr());
  const int64_t n_bytes = values.numel() * int64_t(values.element_size());
  uint32_t hash[kHashes] = {};
  const int64_t i = DISPATCH(mix, bytes, n_bytes / 4, hash);
  uint64_t total = 0;
  for (const uint32_t part : hash) total = (total ^ part) * 0x9E3779B97F4A7C15u, total ^= total >> 29;
  for (int64_t k = 4 * i; k < n_bytes; ++k) total = (total ^ uint8_t(bytes[k])) * 0x9E3779B97F4A7C15u;
  return int64_t(total ^ total >> 32);
}

int64_t instruction_set() { return isa; }

}  // namespace

STABLE_TORCH_LIBRARY(prewired, m) {
  m.def("forward(Tensor x, Tensor[] wiring, Tensor[] parameters, bool relu, bool keep) -> Tensor[]");
  m.def(
      "backward(Tensor g, Tensor y, Tensor[] kept, Tensor[] wiring, Tensor[] by_input, Tensor[] parameters, bool relu, "
      "bool needs_x, bool needs_weights) -> Tensor[]");
  m.def("scattered(Tensor starts, Tensor indices, Tensor mask, Tensor values, int n_in) -> Tensor");
  m.def("gathered(Tensor starts, Tensor indices, Tensor mask, Tensor dense) -> Tensor");
  m.def("fingerprint(Tensor values) -> int");
  m.def("instruction_set() -> int");
}

STABLE_TORCH_LIBRARY_IMPL(prewired, CPU, m) {
  m.impl("forward", TORCH_BOX(&forward));
  m.impl("backward", TORCH_BOX(&backward));
  m.impl("scattered", TORCH_BOX(&scattered));
  m.impl("gathered", TORCH_BOX(&gathered));
  m.impl("fingerprint", TORCH_BOX(&fingerprint));
}

STABLE_TORCH_LIBRARY_IMPL(prewired, CompositeExplicitAutograd, m) {
  m.impl("instruction_set", TORCH_BOX(&instruction_set));
}
