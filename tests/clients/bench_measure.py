"""Runs a command and measures CPU time, wall time and memory of it and of everything that it starts.

What outlives the command, as Spark's virtual machine outlives its driver, is waited for, or it would not be counted.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time

# From <linux/prctl.h>.
SET_PDEATHSIG = 1
SET_CHILD_SUBREAPER = 36


def start(command, limit_bytes):
    """In the child: it ends with us, and may not take more memory than it is allowed to.

    RLIMIT_DATA counts what a process could write to without sharing it: heaps and stacks, and not address space that is only
    reserved, of which a Java virtual machine has more than the machine.
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
                # Of the largest process.
                "peak-bytes": usage.ru_maxrss * 1024,
            },
            file,
        )


main()
