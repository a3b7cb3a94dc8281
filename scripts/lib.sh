# shellcheck shell=bash disable=SC2034
# Sourced by the scripts beside it; the sourcing script's name prefixes every line it prints.
rave_cache=${RAVE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rave}
script_name=$(basename "$0" .sh)

say() { printf '%s: %s\n' "$script_name" "$*"; }
die() { printf '%s: %s\n' "$script_name" "$*" >&2; exit 1; }

# progress WHAT TOTAL PATTERN reads lines, counts those that match and prints a line per 10 %.
# (Not awk: Debian's mawk holds back its input.)
progress() {
  local what=$1 total=$2 pattern=$3 n=0 last=0 line
  while IFS= read -r line; do
    [[ $line =~ $pattern ]] || continue
    n=$((n + 1))
    if [ "$total" = 0 ] || [ $((10 * n / total)) = $last ] || [ $n -gt "$total" ]; then continue; fi
    last=$((10 * n / total))
    say "$n of $total $what ($((100 * n / total)) %)"
  done
}

# fetch_wheel DIRECTORY NAME VERSION SHA256 PYTHON unpacks a wheel for x86-64 Linux into DIRECTORY, by pip from whatever
# index the machine is set up for. pip checks the hash. Nothing of the wheel is run.
fetch_wheel() {
  local directory=$1 name=$2 version=$3 sha256=$4 python=$5 work
  python3 -m pip --version >/dev/null 2>&1 || die "python3 with pip is missing: install Debian's python3-pip"
  mkdir -p "$(dirname "$directory")"
  work=$(mktemp -d "$directory.XXXXXX")
  printf '%s==%s --hash=sha256:%s\n' "$name" "$version" "$sha256" >"$work/requirements.txt"
  say "downloading $name $version from the Python package index"
  python3 -m pip download --quiet --no-deps --require-hashes --only-binary=:all: --implementation cp --python-version "$python" \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux2014_x86_64 --dest "$work" -r "$work/requirements.txt" || { rm -rf "$work"; die "cannot download $name $version; pip says why above"; }
  python3 -m zipfile -e "$work"/*.whl "$work/wheel"
  mv -T "$work/wheel" "$directory" 2>/dev/null || [ -e "$directory" ] # another run may have been first
  rm -rf "$work"
}
