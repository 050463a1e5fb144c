// The inner loops, written once in GCC vector types and compiled once for each instruction set: kernels.cpp includes
// this file several times, each time inside another namespace, with another VECTOR_BYTES and another target.
//
// Activations lie in blocks of the batch (see Blocks in kernels.cpp); inside a block every feature is one short row of
// values that fills a few registers. Every function works on a range of rows of the pattern, so no two threads write the
// same value and the result does not depend on how many threads there are. From the outside in, the loops are: tiles of
// the batch (as many values as stay in registers), panels of features (that stay in the L1 cache), rows, edges.

// Conversions of N unsigned values; overloads, since GCC 12 does not convert vectors whose type depends on a parameter.
#define CONVERSIONS(N)                                                                                          \
  typedef uint32_t Wide##N __attribute__((vector_size(4 * N)));                                                 \
  typedef uint16_t Narrow##N __attribute__((vector_size(2 * N)));                                               \
  typedef uint16_t NarrowUnaligned##N __attribute__((vector_size(2 * N), aligned(2), may_alias));               \
  static inline Wide##N widened(const BFloat16* from, std::integral_constant<int, N>) {                         \
    const Narrow##N bits = *reinterpret_cast<const NarrowUnaligned##N*>(from);                                  \
    return __builtin_convertvector(bits, Wide##N);                                                              \
  }                                                                                                             \
  static inline void narrow(Wide##N bits, BFloat16* to) {                                                       \
    *reinterpret_cast<NarrowUnaligned##N*>(to) = __builtin_convertvector(bits, Narrow##N);                      \
  }
CONVERSIONS(4)
#if VECTOR_BYTES >= 32
CONVERSIONS(8)
#endif
#if VECTOR_BYTES >= 64
CONVERSIONS(16)
#endif
#undef CONVERSIONS

// Vectors of `bytes` bytes of the type S is computed in; bfloat16 is widened to float32 as it is loaded.
template <typename S, int bytes = VECTOR_BYTES>
struct Lanes {
  typedef typename Compute<S>::type T;
  static constexpr int64_t count = bytes / sizeof(T);
  typedef T vector __attribute__((vector_size(bytes)));
  typedef uint32_t wide __attribute__((vector_size(bytes)));
  typedef T unaligned __attribute__((vector_size(bytes), aligned(alignof(T)), may_alias));

  static inline vector load(const S* from) {
    if constexpr (std::is_same_v<S, BFloat16>) {
      return (vector)(widened(from, std::integral_constant<int, count>{}) << 16);
    } else {
      return *reinterpret_cast<const unaligned*>(from);
    }
  }

  // bfloat16 is rounded to nearest even. A NaN is not rounded, since the carry could turn it into an infinity.
  static inline void store(S* to, vector v) {
    if constexpr (std::is_same_v<S, BFloat16>) {
      const wide bits = (wide)v, rounded = bits + 0x7fff + ((bits >> 16) & 1);
      const wide kept = v == v ? rounded >> 16 : bits >> 16 | 0x40;
      narrow(kept, to);
    } else {
      *reinterpret_cast<unaligned*>(to) = v;
    }
  }

  // A NaN passes, as in torch.
  static inline vector relu(vector v) { return v < 0 ? vector{} : v; }
};

// Interleaves the low (offset 0) or the high halves of each part of `width` values of a and b.
template <typename V, int64_t lanes, int64_t width, int64_t offset, size_t... I>
static inline V interleave(V a, V b, std::index_sequence<I...>) {
  return __builtin_shufflevector(
      a, b, int(I / width * width + offset + I % width / 2 + (I % 2 ? lanes : 0))...);
}

// Keeps a vector in a register. Without this, GCC loads the vector again for every use.
template <typename V>
static inline __attribute__((always_inline)) void in_register([[maybe_unused]] V& v) {
#ifdef __x86_64__
  asm("" : "+x"(v));
#endif
}

// Starts to fetch a row of values that will soon be read. This pays only if the rows do not fit the cache.
template <int64_t bytes>
static inline void prefetch_row(const void* row) {
#pragma GCC unroll 8
  for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(static_cast<const char*>(row) + at);
}

