# Sourced by the scripts beside it; the sourcing script's name prefixes every line it prints.
rave_cache=${RAVE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rave}
script_name=$(basename "$0" .sh)

say() { printf '%s: %s\n' "$script_name" "$*"; }
die() { printf '%s: %s\n' "$script_name" "$*" >&2; exit 1; }
