// The inner loops, written once in GCC vector types and compiled once for each instruction set: kernels.cpp includes
// this file several times, each time inside another namespace, with another VECTOR_BYTES and another target.
//
// Activations are feature-major: row i of x is feature i, `batch` contiguous values. Every function works on a range of
// output rows [begin, end), so no two threads write the same value and the result does not depend on how many threads
// there are. From the outside in, the loops are: blocks of 512 bytes of the batch; panels of features that stay in the L1
// cache for such a block; rows; tiles of the block that stay in registers; edges.

template <typename T, int bytes = VECTOR_BYTES>
struct Lanes {
  static constexpr int64_t count = bytes / sizeof(T);
  typedef T vector __attribute__((vector_size(bytes)));
  typedef T unaligned __attribute__((vector_size(bytes), aligned(alignof(T)), may_alias));

  static inline vector load(const T* from) { return *reinterpret_cast<const unaligned*>(from); }
  static inline void store(T* to, vector v) { *reinterpret_cast<unaligned*>(to) = v; }
};

// Interleaves the low (first) or the high halves of a and b: the step from which a transposition is made.
template <typename T, int64_t offset, size_t... I>
static inline typename Lanes<T>::vector interleave(typename Lanes<T>::vector a, typename Lanes<T>::vector b,
                                                   std::index_sequence<I...>) {
  constexpr int64_t lanes = Lanes<T>::count;
  return __builtin_shufflevector(a, b, int(offset + I / 2 + (I % 2 ? lanes : 0))...);
}

// The edges of a row inside one panel, and where the values they read start.
template <typename T>
struct Segment {
  int64_t begin, end;
  const T* x;
};

// y = start + sum_e values[e] * x[indices[e]] for one tile of N vectors of the batch; start is *bias, or 0, or y itself.
template <typename T, int N, int bytes = VECTOR_BYTES>
static inline __attribute__((always_inline)) void spmm_tile(const Spmm<T>& a, Segment<T> s, int64_t at, const T* bias, bool again, T* y) {
  using L = Lanes<T, bytes>;
  typename L::vector sum[N];
  const T* x = s.x + at;
  const T start = bias ? *bias : T(0);
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) sum[k] = again ? L::load(y + at + k * L::count) : start - typename L::vector{};
  for (int64_t e = s.begin; e < s.end; ++e) {
    const T w = a.values[e];
    const T* source = x + a.indices[e] * a.x_stride;
    asm("" : "+r"(source));
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) sum[k] += w * L::load(source + k * L::count);
  }
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) L::store(y + at + k * L::count, sum[k]);
}

// The same for the last N values of a block, fewer than the smallest vector holds.
template <typename T, int N>
static inline __attribute__((always_inline)) void spmm_rest(const Spmm<T>& a, Segment<T> s, int64_t at, const T* bias,
                                                            bool again, T* y) {
  T sum[N];
  const T* x = s.x + at;
#pragma GCC unroll 4
  for (int k = 0; k < N; ++k) sum[k] = again ? y[at + k] : bias ? *bias : T(0);
  for (int64_t e = s.begin; e < s.end; ++e) {
    const T w = a.values[e];
    const T* source = x + a.indices[e] * a.x_stride;
#pragma GCC unroll 4
    for (int k = 0; k < N; ++k) sum[k] += w * source[k];
  }
#pragma GCC unroll 4
  for (int k = 0; k < N; ++k) y[at + k] = sum[k];
}

template <typename T>
static void spmm(const Spmm<T>& a, int64_t begin, int64_t end) {
  constexpr int64_t lanes = Lanes<T>::count, block = kBlockBytes / sizeof(T);
  for (int64_t first = 0; first < a.batch; first += block) {
    const int64_t width = a.batch - first < block ? a.batch - first : block;
    for (int64_t panel = 0; panel < a.n_panels; ++panel)
      for (int64_t row = begin; row < end; ++row) {
        const Segment<T> s{a.first[panel * a.n_rows + row], a.last[panel * a.n_rows + row],
                           a.x + first / block * a.x_block};
        const bool again = panel > 0;
        if (again && s.begin == s.end) continue;
        const T* bias = a.bias ? a.bias + row : nullptr;
        T* y = a.y + row * a.batch + first;
        int64_t at = 0;
        for (; at + 8 * lanes <= width; at += 8 * lanes) spmm_tile<T, 8>(a, s, at, bias, again, y);
        if (at + 4 * lanes <= width) spmm_tile<T, 4>(a, s, at, bias, again, y), at += 4 * lanes;
        if (at + 2 * lanes <= width) spmm_tile<T, 2>(a, s, at, bias, again, y), at += 2 * lanes;
        if (at + lanes <= width) spmm_tile<T, 1>(a, s, at, bias, again, y), at += lanes;
        if constexpr (VECTOR_BYTES > 32)
          if (at + Lanes<T, 32>::count <= width) spmm_tile<T, 1, 32>(a, s, at, bias, again, y), at += Lanes<T, 32>::count;
        if constexpr (VECTOR_BYTES > 16)
          if (at + Lanes<T, 16>::count <= width) spmm_tile<T, 1, 16>(a, s, at, bias, again, y), at += Lanes<T, 16>::count;
        if (width - at == 3) spmm_rest<T, 3>(a, s, at, bias, again, y);
        if (width - at == 2) spmm_rest<T, 2>(a, s, at, bias, again, y);
        if (width - at == 1) spmm_rest<T, 1>(a, s, at, bias, again, y);
      }
  }
}