// y[row] = start + sum over the edges [e, end) of w[e] * x[indices[e]], N vectors wide; `unrolled` edges have sums of
// their own, so that an addition need not wait for the one before.
template <typename S, int N, int bytes, bool far>
static inline __attribute__((always_inline)) void row_tile(const Spmm<S>& a, int64_t e, int64_t end, const S* x,
                                                           int64_t stride, int64_t row, bool again, bool relu, S* y) {
  using L = Lanes<S, bytes>;
  constexpr int unrolled = N >= 8 ? 1 : N >= 4 ? 2 : 4;
  typename L::vector sum[unrolled][N];
  const typename L::T start = a.bias ? a.bias[row] : 0;
  const auto ahead = [last = a.pattern.n_edges - 1](int64_t edge) { return std::min(edge + kAhead, last); };
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) {
    sum[0][k] = again ? L::load(y + k * L::count) : start - typename L::vector{};
#pragma GCC unroll 4
    for (int u = 1; u < unrolled; ++u) sum[u][k] = typename L::vector{};
  }
  const auto add = [&](int64_t edge, int u) __attribute__((always_inline)) {
    const typename L::T w = a.values[edge];
    const S* source = x + a.pattern.indices[edge] * stride;
    asm("" : "+r"(source));
    if constexpr (far) prefetch_row<N * L::count * sizeof(S)>(x + a.pattern.indices[ahead(edge)] * stride);
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) sum[u][k] += w * L::load(source + k * L::count);
  };
  if constexpr (unrolled > 1)
    for (; e + unrolled <= end; e += unrolled)
#pragma GCC unroll 4
      for (int u = 0; u < unrolled; ++u) add(e + u, u);
  for (; e < end; ++e) add(e, 0);
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) {
#pragma GCC unroll 4
    for (int u = 1; u < unrolled; ++u) sum[0][k] += sum[u][k];
    L::store(y + k * L::count, relu ? L::relu(sum[0][k]) : sum[0][k]);
  }
}

// The same as row_tile for R rows that read the same features: each load of x is used in R products.
template <typename S, int R, int N, int bytes>
static inline __attribute__((always_inline)) void group_tile(const Spmm<S>& a, const int64_t* first,
                                                             const int64_t* last, const S* x, int64_t stride,
                                                             const int32_t* rows, bool again, bool relu, S* y,
                                                             int64_t y_stride) {
  using L = Lanes<S, bytes>;
  typename L::vector sum[R][N];
  const typename L::T* w[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    w[r] = a.values + first[rows[r]];
    const typename L::T start = a.bias ? a.bias[rows[r]] : 0;
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k)
      sum[r][k] = again ? L::load(y + rows[r] * y_stride + k * L::count) : start - typename L::vector{};
  }
  const int32_t* indices = a.pattern.indices + first[rows[0]];
  const int64_t n = last[rows[0]] - first[rows[0]];
  for (int64_t e = 0; e < n; ++e) {
    const S* source = x + indices[e] * stride;
    typename L::vector v[N];
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) {
      v[k] = L::load(source + k * L::count);
      in_register(v[k]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const typename L::T value = w[r][e];
#pragma GCC unroll 8
      for (int k = 0; k < N; ++k) sum[r][k] += value * v[k];
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k)
      L::store(y + rows[r] * y_stride + k * L::count, relu ? L::relu(sum[r][k]) : sum[r][k]);
}

