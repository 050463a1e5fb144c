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
#include <mutex>
#include <string>
#include <type_traits>
#include <unordered_map>
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

// Asks for huge pages for new, large memory. Rows are read in random order: with pages of 4 KB the operating system would
// have to create every page, and the processor would have to translate the address of nearly every row.
void in_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] int64_t bytes) {
#ifdef MADV_HUGEPAGE
  if (bytes < kLarge) return;
  const auto page = uintptr_t(sysconf(_SC_PAGESIZE)), begin = (uintptr_t(data) + page - 1) / page * page;
  madvise(reinterpret_cast<void*>(begin), uintptr_t(data) + bytes - begin, MADV_HUGEPAGE);
#endif
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

#include "plans.h"

void check_vector(const Tensor& t, const char* name, ScalarType dtype, int64_t size) {
  STD_TORCH_CHECK(t.is_cpu() && t.dim() == 1 && t.is_contiguous() && t.scalar_type() == dtype && t.size(0) == size, name,
                  ": expected a contiguous one-dimensional CPU tensor of ", size, " elements");
  check_storage(t, name);
}

// The edges of a plan by output; all features are one panel unless panels are asked for.
Pattern by_output(const Plan& p, bool panels = false, bool groups = false) {
  const int64_t n_panels = panels ? p.n_panels : 1;
  return {p.first(0),
          n_panels > 1 ? p.last(0) : p.last(p.n_panels - 1),
          p.indices.data(),
          groups ? p.rows.data() : nullptr,
          groups ? p.groups.data() : nullptr,
          p.n_rows,
          n_panels,
          groups ? std::max<int64_t>(p.groups.size() - 1, 0) : 0,
          p.n_edges};
}

// The edges of a plan by input.
Pattern by_input(const Plan& p) {
  const int64_t* starts = p.starts_by_input.data();
  return {starts, starts + 1, p.indices_by_input.data(), p.rows_by_input.data(), nullptr, p.n_in, 1, 0, p.n_edges};
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

// Zero in what pads the batch: the loops add products with it to the gradients of the weights, and the product of a zero
// and an infinity would be a NaN there.
template <typename S>
void clear_padding(const Blocks<S>& y, int64_t batch) {
  const int64_t block = y.n_blocks() - 1, width = y.batch > batch ? y.width(block) : 0;
  for (int64_t row = 0; width > 0 && row < y.n; ++row) {
    S* values = y.start(block) + row * width;
    std::fill(values + width - (y.batch - batch), values + width, S(0));
  }
}

// The parameters are a weight and a bias for each layer; no bias: no elements.
void check_parameters(const Chain& chain, const std::vector<Tensor>& parameters, ScalarType dtype) {
  STD_TORCH_CHECK(parameters.size() == 2 * chain.size(), "parameters: expected a weight and a bias for each of ",
                  chain.size(), " layers, got ", parameters.size(), " tensors");
  for (size_t k = 0; k < chain.size(); ++k) {
    check_vector(parameters[2 * k], "weight", dtype, chain[k]->n_edges);
    const Tensor& bias = parameters[2 * k + 1];
    check_vector(bias, "bias", dtype, bias.numel() > 0 ? chain[k]->n_rows : 0);
  }
}

// Activations are (batch, n), row-major or feature-major.
void check_activations(const Tensor& x, int64_t n, const char* name) {
  STD_TORCH_CHECK(x.is_cpu() && x.dim() == 2 && x.size(1) == n &&
                      (x.is_contiguous() || (x.stride(0) == 1 && x.stride(1) == x.size(0))),
                  name, ": expected a CPU tensor (batch, ", n, "), contiguous, or the transpose of a contiguous one");
  check_storage(x, name);
}

// y of a chain for a batch of one, of which nothing is kept. Nothing is packed or padded.
template <typename S>
Tensor forward_of_one(const Tensor& x, const Chain& chain, const std::vector<Tensor>& parameters, bool relu) {
  const int64_t n_layers = chain.size();
  const auto* at = static_cast<const S*>(x.const_data_ptr());
  std::unique_ptr<S[]> hidden;
  for (int64_t k = 0;; ++k) {
    const Pattern p = by_output(*chain[k]);
    const Tensor &weight = parameters[2 * k], &bias = parameters[2 * k + 1];
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
std::vector<Tensor> forward_of(const Tensor& x, const Chain& chain, const std::vector<Tensor>& parameters, bool relu,
                               bool keep) {
  const int64_t batch = x.size(0), n_layers = chain.size();
  check_activations(x, chain[0]->n_in, "x");
  check_parameters(chain, parameters, x.scalar_type());
  if (batch == 1 && !keep) return {forward_of_one<S>(x, chain, parameters, relu)};
  std::vector<Tensor> kept;
  Tensor at = pack<S>(x, "x");
  for (int64_t k = 0; k < n_layers; ++k) {
    const Pattern p = by_output(*chain[k], worth_panels(x, batch), true);
    const Tensor &weight = parameters[2 * k], &bias = parameters[2 * k + 1];
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
      const Blocks<S> blocks = blocks_of<S>(y, p.n_rows, padded<S>(batch), true);
      run(blocks);
      if (keep) clear_padding(blocks, batch);
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
                                const Chain& chain, const std::vector<Tensor>& parameters, bool relu, bool needs_x,
                                bool needs_weights) {
  typedef typename Compute<S>::type T;
  const ScalarType dtype = g.scalar_type();
  const int64_t batch = g.size(0), n_layers = chain.size();
  check_activations(g, chain.back()->n_rows, "g");
  check_parameters(chain, parameters, dtype);
  std::vector<Tensor> grads;  // no two are one tensor
  for (int64_t k = 0; k < 1 + 2 * n_layers; ++k) grads.push_back(torch::stable::new_empty(g, {0}));
  Tensor at = pack<S>(g, "g");
  if (relu) {
    STD_TORCH_CHECK(y.is_cpu() && y.dim() == 2 && y.stride(0) == 1 && y.scalar_type() == dtype && y.size(0) == batch &&
                        y.size(1) == g.size(1) && (y.stride(1) == batch || y.size(1) == 1),
                    "y: expected the chain's output, feature-major");
    check_storage(y, "y");
    mask<S>(blocks_of<S>(at, at.size(0), padded<S>(batch), true), y, batch);
  }
  for (int64_t k = n_layers - 1; k >= 0; --k) {
    const Tensor &weight = parameters[2 * k], &bias = parameters[2 * k + 1], &x = kept[k];
    const Pattern p = by_output(*chain[k]), turned = by_input(*chain[k]);
    STD_TORCH_CHECK(chain[k]->has_backward(), "plans: expected plans with the edges by input");
    if (needs_weights) {
      STD_TORCH_CHECK(x.is_cpu() && x.dim() == 2 && x.is_contiguous() && x.scalar_type() == dtype &&
                          x.size(0) == turned.n_rows && x.size(1) == padded<S>(batch),
                      "kept: expected what forward returned for this batch");
      check_storage(x, "kept");
    }
    const int32_t* order = chain[k]->by_input.data();
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

// Calls the function for the type of a tensor.
#define BY_TYPE(tensor, function, ...)                                                       \
  switch ((tensor).scalar_type()) {                                                          \
    case ScalarType::Float: return function<float>(__VA_ARGS__);                             \
    case ScalarType::Double: return function<double>(__VA_ARGS__);                           \
    case ScalarType::BFloat16: return function<BFloat16>(__VA_ARGS__);                       \
    default: STD_TORCH_CHECK(false, "expected float32, float64 or bfloat16");                \
  }

std::vector<Tensor> chain_forward(Tensor x, std::vector<int64_t> plans, std::vector<Tensor> parameters, bool relu,
                                  bool keep) {
  const Chain chain = plans_of(plans, -1);
  BY_TYPE(x, forward_of, x, chain, parameters, relu, keep)
}

// The forward pass of a program that was exported: it holds its index tensors itself.
std::vector<Tensor> forward(Tensor x, std::vector<Tensor> wiring, std::vector<Tensor> parameters, bool relu, bool keep) {
  STD_TORCH_CHECK(x.dim() == 2 && !wiring.empty() && wiring.size() % kForwardLists == 0,
                  "wiring: expected four tensors for each layer, and x as a matrix");
  Chain chain;
  for (auto at = wiring.begin(); at != wiring.end(); at += kForwardLists)
    chain.push_back(plan_of_lists(chain.empty() ? x.size(1) : chain.back()->n_rows, {at, at + kForwardLists}));
  BY_TYPE(x, forward_of, x, chain, parameters, relu, keep)
}

std::vector<Tensor> chain_backward(Tensor g, Tensor y, std::vector<Tensor> kept, std::vector<int64_t> plans,
                                   std::vector<Tensor> parameters, bool relu, bool needs_x, bool needs_weights) {
  const Chain chain = plans_of(plans, -1);
  STD_TORCH_CHECK(needs_weights || chain.size() == 1, "needs_weights: expected true for more than one layer");
  STD_TORCH_CHECK(kept.size() == chain.size(), "kept: expected a tensor for each layer");
  STD_TORCH_CHECK(g.dim() == 2, "g: expected a matrix");
  BY_TYPE(g, backward_of, g, y, kept, chain, parameters, relu, needs_x, needs_weights)
}

// Activations in the layout that chain_backward reads.
template <typename S>
Tensor packed_of(const Tensor& x) {
  STD_TORCH_CHECK(x.dim() == 2, "x: expected a matrix");
  check_activations(x, x.size(1), "x");
  return pack<S>(x, "x");
}

Tensor pack_input(Tensor x) { BY_TYPE(x, packed_of, x) }

// The matrix (n_out, n_in) that has the values at its edges, and zero elsewhere.
template <typename S>
Tensor scattered_of(const Plan& plan, const Tensor& values) {
  const Pattern p = by_output(plan);
  const int64_t n_in = plan.n_in, width = (n_in + 7) / 8;
  check_vector(values, "values", values.scalar_type(), p.n_edges);
  Tensor dense = torch::stable::new_empty(values, {p.n_rows, n_in});
  in_huge_pages(dense.mutable_data_ptr(), dense.numel() * int64_t(sizeof(S)));
  const auto* from = static_cast<const S*>(values.const_data_ptr());
  auto* to = static_cast<S*>(dense.mutable_data_ptr());
  const uint8_t* mask = plan.mask.data();
  for_rows(p, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      S* target = to + row * n_in;
      int64_t e = p.first[row], i = 0;
      if constexpr (sizeof(S) == 4)
        if (mask) DISPATCH(expand, from, p.n_edges, mask + row * width, n_in, target, e, i);
      std::memset(static_cast<void*>(target + i), 0, (n_in - i) * sizeof(S));
      for (; e < p.last[row]; ++e) target[p.indices[e]] = from[e];
    }
  });
  return dense;
}

Tensor to_matrix(int64_t plan, Tensor values) {
  const auto p = plans_of({plan}, -1)[0];
  BY_TYPE(values, scattered_of, *p, values)
}

// The same for a program that was exported: it holds its index tensors itself.
Tensor scattered(Tensor starts, Tensor indices, Tensor mask, Tensor values, int64_t n_in) {
  const Tensor none = torch::stable::new_empty(indices, {0});
  const auto p = plan_of_lists(n_in, {starts, indices, none, none, mask});
  BY_TYPE(values, scattered_of, *p, values)
}

// The output and the input of each edge, (2, n_edges).
Tensor plan_edges(int64_t plan) {
  const auto p = plans_of({plan}, -1)[0];
  const int64_t sizes[] = {2, p->n_edges}, strides[] = {p->n_edges, 1};
  AtenTensorHandle handle;
  TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(2, sizes, strides, aoti_torch_dtype_int64(), aoti_torch_device_type_cpu(),
                                                  0, &handle));
  const Tensor edges(handle);
  auto* outputs = static_cast<int64_t*>(edges.mutable_data_ptr());
  for (int64_t row = 0; row < p->n_rows; ++row)
    std::fill(outputs + p->first(0)[row], outputs + p->last(p->n_panels - 1)[row], row);
  std::copy_n(p->indices.data(), p->n_edges, outputs + p->n_edges);
  return edges;
}

// The values of a matrix (n_out, n_in) at the edges.
template <typename S>
Tensor gathered_of(const Plan& plan, const Tensor& dense) {
  const Pattern p = by_output(plan);
  const int64_t n_in = plan.n_in, width = (n_in + 7) / 8;
  Tensor values = torch::stable::new_empty(dense, {p.n_edges});
  in_huge_pages(values.mutable_data_ptr(), p.n_edges * int64_t(sizeof(S)));
  const auto* from = static_cast<const S*>(dense.const_data_ptr());
  auto* to = static_cast<S*>(values.mutable_data_ptr());
  const uint8_t* mask = plan.mask.data();
  for_rows(p, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      int64_t e = p.first[row];
      if constexpr (sizeof(S) == 4)
        if (mask) DISPATCH(compress, from + row * n_in, n_in, mask + row * width, p.last[end - 1], to, e);
      for (; e < p.last[row]; ++e) to[e] = from[row * n_in + p.indices[e]];
    }
  });
  return values;
}

Tensor from_matrix(int64_t plan, Tensor dense) {
  const auto p = plans_of({plan}, -1)[0];
  STD_TORCH_CHECK(dense.is_cpu() && dense.dim() == 2 && dense.is_contiguous() && dense.size(0) == p->n_rows &&
                      dense.size(1) == p->n_in,
                  "dense: expected a contiguous CPU matrix with a row for each output and a column for each input");
  check_storage(dense, "dense");
  BY_TYPE(dense, gathered_of, *p, dense)
}

int64_t instruction_set() { return isa; }

}  // namespace

// Python's garbage collector calls this function, at any moment, so it is no operator: torch might be tracing.
extern "C" __attribute__((visibility("default"))) void prewired_release_plan(int64_t number) { release_plan(number); }

STABLE_TORCH_LIBRARY(prewired, m) {
  m.def("store_plan(int n_in, Tensor[] lists) -> int");
  m.def("plan_sizes(int plan) -> int[]");
  m.def("plan_edges(int plan) -> Tensor");
  m.def("chain_forward(Tensor x, int[] plans, Tensor[] parameters, bool relu, bool keep) -> Tensor[]");
  m.def(
      "chain_backward(Tensor g, Tensor y, Tensor[] kept, int[] plans, Tensor[] parameters, bool relu, bool needs_x, "
      "bool needs_weights) -> Tensor[]");
  m.def("pack(Tensor x) -> Tensor");
  m.def("to_matrix(int plan, Tensor values) -> Tensor");
  m.def("from_matrix(int plan, Tensor dense) -> Tensor");
  m.def("forward(Tensor x, Tensor[] wiring, Tensor[] parameters, bool relu, bool keep) -> Tensor[]");
  m.def("scattered(Tensor starts, Tensor indices, Tensor mask, Tensor values, int n_in) -> Tensor");
  m.def("fingerprint(Tensor values) -> int");
  m.def("instruction_set() -> int");
}

STABLE_TORCH_LIBRARY_IMPL(prewired, CPU, m) {
  m.impl("store_plan", TORCH_BOX(&store_plan));
  m.impl("chain_forward", TORCH_BOX(&chain_forward));
  m.impl("chain_backward", TORCH_BOX(&chain_backward));
  m.impl("pack", TORCH_BOX(&pack_input));
  m.impl("to_matrix", TORCH_BOX(&to_matrix));
  m.impl("from_matrix", TORCH_BOX(&from_matrix));
  m.impl("forward", TORCH_BOX(&forward));
  m.impl("scattered", TORCH_BOX(&scattered));
  m.impl("fingerprint", TORCH_BOX(&fingerprint));
}

STABLE_TORCH_LIBRARY_IMPL(prewired, CompositeExplicitAutograd, m) {
  m.impl("plan_sizes", TORCH_BOX(&plan_sizes));
  m.impl("plan_edges", TORCH_BOX(&plan_edges));
  m.impl("instruction_set", TORCH_BOX(&instruction_set));
}
