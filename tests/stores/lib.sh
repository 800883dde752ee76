# Common part of the start scripts in this folder; sourced by them.
#
# Each script is called without arguments. It starts one server on loopback, with data in a new temporary
# folder, and prints one line of JSON when the server is ready: its `endpoint`, its `folder`, and what else a
# client needs to know. It runs until its standard input ends, which happens when the process that started it
# exits for any reason; then it ends the server and removes the folder. From a terminal, Ctrl-D or Ctrl-C does
# the same.
set -euo pipefail

stores=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$stores/../clients/env.sh"

# Longest time in which a server gets ready, on a heavily loaded machine.
patience_seconds=180

folder=$(mktemp -d "${TMPDIR:-/tmp}/firn-store-XXXXXXXX")
mkdir "$folder/log"

servers=()
# Folders and files that are removed at the end.
remove_at_end=("$folder")

clean_up() {
  trap '' INT TERM HUP
  # The shell would report each process that is killed.
  exec 2>/dev/null
  # Nothing needs to be written: the data is removed.
  if ((${#servers[@]})); then
    kill -KILL "${servers[@]}" || true
    wait || true
  fi
  rm -rf "${remove_at_end[@]}"
}
trap clean_up EXIT
trap 'exit 0' INT TERM HUP

# fail MESSAGE… : prints a message and the last lines of all logs, and ends the script.
fail() {
  echo "${0##*/}: $*" >&2
  tail -n 20 "$folder"/log/* >&2 2>/dev/null || true
  exit 1
}

# need PATH : ends the script unless `tests/setup` has installed this program or file.
need() {
  command -v "$1" >/dev/null || [[ -e "$1" ]] || fail "\`$1\` is missing: run tests/setup"
}

# Prints a free port below those that the kernel gives to outgoing connections and for port 0 (32768 and
# more), so that hardly anything else takes it before the server does.
free_port() {
  python3 - <<'PYTHON'
import random, socket
while True:
    port = random.randrange(20000, 30000)
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) != 0:
            print(port)
            break
PYTHON
}

# run NAME COMMAND… : runs a command to its end, with its output in a log of that name.
run() {
  local name=$1
  shift
  timeout "$patience_seconds" "$@" >>"$folder/log/$name" 2>&1 </dev/null || fail "\`$1\` failed"
}

# start NAME COMMAND… : starts a process, which writes its output to a log of that name.
start() {
  local name=$1
  shift
  "$@" >>"$folder/log/$name" 2>&1 </dev/null &
  servers+=($!)
}

# wait_for COMMAND… : repeats a command until it succeeds. All processes must continue to run meanwhile.
wait_for() {
  local end=$((SECONDS + patience_seconds)) server
  until "$@" >/dev/null 2>&1; do
    for server in "${servers[@]}"; do
      kill -0 "$server" 2>/dev/null || fail "a process has ended"
    done
    ((SECONDS < end)) || fail "not ready after $patience_seconds s"
    sleep 0.1
  done
}

# serve NAME VALUE… : prints what a client needs to know, and waits for the end of the standard input.
serve() {
  printf '{"folder":"%s"' "$folder"
  (($# == 0)) || printf ',"%s":"%s"' "$@"
  printf '}\n'
  # The builtin `read` is interrupted by signals, for which there is a trap; another program would not be.
  while read -r _; do :; done
}