// One tile of the batch, N vectors wide, for the rows or groups [begin, end).
template <typename S, int N, int bytes, bool far>
static void spmm_tile_at(const Spmm<S>& a, int64_t block, int64_t at, int64_t begin, int64_t end) {
  const Pattern& p = a.pattern;
  const S* x = a.x.start(block) + at;
  S* y = a.y.start(block) + at;
  const int64_t stride = a.x.stride(block), y_stride = a.y.stride(block);
  for (int64_t panel = 0; panel < p.n_panels; ++panel) {
    const int64_t *first = p.first + panel * p.n_rows, *last = p.last + panel * p.n_rows;
    const bool again = panel > 0, relu = a.relu && panel + 1 == p.n_panels;
    if (p.groups) {
      for (int64_t group = begin; group < end; ++group) {
        int64_t k = p.groups[group];
        const int64_t stop = p.groups[group + 1];
        for (; k + 4 <= stop; k += 4)
          group_tile<S, 4, N, bytes>(a, first, last, x, stride, p.rows + k, again, relu, y, y_stride);
        if (k + 2 <= stop)
          group_tile<S, 2, N, bytes>(a, first, last, x, stride, p.rows + k, again, relu, y, y_stride), k += 2;
        if (k < stop) group_tile<S, 1, N, bytes>(a, first, last, x, stride, p.rows + k, again, relu, y, y_stride);
      }
    } else {
      for (int64_t row = begin; row < end; ++row)
        if (!again || relu || first[row] != last[row])
          row_tile<S, N, bytes, far>(a, first[row], last[row], x, stride, row, again, relu, y + row * y_stride);
    }
  }
}

template <typename S, int N, int bytes = VECTOR_BYTES>
static void spmm_tile(const Spmm<S>& a, int64_t block, int64_t at, int64_t begin, int64_t end) {
  if (a.x.is_far()) spmm_tile_at<S, N, bytes, true>(a, block, at, begin, end);
  else spmm_tile_at<S, N, bytes, false>(a, block, at, begin, end);
}

// y = (relu of) W x + bias for the rows, or groups of rows, [begin, end).
template <typename S>
static void spmm(const Spmm<S>& a, int64_t begin, int64_t end) {
  constexpr int64_t lanes = Lanes<S>::count;
  // What fits the registers: 8 sums, or 4 where two edges are under way at a time; 4 rows of a group share them.
  const int most = a.pattern.groups ? (VECTOR_BYTES == 64 ? 4 : 2) : VECTOR_BYTES == 32 ? 4 : 8;
  for (int64_t block = 0; block < a.x.n_blocks(); ++block) {
    const int64_t width = a.x.width(block);
    int64_t at = 0;
    if constexpr (VECTOR_BYTES != 32)
      for (; most >= 8 && at + 8 * lanes <= width; at += 8 * lanes) spmm_tile<S, 8>(a, block, at, begin, end);
    for (; most >= 4 && at + 4 * lanes <= width; at += 4 * lanes) spmm_tile<S, 4>(a, block, at, begin, end);
    for (; at + 2 * lanes <= width; at += 2 * lanes) spmm_tile<S, 2>(a, block, at, begin, end);
    for (; at + lanes <= width; at += lanes) spmm_tile<S, 1>(a, block, at, begin, end);
    if constexpr (VECTOR_BYTES > 32)
      if (at < width) spmm_tile<S, 1, 32>(a, block, at, begin, end);
  }
}

// What as many edges read of x as fill a vector. The inputs of a row rise, so the first and the last tell whether all are
// neighbours, as in bands, groups and complete graphs: they are loaded as they lie. Others are loaded one by one, which
// takes less time than a gather instruction (measured on Zen 4).
template <typename S, int bytes>
static inline __attribute__((always_inline)) typename Lanes<S, bytes>::vector read_by(const int32_t* indices, const S* x) {
  using L = Lanes<S, bytes>;
  if (indices[L::count - 1] - indices[0] == L::count - 1) return L::load(x + indices[0]);
  typename L::vector v;
#pragma GCC unroll 8
  for (int64_t k = 0; k < L::count; ++k) v[k] = typename L::T(x[indices[k]]);
  return v;
}

