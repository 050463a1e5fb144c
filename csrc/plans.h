// Plans: the checked index arrays of layers, in memory that only this library can reach. src/prewired/ops/plan_arrays.py
// defines the arrays. A plan is checked once, when it is stored; the loops then read it without another check, since
// nothing outside can change it. Python knows a plan by its number, which depends on the arrays alone.

// An array in memory of its own, aligned to cache lines; large arrays ask for huge pages.
template <typename T>
class Array {
 public:
  Array() = default;
  explicit Array(int64_t size) : size_(size) {
    if (size > 0) data_.reset(static_cast<T*>(std::aligned_alloc(64, (size * sizeof(T) + 63) / 64 * 64)));
    STD_TORCH_CHECK(size == 0 || data_, "plan: expected memory for ", size, " indices, got none; free some");
    in_huge_pages(data_.get(), n_bytes());
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  int64_t size() const { return size_; }
  int64_t n_bytes() const { return size_ * int64_t(sizeof(T)); }
  T operator[](int64_t k) const { return data_.get()[k]; }

 private:
  struct Free {
    void operator()(T* data) const { std::free(data); }
  };
  std::unique_ptr<T[], Free> data_;
  int64_t size_ = 0;
};

struct Plan {
  int64_t n_in, n_rows, n_edges, n_panels;
  Array<int64_t> starts;
  Array<int32_t> indices, rows, groups;
  Array<uint8_t> mask;
  Array<int64_t> starts_by_input;  // empty together with the next two: the plan serves the forward pass alone
  Array<int32_t> indices_by_input, by_input, rows_by_input;

  const int64_t* first(int64_t panel) const { return starts.data() + panel * n_rows; }
  const int64_t* last(int64_t panel) const { return n_panels == 1 ? starts.data() + 1 : first(panel + 1); }
  bool has_backward() const { return starts_by_input.size() > 0; }
};

// The lists that make up a plan, in the order of PlanArrays: those of the forward pass, the mask, all.
constexpr size_t kForwardLists = 4, kWithMask = 5, kLists = 9;

// Refuses a tensor whose memory was freed or made smaller after the tensor was created.
void check_storage(const Tensor& t, const char* name) {
  int64_t bytes;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_storage_size(t.get(), &bytes));
  STD_TORCH_CHECK(t.numel() == 0 || (t.storage_offset() + t.numel()) * int64_t(t.element_size()) <= bytes, name,
                  ": expected a tensor with its memory, got one whose memory was freed; keep the storage");
}

// Checks types and shapes of lists, but no numbers in them.
void check_lists(const std::vector<Tensor>& lists) {
  constexpr struct {
    const char* name;
    ScalarType dtype;
    const char* description;
  } kExpected[kLists] = {
      {"starts", ScalarType::Long, "int64"},           {"indices", ScalarType::Int, "int32"},
      {"rows", ScalarType::Int, "int32"},              {"groups", ScalarType::Int, "int32"},
      {"mask", ScalarType::Byte, "uint8"},             {"starts_by_input", ScalarType::Long, "int64"},
      {"indices_by_input", ScalarType::Int, "int32"},  {"by_input", ScalarType::Int, "int32"},
      {"rows_by_input", ScalarType::Int, "int32"},
  };
  STD_TORCH_CHECK(lists.size() == kForwardLists || lists.size() == kWithMask || lists.size() == kLists,
                  "plan: expected 4, 5 or 9 lists, got ", lists.size());
  for (size_t k = 0; k < lists.size(); ++k) {
    const Tensor& t = lists[k];
    STD_TORCH_CHECK(t.is_cpu() && t.is_contiguous() && t.scalar_type() == kExpected[k].dtype && (t.dim() == 1 || k == 0),
                    kExpected[k].name, ": expected a contiguous one-dimensional CPU tensor of ", kExpected[k].description);
    check_storage(t, kExpected[k].name);
  }
  const Tensor& starts = lists[0];
  STD_TORCH_CHECK((starts.dim() == 1 && starts.size(0) >= 2) ||
                      (starts.dim() == 2 && starts.size(0) >= 3 && starts.size(1) >= 1),
                  "starts: expected (n_rows + 1,) or (n_panels + 1, n_rows)");
}

