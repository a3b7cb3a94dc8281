#!/usr/bin/env bash
# Tests and measures on the machine's first NVIDIA GPU; scripts/gpu_bundle.sh packs this with what it runs. Full logs go to
# $OUT (./out); a short table comes last. Exits 1 if anything failed.
#
# usage: gpu-test [tests] [sanitizer] [speed]      all three without an argument
set -uo pipefail
cd "$(dirname "$0")" || exit
out=${OUT:-$PWD/out}; mkdir -p "$out"
export RAVE_REQUIRE_GPU=1 ORT_DISABLE_TELEMETRY=1
[ $# -gt 0 ] || set -- tests sanitizer speed

table=() failed=0
# step NAME COMMAND... runs a command, with its output in a log, and notes how it went.
step() {
  local name=$1 log began=$SECONDS result=ok
  shift
  log=$out/$(tr -c 'a-z0-9\n' - <<<"$name").log
  timeout "${LIMIT:-150}" "$@" >"$log" 2>&1 || { result=FAILED; failed=1; tail -n 25 "$log"; }
  table+=("$(printf '%-34s %-7s %4d s  %s' "$name" "$result" $((SECONDS - began)) "$(summary "$log")")")
}
summary() {
  if grep -q 'ERROR SUMMARY\|RACECHECK SUMMARY' "$1"; then
    grep -h 'ERROR SUMMARY\|RACECHECK SUMMARY' "$1" | sed 's/=* //' | tail -n 1
  else
    printf '%s passed, %s failed, %s skipped' "$(grep -c '^ *--- PASS' "$1")" "$(grep -c '^ *--- FAIL' "$1")" "$(grep -c '^ *--- SKIP' "$1")"
  fi
}

nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem,power.draw --format=csv,noheader
for what in "$@"; do
  case $what in
  tests)
    for binary in tests/*.test; do
      step "tests $(basename "$binary" .test)" "$binary" -test.v
    done ;;
  sanitizer)
    sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
    for tool in memcheck racecheck; do
      # Asking for a kernel's parameters ends with an error of the API, as it must.
      step "$tool kernels" "$sanitizer" --tool "$tool" --report-api-errors no --error-exitcode 1 tests/kernels.test -test.v \
        -test.run '^Test(Input|OutputRGB|OutputLuma|Resize|Deinterlace|Mix|Copy)$'
    done ;;
  speed)
    RAVE_SPEED=1 step "speed kernels" tests/kernels.test -test.run '^TestSpeed$' -test.v
    grep '^|' "$out/speed-kernels.log" ;;
  *) echo "gpu-test: $what is neither tests, sanitizer nor speed" >&2; exit 2 ;;
  esac
done
echo
printf '%s\n' "${table[@]}"
exit $failed