// y = (relu of) W x + bias for the rows [begin, end) and a batch of one. Vectors run along the edges of a row; two sums,
// so that an addition need not wait for the one before.
template <typename S>
static void spmv(const Spmv<S>& a, int64_t begin, int64_t end) {
  constexpr int bytes = VECTOR_BYTES < 32 ? VECTOR_BYTES : 32;
  using L = Lanes<S, bytes>;
  const int32_t* indices = a.pattern.indices;
  for (int64_t row = begin; row < end; ++row) {
    int64_t e = a.pattern.first[row];
    const int64_t last = a.pattern.last[row];
    typename L::vector sum[2] = {};
    typename L::T total = a.bias ? typename L::T(a.bias[row]) : 0;
    const auto add = [&](typename L::vector& to) __attribute__((always_inline)) {
      to += L::load(a.weights + e) * read_by<S, bytes>(indices + e, a.x);
      e += L::count;
    };
    while (e + 2 * L::count <= last) add(sum[0]), add(sum[1]);
    if (e + L::count <= last) add(sum[0]);
    for (; e < last; ++e) total += typename L::T(a.weights[e]) * typename L::T(a.x[indices[e]]);
    sum[0] += sum[1];
#pragma GCC unroll 8
    for (int64_t k = 0; k < L::count; ++k) total += sum[0][k];
    a.y[row] = S(a.relu && total < 0 ? typename L::T(0) : total);
  }
}

// out (+)= the sums of the lanes of as many vectors as 16 bytes hold values: each round of interleaving and adding, inside
// parts of 16 bytes, halves the vectors, then the parts are added.
template <typename S, int bytes>
static inline __attribute__((always_inline)) void add_sums(typename Lanes<S, bytes>::vector* sum,
                                                           typename Compute<S>::type* out, bool again) {
  typedef typename Compute<S>::type T;
  typedef typename Lanes<S, bytes>::vector V;
  constexpr int64_t lanes = Lanes<S, bytes>::count, many = 16 / sizeof(T);
  using Sequence = std::make_index_sequence<lanes>;
#pragma GCC unroll 4
  for (int n = many / 2; n > 0; n /= 2)
#pragma GCC unroll 4
    for (int k = 0; k < n; ++k)
      sum[k] = interleave<V, lanes, many, 0>(sum[k], sum[k + n], Sequence{}) +
               interleave<V, lanes, many, many / 2>(sum[k], sum[k + n], Sequence{});
  typedef T part __attribute__((vector_size(16), aligned(alignof(T)), may_alias));
  const part* parts = reinterpret_cast<const part*>(&sum[0]);
  part total = parts[0];
#pragma GCC unroll 4
  for (int64_t k = 1; k < lanes / many; ++k) total += parts[k];
  if (again) total += *reinterpret_cast<part*>(out);
  *reinterpret_cast<part*>(out) = total;
}

// Products of one tile of the batch, N vectors wide, for the edges of a row: out[e] (+)= own . other[indices[e]].
// With_sum: each row of `other` is loaded once for to = sum of w[e] * other[indices[e]] as well. The weights are then in
// another order than the edges here: the first tile fetches them from their places, and the last puts the products there.
template <typename S, int N, int bytes, bool with_sum, bool far>
static inline __attribute__((always_inline)) void dots_row(const Dots<S>& a, int64_t e, int64_t end, const S* own,
                                                           const S* other, int64_t stride, bool first, bool last,
                                                           S* to) {
  using L = Lanes<S, bytes>;
  constexpr int many = 16 / sizeof(typename L::T);
  typename L::vector sum[N], mine[N];
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) {
    sum[k] = typename L::vector{};
    mine[k] = L::load(own + k * L::count);
  }
  const auto ahead = [last = a.pattern.n_edges - 1](int64_t edge) { return std::min(edge + kAhead, last); };
  const auto dot = [&](int64_t edge) __attribute__((always_inline)) {
    const S* source = other + a.pattern.indices[edge] * stride;
    asm("" : "+r"(source));
    if constexpr (far) prefetch_row<N * L::count * sizeof(S)>(other + a.pattern.indices[ahead(edge)] * stride);
    typename L::T w = 0;
    if constexpr (with_sum) {
      w = first ? a.weights[a.order[edge]] : a.fetched[edge];
      if (first && !last) a.fetched[edge] = w;
    }
    typename L::vector product[2] = {};
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) {
      typename L::vector v = L::load(source + k * L::count);
      if constexpr (with_sum) {
        in_register(v);
        sum[k] += w * v;
      }
      product[k % 2] += mine[k] * v;
    }
    return N > 1 ? product[0] + product[1] : product[0];
  };
  const auto put = [&](int64_t n, const typename L::T* totals) __attribute__((always_inline)) {
    for (int64_t k = 0; k < n; ++k) {
      const typename L::T total = first ? totals[k] : a.out[e + k] + totals[k];
      if (with_sum && last) a.grad[a.order[e + k]] = S(total);
      else a.out[e + k] = total;
    }
  };
  typename L::vector products[many];
  typename L::T totals[many];
  for (; e + many <= end; e += many) {
#pragma GCC unroll 4
    for (int k = 0; k < many; ++k) products[k] = dot(e + k);
    if (with_sum && last) {
      add_sums<S, bytes>(products, totals, false);
      put(many, totals);
    } else {
      add_sums<S, bytes>(products, a.out + e, !first);
    }
  }
  if (e < end) {
#pragma GCC unroll 4
    for (int k = 0; k < many; ++k) products[k] = e + k < end ? dot(e + k) : typename L::vector{};
    add_sums<S, bytes>(products, totals, false);
    put(end - e, totals);
  }
  if constexpr (with_sum)
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k)
      L::store(to + k * L::count, a.relu ? (mine[k] <= 0 ? typename L::vector{} : sum[k]) : sum[k]);
}

