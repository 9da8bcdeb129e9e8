"""What the measuring scripts share: children with a clock and their memory, medians, plain IDX files, facts about the machine.

Standard library only, so that importing it costs a measured child nothing. It measures nothing by itself.
"""
import datetime
import glob
import gzip
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def spread(values):
    values = sorted(values)
    return {"median": statistics.median(values), "min": values[0], "max": values[-1], "n": len(values)} if values else None


def busy_seconds():
    """CPU seconds that all processes of the machine have used, or None where /proc does not say."""
    try:
        with open("/proc/stat", encoding="utf-8") as stream:
            fields = [int(v) for v in stream.readline().split()[1:]]
    except (OSError, ValueError):
        return None
    idle = fields[3] + fields[4]  # idle, iowait
    return (sum(fields[:8]) - idle) / os.sysconf("SC_CLK_TCK")


def run_child(command, cpus, threads, until=None, cwd=None):
    """Runs a pinned child. Returns wall seconds (to its end, or to its line `until`), peak RSS in MB, exit status, output, and
    `foreign`: how many cores others kept busy meanwhile; a figure with much of that is worth little."""
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    began, busy = time.perf_counter(), busy_seconds()
    child = subprocess.Popen(command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             preexec_fn=lambda: os.sched_setaffinity(0, cpus[:threads]))
    lines, wall = [], None
    for line in child.stdout:
        lines.append(line)
        if until and wall is None and line.strip() == until:
            wall = time.perf_counter() - began
    child.stdout.close()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    ended = time.perf_counter() - began
    foreign = 0.0 if busy is None else max(0.0, (busy_seconds() - busy - usage.ru_utime - usage.ru_stime) / ended)
    return {"foreign": round(foreign, 3), "seconds": ended if wall is None else wall, "rss_mb": usage.ru_maxrss / 1024,
            "status": child.returncode, "output": "".join(lines)}


def last_json(text):
    """The last line of a child's output that is a JSON object, or None."""
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    return None


def mnist_folder():
    for root in (os.environ.get("LTHOST_DATA"), os.path.join(ROOT, "data"), os.path.join(ROOT, "..", "shared", "data")):
        if root and any(os.path.exists(os.path.join(root, "mnist", IDX[0] + end)) for end in ("", ".gz")):
            return os.path.join(root, "mnist")
    sys.exit("MNIST not found: set LTHOST_DATA to the folder that holds mnist/")


def plain_idx(target):
    """MNIST as plain IDX files in `target`: unpacking is no part of any measurement."""
    source = mnist_folder()
    os.makedirs(target, exist_ok=True)
    for name in IDX:
        there, here = os.path.join(source, name), os.path.join(target, name)
        if os.path.exists(there):
            shutil.copyfile(there, here)
        else:
            with gzip.open(there + ".gz") as packed, open(here, "wb") as out:
                shutil.copyfileobj(packed, out)
    return target


def first_match(path, pattern, fallback="?"):
    try:
        with open(path, encoding="utf-8") as stream:
            found = re.search(pattern, stream.read(), re.M)
        return found.group(1).strip() if found else fallback
    except OSError:
        return fallback


def machine():
    """What a reader must know to judge a figure. No host name, no path."""
    flags = first_match("/proc/cpuinfo", r"^flags\s*:(.*)$", "").split()
    isa = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    vendor = first_match("/proc/cpuinfo", r"^vendor_id\s*:(.*)$", platform.machine())
    model = first_match("/proc/cpuinfo", r"^model\s*:(.*)$")
    family = first_match("/proc/cpuinfo", r"^cpu family\s*:(.*)$")
    return {
        "cpu": first_match("/proc/cpuinfo", r"^model name\s*:(.*)$") + f" ({vendor}, family {family}, model {model})",
        "cores": len(os.sched_getaffinity(0)), "isa": " ".join(isa), "kernel": platform.release().split("-")[0],
        "system": first_match("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)'),
        "date": datetime.date.today().isoformat(),
    }


def newest(folder, name):
    """The newest file of that name below folder, or None."""
    found = glob.glob(os.path.join(folder, "**", name), recursive=True)
    return max(found, key=os.path.getmtime) if found else None
