// The inner loops, written once in GCC vector types and compiled once for each instruction set: kernels.cpp includes
// this file several times, each time inside another namespace, with another VECTOR_BYTES and another target.
//
// Activations are feature-major: row i of x is feature i, `batch` contiguous values. Every function works on a range of
// output rows [begin, end) and on the batch in tiles that stay in registers, so no two threads write the same value
// and the result does not depend on how many threads there are.

template <typename T>
struct Lanes {
  static constexpr int64_t count = VECTOR_BYTES / sizeof(T);
  typedef T vector __attribute__((vector_size(VECTOR_BYTES)));
  typedef T unaligned __attribute__((vector_size(VECTOR_BYTES), aligned(alignof(T)), may_alias));

  static inline vector load(const T* from) { return *reinterpret_cast<const unaligned*>(from); }
  static inline void store(T* to, vector v) { *reinterpret_cast<unaligned*>(to) = v; }
};

// y[row] = bias[row] + sum_e values[e] * x[indices[e]] for one tile of N vectors of the batch.
template <typename T, int N>
static inline void spmm_tile(const Spmm<T>& a, int64_t row, int64_t at) {
  using L = Lanes<T>;
  typename L::vector sum[N];
  const T start = a.bias ? a.bias[row] : T(0);
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) sum[k] = start - typename L::vector{};
  const T* x = a.x + at;
  for (int64_t e = a.indptr[row]; e < a.indptr[row + 1]; ++e) {
    const T w = a.values[a.permutation ? a.permutation[e] : e];
    const T* source = x + a.indices[e] * a.batch;
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) sum[k] += w * L::load(source + k * L::count);
  }
  T* y = a.y + row * a.batch + at;
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) L::store(y + k * L::count, sum[k]);
}

// The same for the last values of the batch, fewer than a vector.
template <typename T>
static inline void spmm_rest(const Spmm<T>& a, int64_t row, int64_t at) {
  constexpr int64_t most = Lanes<T>::count;
  const int64_t width = a.batch - at;
  T sum[most];
  for (int64_t k = 0; k < width; ++k) sum[k] = a.bias ? a.bias[row] : T(0);
  for (int64_t e = a.indptr[row]; e < a.indptr[row + 1]; ++e) {
    const T w = a.values[a.permutation ? a.permutation[e] : e];
    const T* source = a.x + a.indices[e] * a.batch + at;
    for (int64_t k = 0; k < width; ++k) sum[k] += w * source[k];
  }
  for (int64_t k = 0; k < width; ++k) a.y[row * a.batch + at + k] = sum[k];
}

template <typename T>
static void spmm(const Spmm<T>& a, int64_t begin, int64_t end) {
  constexpr int64_t lanes = Lanes<T>::count;
  int64_t at = 0;
  for (; at + 8 * lanes <= a.batch; at += 8 * lanes)
    for (int64_t row = begin; row < end; ++row) spmm_tile<T, 8>(a, row, at);
  for (; at + 4 * lanes <= a.batch; at += 4 * lanes)
    for (int64_t row = begin; row < end; ++row) spmm_tile<T, 4>(a, row, at);
  for (; at + lanes <= a.batch; at += lanes)
    for (int64_t row = begin; row < end; ++row) spmm_tile<T, 1>(a, row, at);
  if (at < a.batch)
    for (int64_t row = begin; row < end; ++row) spmm_rest<T>(a, row, at);
}

template <typename T>
static inline T horizontal_sum(typename Lanes<T>::vector v) {
  T sum = 0;
  for (int64_t k = 0; k < Lanes<T>::count; ++k) sum += v[k];
  return sum;
}

// out[e .. e + N) += the dot products of g with N rows of x, over `width` values from `at` on.
template <typename T, int N>
static inline void sddmm_edges(const Sddmm<T>& a, const T* g, int64_t e, int64_t at, int64_t width) {
  using L = Lanes<T>;
  const T* x[N];
  typename L::vector sum[N];
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) {
    x[k] = a.x + a.indices[e + k] * a.batch + at;
    sum[k] = typename L::vector{};
  }
  int64_t b = 0;
  for (; b + L::count <= width; b += L::count) {
    const typename L::vector left = L::load(g + b);
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) sum[k] += left * L::load(x[k] + b);
  }
#pragma GCC unroll 8
  for (int k = 0; k < N; ++k) {
    T total = horizontal_sum<T>(sum[k]);
    for (int64_t c = b; c < width; ++c) total += g[c] * x[k][c];
    a.out[e + k] += total;
  }
}

// out[e] = sum over the batch of g[row of e] * x[indices[e]]; out starts at zero.
template <typename T>
static void sddmm(const Sddmm<T>& a, int64_t begin, int64_t end) {
  constexpr int64_t tile = 16 * Lanes<T>::count;
  for (int64_t at = 0; at < a.batch; at += tile) {
    const int64_t width = a.batch - at < tile ? a.batch - at : tile;
    for (int64_t row = begin; row < end; ++row) {
      const T* g = a.g + row * a.batch + at;
      int64_t e = a.indptr[row];
      for (; e + 8 <= a.indptr[row + 1]; e += 8) sddmm_edges<T, 8>(a, g, e, at, width);
      for (; e < a.indptr[row + 1]; ++e) sddmm_edges<T, 1>(a, g, e, at, width);
    }
  }
}

// Interleaves the low (first) or the high halves of a and b: the step from which a transposition is made.
template <typename T, int64_t offset, size_t... I>
static inline typename Lanes<T>::vector interleave(typename Lanes<T>::vector a, typename Lanes<T>::vector b,
                                                   std::index_sequence<I...>) {
  constexpr int64_t lanes = Lanes<T>::count;
  return __builtin_shufflevector(a, b, int(offset + I / 2 + (I % 2 ? lanes : 0))...);
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