template <typename S, int N, bool with_sum, int bytes, bool far>
static void dots_tile_at(const Dots<S>& a, int64_t block, int64_t at, int64_t begin, int64_t end) {
  const Pattern& p = a.pattern;
  const S* other = a.other.start(block) + at;
  const S* own = a.own.start(block) + at;
  S* to = with_sum ? a.to.start(block) + at : nullptr;
  const int64_t stride = a.other.stride(block), own_stride = a.own.stride(block);
  const int64_t to_stride = with_sum ? a.to.stride(block) : 0;
  const bool first = block == 0 && at == 0;
  const bool last = block + 1 == a.other.n_blocks() && at + N * Lanes<S, bytes>::count == a.other.width(block);
  for (int64_t k = begin; k < end; ++k) {
    const int64_t row = p.rows ? p.rows[k] : k;
    dots_row<S, N, bytes, with_sum, far>(a, p.first[row], p.last[row], own + row * own_stride, other, stride, first, last,
                                         to + row * to_stride);
  }
}

template <typename S, int N, bool with_sum, int bytes = VECTOR_BYTES>
static void dots_tile(const Dots<S>& a, int64_t block, int64_t at, int64_t begin, int64_t end) {
  if (a.other.is_far()) dots_tile_at<S, N, with_sum, bytes, true>(a, block, at, begin, end);
  else dots_tile_at<S, N, with_sum, bytes, false>(a, block, at, begin, end);
}

template <typename S, bool with_sum>
static void dots(const Dots<S>& a, int64_t begin, int64_t end) {
  constexpr int64_t lanes = Lanes<S>::count;
  for (int64_t block = 0; block < a.other.n_blocks(); ++block) {
    const int64_t width = a.other.width(block);
    int64_t at = 0;
    if constexpr (VECTOR_BYTES != 32)
      for (; at + 8 * lanes <= width; at += 8 * lanes) dots_tile<S, 8, with_sum>(a, block, at, begin, end);
    for (; at + 4 * lanes <= width; at += 4 * lanes) dots_tile<S, 4, with_sum>(a, block, at, begin, end);
    for (; at + 2 * lanes <= width; at += 2 * lanes) dots_tile<S, 2, with_sum>(a, block, at, begin, end);
    for (; at + lanes <= width; at += lanes) dots_tile<S, 1, with_sum>(a, block, at, begin, end);
    if constexpr (VECTOR_BYTES > 32)
      if (at < width) dots_tile<S, 1, with_sum, 32>(a, block, at, begin, end);
  }
}

