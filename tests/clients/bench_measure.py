"""Runs a command, and measures CPU time, elapsed time and memory of it and of all processes that it starts.

Processes that outlive the command, as Spark's virtual machine outlives its driver, are waited for; otherwise
they would not be measured.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time

# Constants from <linux/prctl.h>.
SET_PDEATHSIG = 1
SET_CHILD_SUBREAPER = 36


def start(command, limit_bytes):
    """Prepares the child process: it ends together with the parent, and its memory is limited.

    RLIMIT_DATA limits private writable memory: heaps and stacks, but not address space that is only reserved,
    of which a Java virtual machine reserves more than the machine has memory.
    """
    os.setsid()
    ctypes.CDLL(None).prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if limit_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
    os.execvp(command[0], command)


def main():
    result, limit_bytes, patience_seconds, *command = sys.argv[1:]
    if ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit("bench-measure: cannot wait for what the command leaves behind")
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            start(command, int(limit_bytes))
        except OSError as error:
            print(f"bench-measure: {command[0]}: {error}", file=sys.stderr)
        os._exit(127)
    late = []

    def end(*_):
        late.append(True)
        os.killpg(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, end)
    signal.alarm(int(patience_seconds))
    _, status = os.waitpid(child, 0)
    wall_seconds = time.monotonic() - started
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    signal.alarm(0)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(result, "w") as file:
        json.dump(
            {
                "exit-code": os.waitstatus_to_exitcode(status),
                "is-late": bool(late),
                "cpu-seconds": usage.ru_utime + usage.ru_stime,
                "wall-seconds": wall_seconds,
                # Maximum over the processes, not their sum.
                "peak-bytes": usage.ru_maxrss * 1024,
            },
            file,
        )


main()