template <typename T>
Array<T> copy_list(const Tensor& t) {
  Array<T> copy(t.numel());
  if (copy.size() > 0) std::memcpy(copy.data(), t.const_data_ptr(), copy.n_bytes());
  return copy;
}

// Starts must rise from 0 to the number of edges, and panel p of a row must end where panel p + 1 starts.
void check_starts(const Plan& p) {
  const int64_t n = p.starts.size();
  bool rises = p.starts[0] == 0 && p.starts[n - 1] == p.n_edges;
  for (int64_t row = 0; row < p.n_rows; ++row) {
    for (int64_t panel = 0; panel < p.n_panels; ++panel) rises &= p.first(panel)[row] <= p.last(panel)[row];
    if (row + 1 < p.n_rows) rises &= p.first(0)[row + 1] == p.last(p.n_panels - 1)[row];
  }
  STD_TORCH_CHECK(rises, "starts: expected numbers that rise from 0 to ", p.n_edges, ", the number of indices");
}

// The inputs of a row must rise: a row reads an input once, and a row whose first and last inputs are as far apart as its
// edges reads neighbours.
void check_indices(const Plan& p) {
  const int64_t* end = p.last(p.n_panels - 1);
  for (int64_t row = 0; row < p.n_rows; ++row)
    for (int64_t e = p.first(0)[row], before = -1; e < end[row]; before = p.indices[e++])
      STD_TORCH_CHECK(before < p.indices[e] && p.indices[e] < p.n_in, "indices: expected inputs of a row that rise from 0 "
                      "to ", p.n_in - 1, " at most, got ", p.indices[e], " behind ", before, " in row ", row);
}

void check_permutation(const Array<int32_t>& order, int64_t n, const char* name) {
  if (order.size() == 0) return;
  std::vector<bool> seen(n);
  bool is_permutation = order.size() == n;
  for (int64_t k = 0; is_permutation && k < n; ++k) {
    is_permutation = order[k] >= 0 && order[k] < n && !seen[order[k]];
    if (is_permutation) seen[order[k]] = true;
  }
  STD_TORCH_CHECK(is_permutation, name, ": expected each number below ", n, " once");
}

// The rows of a group must read the same inputs, panel by panel.
void check_groups(const Plan& p) {
  const int64_t n = p.groups.size();
  if (n == 0) return;
  bool fits = n >= 2 && p.rows.size() > 0 && p.groups[0] == 0 && p.groups[n - 1] == p.n_rows;
  for (int64_t k = 0; fits && k + 1 < n; ++k) fits = p.groups[k] < p.groups[k + 1];
  for (int64_t k = 0; fits && k + 1 < n; ++k)
    for (int64_t at = p.groups[k] + 1; fits && at < p.groups[k + 1]; ++at) {
      const int64_t a = p.rows[at - 1], b = p.rows[at];
      for (int64_t panel = 0; panel < p.n_panels; ++panel) {
        const int64_t *first = p.first(panel), *last = p.last(panel);
        fits &= last[a] - first[a] == last[b] - first[b] &&
                std::equal(p.indices.data() + first[a], p.indices.data() + last[a], p.indices.data() + first[b]);
      }
    }
  STD_TORCH_CHECK(fits, "groups: expected groups of rows that read the same inputs");
}

// The edges by input must be the edges by output in another order.
void check_by_input(const Plan& p) {
  const int64_t n = p.starts_by_input.size();
  bool fits = n == p.n_in + 1 && p.indices_by_input.size() == p.n_edges && p.by_input.size() == p.n_edges &&
              p.starts_by_input[0] == 0 && p.starts_by_input[n - 1] == p.n_edges;
  for (int64_t i = 0; fits && i < p.n_in; ++i) fits = p.starts_by_input[i] <= p.starts_by_input[i + 1];
  const int64_t *first = p.first(0), *last = p.last(p.n_panels - 1);
  for (int64_t i = 0; fits && i < p.n_in; ++i)
    for (int64_t q = p.starts_by_input[i], before = -1; fits && q < p.starts_by_input[i + 1]; before = p.by_input[q++]) {
      const int64_t e = p.by_input[q], row = p.indices_by_input[q];
      fits = before < e && e < p.n_edges && p.indices[e] == i && row >= 0 && row < p.n_rows && first[row] <= e &&
             e < last[row];
    }
  STD_TORCH_CHECK(fits, "by_input: expected the edges in the order of their inputs");
}

