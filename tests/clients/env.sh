# Paths of the files installed by `tests/setup`; sourced by the scripts of the client suites and of `tests/stores`.

tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${FIRN_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/firn/tests}
venv=$cache/venv

# Prints a hash of all inputs of `tests/setup`; if it changes, `tests/setup` has to run again.
setup_key() {
  (cd "$tests" && find setup clients/requirements.txt clients/constraints.txt clients/javascript/package*.json \
    stores/javascript/package*.json rck/pom.xml rck/src -type f -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
}

require_setup() {
  if [[ "$(cat "$cache/stamp" 2>/dev/null)" != "$(setup_key)" ]]; then
    echo "${0##*/}: run tests/setup first" >&2
    exit 1
  fi
}