// out[k] += the sum of the lanes of sum[k], for N vectors at once: log2(N) rounds of interleaving and adding leave the
// partial sums of vector k in the lanes k, k + N, k + 2N, ...
template <typename T, int N>
static inline void add_sums(typename Lanes<T>::vector* sum, T* out) {
  using L = Lanes<T>;
  using Sequence = std::make_index_sequence<L::count>;
#pragma GCC unroll 4
  for (int n = N / 2; n > 0; n /= 2)
#pragma GCC unroll 8
    for (int k = 0; k < n; ++k)
      sum[k] = interleave<T, 0>(sum[k], sum[k + n], Sequence{}) +
               interleave<T, L::count / 2>(sum[k], sum[k + n], Sequence{});
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k)
    for (int64_t lane = k; lane < L::count; lane += N) out[k] += sum[0][lane];
}

// out[e .. e + N) += the dot products of g with N rows of x, over `width` values.
template <typename T, int N>
static inline void sddmm_edges(const Sddmm<T>& a, const T* x, const T* g, int64_t e, int64_t width) {
  using L = Lanes<T>;
  const T* row[N];
  typename L::vector sum[N];
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) {
    row[k] = x + a.indices[e + k] * a.x_stride;
    sum[k] = typename L::vector{};
  }
  int64_t b = 0;
  for (; b + L::count <= width; b += L::count) {
    const typename L::vector left = L::load(g + b);
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) sum[k] += left * L::load(row[k] + b);
  }
  for (; b < width; ++b)
    for (int k = 0; k < N; ++k) a.out[e + k] += g[b] * row[k][b];
  add_sums<T, N>(sum, a.out + e);
}

// out[e] = sum over the batch of g[row of e] * x[indices[e]]; out starts at zero.
template <typename T>
static void sddmm(const Sddmm<T>& a, int64_t begin, int64_t end) {
  constexpr int64_t block = kBlockBytes / sizeof(T);
  constexpr int at_once = Lanes<T>::count < 8 ? Lanes<T>::count : 8;
  for (int64_t first = 0; first < a.batch; first += block) {
    const int64_t width = a.batch - first < block ? a.batch - first : block;
    const T* x = a.x + first / block * a.x_block;
    for (int64_t panel = 0; panel < a.n_panels; ++panel)
      for (int64_t row = begin; row < end; ++row) {
        const T* g = a.g + row * a.batch + first;
        int64_t e = a.first[panel * a.n_rows + row];
        const int64_t last = a.last[panel * a.n_rows + row];
        for (; e + at_once <= last; e += at_once) sddmm_edges<T, at_once>(a, x, g, e, width);
        if constexpr (at_once > 4)
          if (e + 4 <= last) sddmm_edges<T, 4>(a, x, g, e, width), e += 4;
        if constexpr (at_once > 2)
          if (e + 2 <= last) sddmm_edges<T, 2>(a, x, g, e, width), e += 2;
        if (e < last) sddmm_edges<T, 1>(a, x, g, e, width);
      }
  }
}

// to = transpose of a square block of lanes x lanes values, in registers (log2(lanes) perfect shuffles).
template <typename T>
static inline void transpose_block(const T* from, int64_t from_stride, T* to, int64_t to_stride) {
  using L = Lanes<T>;
  constexpr int64_t lanes = L::count;
  using Sequence = std::make_index_sequence<lanes>;
  typename L::vector v[lanes], w[lanes];
#pragma GCC unroll 16
  for (int64_t i = 0; i < lanes; ++i) v[i] = L::load(from + i * from_stride);
#pragma GCC unroll 4
  for (int64_t done = 1; done < lanes; done *= 2) {
#pragma GCC unroll 8
    for (int64_t i = 0; i < lanes / 2; ++i) {
      w[2 * i] = interleave<T, 0>(v[i], v[i + lanes / 2], Sequence{});
      w[2 * i + 1] = interleave<T, lanes / 2>(v[i], v[i + lanes / 2], Sequence{});
    }
#pragma GCC unroll 16
    for (int64_t i = 0; i < lanes; ++i) v[i] = w[i];
  }
#pragma GCC unroll 16
  for (int64_t i = 0; i < lanes; ++i) L::store(to + i * to_stride, v[i]);
}

// Rows [begin, end) of to (n_columns, n_rows), the transpose of from (n_rows, n_columns); a cache line of every row of
// `from` at a time, so that none is read twice.
template <typename T>
static void transpose(const Transpose<T>& a, int64_t begin, int64_t end) {
  constexpr int64_t lanes = Lanes<T>::count;
  constexpr int64_t line = 64 / sizeof(T);
  int64_t column = begin;
  for (; column + line <= end; column += line) {
    int64_t row = 0;
    for (; row + lanes <= a.n_rows; row += lanes)
      for (int64_t k = column; k < column + line; k += lanes)
        transpose_block<T>(a.from + row * a.n_columns + k, a.n_columns, a.to + k * a.n_rows + row, a.n_rows);
    for (; row < a.n_rows; ++row)
      for (int64_t k = column; k < column + line; ++k) a.to[k * a.n_rows + row] = a.from[row * a.n_columns + k];
  }
  for (; column < end; ++column)
    for (int64_t row = 0; row < a.n_rows; ++row) a.to[column * a.n_rows + row] = a.from[row * a.n_columns + column];
}
