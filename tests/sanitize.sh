#!/usr/bin/env bash
# Compiles the kernels and the row sums with AddressSanitizer and UBSan, and runs the kernel battery, the hostile calls and
# the tests of the row sums on them. Stops at the first read or write outside of the memory. Needs g++ with libasan.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r src/prewired "$copy/"
find "$copy" -name '*.so' -delete
flags="-O1 -g -std=c++20 -fPIC -shared -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
torch=$("$python" -c 'import torch, pathlib; print(pathlib.Path(torch.__file__).parent)')
echo "sanitize: compiling (2 minutes)"
g++ $flags -DTORCH_TARGET_VERSION=0x020a000000000000 -isystem "$torch/include" csrc/kernels.cpp -L "$torch/lib" -ltorch_cpu \
  -o "$copy/prewired/ops/_kernels.abi3.so"
g++ $flags -pthread csrc/rows.cpp -o "$copy/prewired/metrics/_internal/_rows.abi3.so"
export LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libubsan.so)"
# Python and torch keep memory until the process ends, so leaks say nothing; large requests must fail as they do elsewhere.
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1
export PYTHONPATH="$copy" OMP_NUM_THREADS=2
"$python" -c 'import sys, prewired; sys.exit(prewired.__file__ != f"{sys.argv[1]}/prewired/__init__.py")' "$copy"
for isa in ${ISAS:-baseline avx2 avx512}; do
  if ! PREWIRED_ISA=$isa "$python" -c 'import prewired.ops.kernels' 2>/dev/null; then
    echo "sanitize: this processor has no $isa"
    continue
  fi
  echo "sanitize: $isa"
  PREWIRED_ISA=$isa "$python" tests/ops/hostile_calls.py 2> "$copy/last" || { tail -n 60 "$copy/last"; exit 1; }
  PREWIRED_ISA=$isa "$python" -m pytest -q -p no:cacheprovider tests/ops/test_kernels.py -m "" \
    -k "(battery or matrix or threads or fingerprints) and not reference and not another"
done
"$python" -m pytest -q -p no:cacheprovider tests/metrics/test_bounds.py -k "rows or library or long"