// out = the products of `own` and `other` sampled on the edges, for rows [begin, end).
template <typename S>
static void sddmm(const Dots<S>& a, int64_t begin, int64_t end) {
  dots<S, false>(a, begin, end);
}

// The same, and to = W other in one pass (where asked, with the gradient of a ReLU whose output `own` was).
template <typename S>
static void sddmm_and_spmm(const Dots<S>& a, int64_t begin, int64_t end) {
  dots<S, true>(a, begin, end);
}

// to = transpose of a square block of lanes x lanes values, in registers (log2(lanes) perfect shuffles).
template <typename S, int64_t lanes>
static inline void transpose_square(const S* from, int64_t from_stride, S* to, int64_t to_stride) {
  typedef typename Bits<sizeof(S)>::type T;
  typedef T V __attribute__((vector_size(lanes * sizeof(T))));
  typedef T U __attribute__((vector_size(lanes * sizeof(T)), aligned(alignof(T)), may_alias));
  using Sequence = std::make_index_sequence<lanes>;
  V v[lanes], w[lanes];
#pragma GCC unroll 8
  for (int64_t i = 0; i < lanes; ++i) v[i] = *reinterpret_cast<const U*>(from + i * from_stride);
#pragma GCC unroll 4
  for (int64_t done = 1; done < lanes; done *= 2) {
#pragma GCC unroll 8
    for (int64_t i = 0; i < lanes / 2; ++i) {
      w[2 * i] = interleave<V, lanes, lanes, 0>(v[i], v[i + lanes / 2], Sequence{});
      w[2 * i + 1] = interleave<V, lanes, lanes, lanes / 2>(v[i], v[i + lanes / 2], Sequence{});
    }
#pragma GCC unroll 8
    for (int64_t i = 0; i < lanes; ++i) v[i] = w[i];
  }
#pragma GCC unroll 8
  for (int64_t i = 0; i < lanes; ++i) *reinterpret_cast<U*>(to + i * to_stride) = v[i];
}

// The sums over the batch of the rows [begin, end).
template <typename S>
static void row_sums(const Blocks<S>& g, S* out, int64_t begin, int64_t end) {
  using L = Lanes<S, VECTOR_BYTES < 32 ? VECTOR_BYTES : 32>;
  for (int64_t row = begin; row < end; ++row) {
    typename L::vector sum{};
    typename L::T total = 0;
    for (int64_t block = 0; block < g.n_blocks(); ++block) {
      const S* values = g.start(block) + row * g.stride(block);
      for (int64_t at = 0; at < g.width(block); at += L::count) sum += L::load(values + at);
    }
    for (int64_t k = 0; k < L::count; ++k) total += sum[k];
    out[row] = S(total);
  }
}

// Features [begin, end) of a feature-major matrix (n, batch) into blocks; what pads the batch is zero.
template <typename S>
static void pack_columns(const S* from, int64_t batch, const Blocks<S>& to, int64_t begin, int64_t end) {
  struct Chunk {
    S values[32 / sizeof(typename Compute<S>::type)];
  };
  constexpr int64_t lanes = sizeof(Chunk) / sizeof(S);
  for (int64_t block = 0; block < to.n_blocks(); ++block) {
    const int64_t done = block * to.size, width = to.width(block);
    const int64_t whole = (batch - done < width ? batch - done : width) / lanes * lanes;
    for (int64_t i = begin; i < end; ++i) {
      const S* source = from + i * batch + done;
      S* target = to.start(block) + i * width;
      for (int64_t b = 0; b < whole; b += lanes)
        *reinterpret_cast<Chunk*>(target + b) = *reinterpret_cast<const Chunk*>(source + b);
      for (int64_t b = whole; b < width; ++b) target[b] = done + b < batch ? source[b] : S(0);
    }
  }
}

