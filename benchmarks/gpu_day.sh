#!/usr/bin/env bash
# All that waits for a CUDA GPU, in one go of ten minutes at most and with one table at its end:
#     PLAYGROUND_DATA=… bash benchmarks/gpu_day.sh
# Its whole output is kept in a folder that it names. Exit status: 3 where there is no GPU, 1 where anything failed.
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python}
export PYTHONUNBUFFERED=1 # what a part had printed is there when its time is over

if ! gpu=$("$PYTHON" -c 'import sys, torch
torch.cuda.is_available() or sys.exit(1)
print(torch.cuda.device_count(), "×", torch.cuda.get_device_name(), "torch", torch.__version__)' 2>/dev/null); then
    echo "There is no CUDA GPU here: what benchmarks/gpu_day.sh does waits for a machine that has one." >&2
    exit 3
fi

kept=$(mktemp -d)
rows=()
failures=0

# part TITLE SECONDS LINES COMMAND …: runs it for so long at most; LINES is what of its output goes into the table, and where it
# fails its last line does as well
part() {
    local title=$1 seconds=$2 lines=$3 began status ended last
    shift 3
    began=$SECONDS
    echo "$title …"
    timeout -k 5 "$seconds" "$@" >"$kept/$title.txt" 2>&1
    status=$?
    case $status in
        0) ended="done" ;;
        124 | 137) ended="failed: more than $seconds s" ;;
        *) ended="failed: exit $status" ;;
    esac
    rows+=("| $title | $ended; $((SECONDS - began)) s |")
    while IFS= read -r line; do
        rows+=("| | $line |")
    done < <(grep -E "$lines" "$kept/$title.txt" | tail -n 20)
    if [ "$status" -ne 0 ]; then
        failures=1
        last="| | $(tail -n 1 "$kept/$title.txt") |"
        [ "${rows[-1]}" = "$last" ] || rows+=("$last")
    fi
}

# 560 s together, and 5 s each for what does not end when it is asked to
part "tests marked cuda" 105 "passed|failed|skipped|error|FAILED|ERROR|SKIPPED" \
    "$PYTHON" -m pytest -n 0 -m cuda $(grep -l 'mark\.cuda$' tests/test_*.py)
part "time to accuracy" 125 "ours|notes|ratio" "$PYTHON" -m benchmarks.time_to_accuracy --only cnn --seeds 5 --notes-seeds 1
part "graphs on and off" 110 "mnist" "$PYTHON" -m benchmarks.cuda_graphs --rounds 2
part "number formats" 95 "bfloat16|float32" \
    "$PYTHON" -m benchmarks.number_formats --presets mnist-cnn-fast mnist-is-8-cnn --seeds 5 --rounds 3
part "training speed" 125 "batch|fit|notes|ratio" "$PYTHON" -m benchmarks.training_speed --seeds 1

echo
echo "$gpu"
echo "| what | result |"
echo "| --- | --- |"
printf '%s\n' "${rows[@]}"
echo "Whole output: $kept"
exit "$failures"
