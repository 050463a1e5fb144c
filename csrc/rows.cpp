// Sparse matrices for the metrics, which know no torch: plain C functions, with threads of their own. Sums over rows,
// y = M x in double precision: every row is summed by one thread in one order, so no bits depend on their number. And
// connected components.

#include <algorithm>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace {

struct Matrix {
  const int64_t* starts;   // (n_rows + 1,)
  const int32_t* indices;  // (n_edges,)
  const double* values;    // (n_edges,), or null where all are 1
};

template <bool weighted>
void sum(const Matrix& m, const double* x, double* y, int64_t from, int64_t to) {
  auto term = [&](int64_t e) { return weighted ? m.values[e] * x[m.indices[e]] : x[m.indices[e]]; };
  for (int64_t row = from; row < to; ++row) {
    const int64_t end = m.starts[row + 1];
    int64_t e = m.starts[row];
    double a = 0, b = 0, c = 0, d = 0;
    for (; e + 4 <= end; e += 4) {
      a += term(e);
      b += term(e + 1);
      c += term(e + 2);
      d += term(e + 3);
    }
    for (; e < end; ++e) a += term(e);
    y[row] = (a + b) + (c + d);
  }
}

// The root of a vertex; on the way every other vertex is hung one step higher.
int32_t find(int32_t* parent, int32_t v) {
  while (parent[v] != v) v = parent[v] = parent[parent[v]];
  return v;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void prewired_sum_rows(
    const int64_t* starts, const int32_t* indices, const double* values, const double* x, double* y, int64_t n_rows,
    int64_t n_threads) {
  const Matrix m{starts, indices, values};
  const auto part = values ? sum<true> : sum<false>;
  const int64_t n_edges = starts[n_rows];
  std::vector<std::thread> others;
  int64_t from = 0;
  for (int64_t k = 1; k < n_threads; ++k) {
    const int64_t to = std::lower_bound(starts, starts + n_rows, n_edges / n_threads * k) - starts;
    try {
      others.emplace_back(part, m, x, y, from, to);
    } catch (const std::system_error&) {  // no more threads to be had: the rest is done here
      break;
    }
    from = to;
  }
  part(m, x, y, from, n_rows);
  for (auto& other : others) other.join();
}

// Labels the n_columns columns and then the n_rows rows by connected component, numbered as they first occur; returns how
// many there are. The smaller root becomes the parent, so that roots occur before what hangs on them.
extern "C" __attribute__((visibility("default"))) int64_t prewired_components(
    const int64_t* starts, const int32_t* indices, int32_t* labels, int64_t n_rows, int64_t n_columns) {
  const int64_t n = n_columns + n_rows;
  for (int64_t v = 0; v < n; ++v) labels[v] = static_cast<int32_t>(v);
  for (int64_t row = 0; row < n_rows; ++row) {
    int32_t root = find(labels, static_cast<int32_t>(n_columns + row));
    for (int64_t e = starts[row]; e < starts[row + 1]; ++e) {
      const int32_t other = find(labels, indices[e]);
      if (other == root) continue;
      labels[std::max(root, other)] = std::min(root, other);
      root = std::min(root, other);
    }
  }
  int32_t count = 0;
  for (int64_t v = 0; v < n; ++v) labels[v] = labels[v] == v ? count++ : labels[labels[v]];
  return count;
}