// Features [begin, end) of row-major activations (batch, n) into blocks; what pads the batch is zero.
template <typename S>
static void pack_rows(const S* from, int64_t batch, const Blocks<S>& to, int64_t begin, int64_t end) {
  constexpr int64_t bytes = VECTOR_BYTES < 32 ? VECTOR_BYTES : 32;
  constexpr int64_t lanes = sizeof(S) == 2 ? 8 : bytes / sizeof(S);
  constexpr int64_t line = 64 / sizeof(S);
  for (int64_t block = 0; block < to.n_blocks(); ++block) {
    const int64_t width = to.width(block), stride = to.stride(block), done = block * to.size;
    const int64_t filled = batch - done < width ? batch - done : width;
    const S* source = from + done * to.n;
    S* target = to.start(block);
    for (int64_t i = begin; i < end; i += line) {
      const int64_t stop = i + line < end ? i + line : end;
      int64_t b = 0;
      if (stop == i + line)
        for (; b + lanes <= filled; b += lanes)
          for (int64_t k = i; k < stop; k += lanes)
            transpose_square<S, lanes>(source + b * to.n + k, to.n, target + k * stride + b, stride);
      for (int64_t k = i; k < stop; ++k)
        for (int64_t rest = b; rest < width; ++rest)
          target[k * stride + rest] = rest < filled ? source[rest * to.n + k] : S(0);
    }
  }
}

// Packed values, from values[first] on, to the places of their bits, eight at a time: to[i] for i < n, zero where no bit
// is set. Stops where eight values or places might not be left; `first` and `done` say where that is.
static inline void expand([[maybe_unused]] const float* values, [[maybe_unused]] int64_t n_values,
                          [[maybe_unused]] const uint8_t* mask, [[maybe_unused]] int64_t n, [[maybe_unused]] float* to,
                          [[maybe_unused]] int64_t& first, [[maybe_unused]] int64_t& done) {
#if VECTOR_BYTES >= 32
  int64_t e = first, i = 0;
  for (; i + 8 <= n && e + 8 <= n_values; i += 8) {
    const auto& value_of_bit = kLookup.value_of_bit[mask[i / 8]];
    const __m256i from = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(value_of_bit)));
    const __m256 moved = _mm256_permutevar8x32_ps(_mm256_loadu_ps(values + e), from);
    _mm256_storeu_ps(to + i, _mm256_andnot_ps(_mm256_castsi256_ps(_mm256_srai_epi32(from, 31)), moved));
    e += kLookup.count[mask[i / 8]];
  }
  first = e;
  done = i;
#endif
}

// The other way round: the places of the bits, packed from values[first] on; nothing is written at n_values or behind.
static inline void compress([[maybe_unused]] const float* from, [[maybe_unused]] int64_t n,
                            [[maybe_unused]] const uint8_t* mask, [[maybe_unused]] int64_t n_values,
                            [[maybe_unused]] float* values, [[maybe_unused]] int64_t& first) {
#if VECTOR_BYTES >= 32
  int64_t e = first;
  for (int64_t i = 0; i + 8 <= n && e + 8 <= n_values; i += 8) {
    const auto& bit_of_value = kLookup.bit_of_value[mask[i / 8]];
    const __m256i bits = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bit_of_value)));
    _mm256_storeu_ps(values + e, _mm256_permutevar8x32_ps(_mm256_loadu_ps(from + i), bits));
    e += kLookup.count[mask[i / 8]];
  }
  first = e;
#endif
}

// Mixes the n words at `bytes`, as many as fill the hashes at a time; returns how many words that were.
static inline int64_t mix(const char* bytes, int64_t n, uint32_t (&hash)[kHashes]) {
  uint32_t mixed[kHashes];
  std::copy_n(hash, kHashes, mixed);
  int64_t i = 0;
  for (; i + kHashes <= n; i += kHashes)
    for (int64_t k = 0; k < kHashes; ++k) {
      uint32_t word;
      std::memcpy(&word, bytes + 4 * (i + k), 4);
      mixed[k] = (mixed[k] ^ word) * 0x9E3779B1u;
      mixed[k] ^= mixed[k] >> 15;  // high bits must reach the low ones, or two changes of sign cancel
    }
  std::copy_n(mixed, kHashes, hash);
  return i;
}
