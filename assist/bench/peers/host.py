"""Runs a peer's server inside the peer's own Python and says, whenever asked, what it has cost so far.

`python host.py MODULE ARGUMENT ...` runs a module as `python -m` would. For each line on standard input one line
"BENCH {cpu_s, peak_mib}" is printed. Needs nothing but the standard library: this file runs in the peer's environment.
"""

import json
import resource
import runpy
import sys
import threading
import time
from typing import TextIO

UNIT = 1 << 20 if sys.platform == "darwin" else 1 << 10
"""ru_maxrss counts bytes on macOS, KiB elsewhere."""


def _peak_mib() -> float:
    if sys.platform == "linux":  # there getrusage begins with the peak of the process that started this one
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            return int(status.read().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / UNIT


def _answer(to: TextIO) -> None:
    for _ in sys.stdin:
        others = resource.getrusage(resource.RUSAGE_CHILDREN)
        figures = {
            "cpu_s": time.process_time() + others.ru_utime + others.ru_stime,
            "peak_mib": _peak_mib(),
        }
        print("BENCH", json.dumps(figures), file=to, flush=True)


if __name__ == "__main__":
    threading.Thread(target=_answer, args=(sys.stdout,), daemon=True).start()
    sys.stdout = sys.stderr  # what the peer prints goes to its log
    sys.argv = sys.argv[1:]
    sys.path.pop(0)  # this file's own folder, whose names would hide the peer's
    if sys.argv[0] == "-c":
        code = sys.argv.pop(1)
        exec(compile(code, "<peer>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