// A row of the mask has a bit for every input, in whole bytes; no mask: no elements.
void check_mask(const Plan& p) {
  if (p.mask.size() == 0) return;
  const int64_t width = (p.n_in + 7) / 8;
  bool fits = p.mask.size() == p.n_rows * width;
  std::vector<uint8_t> bits(width);
  for (int64_t row = 0; fits && row < p.n_rows; ++row) {
    std::fill(bits.begin(), bits.end(), 0);
    for (int64_t e = p.first(0)[row]; e < p.last(p.n_panels - 1)[row]; ++e) bits[p.indices[e] / 8] |= 1 << p.indices[e] % 8;
    fits = std::memcmp(bits.data(), p.mask.data() + row * width, width) == 0;
  }
  STD_TORCH_CHECK(fits, "mask: expected a bit for each edge of each row");
}

// Copies lists of the right types and shapes, and checks the numbers in the copies.
std::shared_ptr<const Plan> checked_plan(int64_t n_in, const std::vector<Tensor>& lists) {
  STD_TORCH_CHECK(n_in >= 1 && n_in <= INT32_MAX, "n_in: expected a number of inputs from 1 to 2**31 - 1, got ", n_in);
  const Tensor& starts = lists[0];
  auto p = std::make_shared<Plan>();
  p->n_in = n_in;
  p->n_panels = starts.dim() == 1 ? 1 : starts.size(0) - 1;
  p->n_rows = starts.dim() == 1 ? starts.size(0) - 1 : starts.size(1);
  p->n_edges = lists[1].numel();
  STD_TORCH_CHECK(p->n_rows <= INT32_MAX && p->n_edges <= INT32_MAX, "plan: expected fewer than 2**31 rows and edges");
  p->starts = copy_list<int64_t>(starts);
  p->indices = copy_list<int32_t>(lists[1]);
  p->rows = copy_list<int32_t>(lists[2]);
  p->groups = copy_list<int32_t>(lists[3]);
  check_starts(*p);
  check_indices(*p);
  check_permutation(p->rows, p->n_rows, "rows");
  check_groups(*p);
  if (lists.size() == kForwardLists) return p;
  p->mask = copy_list<uint8_t>(lists[4]);
  check_mask(*p);
  if (lists.size() == kWithMask) return p;
  p->starts_by_input = copy_list<int64_t>(lists[5]);
  p->indices_by_input = copy_list<int32_t>(lists[6]);
  p->by_input = copy_list<int32_t>(lists[7]);
  p->rows_by_input = copy_list<int32_t>(lists[8]);
  check_by_input(*p);
  check_permutation(p->rows_by_input, n_in, "rows_by_input");
  return p;
}

template <typename T>
bool equals(const Array<T>& own, const Tensor& t) {
  return own.size() == t.numel() && (own.size() == 0 || std::memcmp(own.data(), t.const_data_ptr(), own.n_bytes()) == 0);
}

// Whether a plan was checked from these very lists.
bool equals(const Plan& p, int64_t n_in, const std::vector<Tensor>& lists) {
  const int64_t n_panels = lists[0].dim() == 1 ? 1 : lists[0].size(0) - 1;
  return p.n_in == n_in && p.n_panels == n_panels && p.has_backward() == (lists.size() == kLists) &&
         equals(p.starts, lists[0]) && equals(p.indices, lists[1]) && equals(p.rows, lists[2]) && equals(p.groups, lists[3]) &&
         (lists.size() < kWithMask || equals(p.mask, lists[4])) &&
         (lists.size() < kLists || (equals(p.starts_by_input, lists[5]) && equals(p.indices_by_input, lists[6]) &&
                                    equals(p.by_input, lists[7]) && equals(p.rows_by_input, lists[8])));
}

struct StoredPlan {
  std::shared_ptr<const Plan> plan;
  int64_t users;
};

