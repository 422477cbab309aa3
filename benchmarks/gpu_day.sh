#!/usr/bin/env bash
# All that waits for a CUDA GPU, in one go of ten minutes at most and with one table at its end:
#     PLAYGROUND_DATA=… bash benchmarks/gpu_day.sh
# Its whole output is kept in a folder that it names. Exit status: 3 where there is no GPU, 1 where anything failed.
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python}

if ! "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    echo "There is no CUDA GPU here: what benchmarks/gpu_day.sh does waits for a machine that has one." >&2
    exit 3
fi

kept=$(mktemp -d)
rows=()
failures=0

# part TITLE SECONDS LINES COMMAND …: runs it for so long at most; LINES is what of its output goes into the table
part() {
    local title=$1 seconds=$2 lines=$3 began status
    shift 3
    began=$SECONDS
    echo "$title …"
    timeout "$seconds" "$@" >"$kept/$title.txt" 2>&1
    status=$?
    [ "$status" -eq 0 ] || failures=1
    rows+=("| $title | exit $status, $((SECONDS - began)) s |")
    while IFS= read -r line; do
        rows+=("| | $line |")
    done < <(grep -E "$lines" "$kept/$title.txt" | tail -n 12)
}

# 585 s together
part "tests marked cuda" 120 "passed|failed|error|FAILED|ERROR" "$PYTHON" -m pytest -n 0 -m cuda
part "graphs on and off" 135 "mnist" "$PYTHON" -m benchmarks.cuda_graphs --rounds 2
part "time to accuracy" 120 "ours|ratio|validation  " "$PYTHON" -m benchmarks.time_to_accuracy --seeds 3 --notes-seeds 1
part "training speed" 120 "fit|notes|ratio" "$PYTHON" -m benchmarks.training_speed --seeds 1
part "number formats" 90 "bfloat16|float32" "$PYTHON" -m benchmarks.number_formats --presets mnist-cnn-fast --seeds 3 --rounds 3

echo
"$PYTHON" -c 'import torch; print(torch.cuda.get_device_name(), "torch", torch.__version__)'
echo "| what | result |"
echo "| --- | --- |"
printf '%s\n' "${rows[@]}"
echo "Whole output: $kept"
exit "$failures"