std::mutex plans_mutex;
std::unordered_map<int64_t, StoredPlan> plans;  // by number

// A number that depends on the lists alone, so that a compiled graph, which holds numbers, fits another process too.
int64_t number_of(int64_t n_in, const std::vector<Tensor>& lists) {
  uint64_t number = uint64_t(n_in) * 0x9E3779B97F4A7C15u;
  for (const Tensor& list : lists) {
    number = (number ^ uint64_t(fingerprint(list)) ^ list.numel()) * 0x9E3779B97F4A7C15u;
    number ^= number >> 29;
  }
  return int64_t(number >> 1);
}

// Checks and stores a plan, and returns its number; equal plans are stored once.
int64_t store_plan(int64_t n_in, std::vector<Tensor> lists) {
  check_lists(lists);
  const int64_t number = number_of(n_in, lists);
  std::unique_lock lock(plans_mutex);
  if (const auto found = plans.find(number); found != plans.end()) {
    STD_TORCH_CHECK(equals(*found->second.plan, n_in, lists), "plan: expected a number of its own, got the number of another "
                    "wiring; draw the topology with another seed");
    ++found->second.users;
    return number;
  }
  lock.unlock();
  auto plan = checked_plan(n_in, lists);
  lock.lock();
  auto& stored = plans[number];
  if (!stored.plan) stored.plan = std::move(plan);
  ++stored.users;
  return number;
}

// Forgets a plan when the last user has released it.
void release_plan(int64_t number) {
  const std::lock_guard lock(plans_mutex);
  const auto found = plans.find(number);
  if (found != plans.end() && --found->second.users == 0) plans.erase(found);
}

typedef std::vector<std::shared_ptr<const Plan>> Chain;

// The plans with these numbers, each fitting the plan before.
Chain plans_of(const std::vector<int64_t>& numbers, int64_t n_in) {
  STD_TORCH_CHECK(!numbers.empty(), "plans: expected the number of a plan for each layer, got none");
  Chain chain;
  const std::lock_guard lock(plans_mutex);
  for (const int64_t number : numbers) {
    const auto found = plans.find(number);
    STD_TORCH_CHECK(found != plans.end(), "plans: expected the number of a stored plan, got ", number,
                    "; call the layer, not the operator");
    STD_TORCH_CHECK(n_in < 0 || found->second.plan->n_in == n_in, "plans: expected a layer with ", n_in,
                    " inputs, got one with ", found->second.plan->n_in);
    chain.push_back(found->second.plan);
    n_in = chain.back()->n_rows;
  }
  return chain;
}

// n_in, n_out, the number of edges, and the bytes of a plan.
std::vector<int64_t> plan_sizes(int64_t number) {
  const auto p = plans_of({number}, -1)[0];
  const int64_t bytes = p->starts.n_bytes() + p->indices.n_bytes() + p->rows.n_bytes() + p->groups.n_bytes() +
                        p->starts_by_input.n_bytes() + p->indices_by_input.n_bytes() + p->by_input.n_bytes() +
                        p->rows_by_input.n_bytes() + p->mask.n_bytes();
  return {p->n_in, p->n_rows, p->n_edges, bytes};
}

// The plan of a program's own index tensors. Each call compares them with the copy that was checked at the first call,
// since the tensors can change; the loops read the copy.
std::shared_ptr<const Plan> plan_of_lists(int64_t n_in, const std::vector<Tensor>& lists) {
  constexpr size_t kMostRemembered = 256;
  static std::mutex mutex;
  static std::unordered_map<const void*, std::shared_ptr<const Plan>> remembered;  // by the address of the starts
  check_lists(lists);
  const void* address = lists[0].const_data_ptr();
  std::shared_ptr<const Plan> plan;
  {
    const std::lock_guard lock(mutex);
    if (const auto found = remembered.find(address); found != remembered.end()) plan = found->second;
  }
  if (plan && equals(*plan, n_in, lists)) return plan;
  plan = checked_plan(n_in, lists);
  const std::lock_guard lock(mutex);
  if (remembered.size() >= kMostRemembered) remembered.clear();
  remembered[address] = plan;
  return plan;
}
