#!/usr/bin/env python3
"""Measures lthost beside PyTorch and Lightning: the same work, the same run, turn by turn, several rounds.

    run.py [--lthost build/release/lthost] [--rounds 3] [--minutes N] [--threads 1,2] [--works ...] [--json FILE] [--write]

Run it with the interpreter of `scripts/python_env.sh torch`, on a machine that does nothing else (a disturbed run is repeated). A round runs
every peer of a case one after the other, so that a slow minute hits all of them; a ratio is formed within a round, and the table shows
least, median, largest.
lthost runs as a user runs it: `lthost fit -c configs/mnist_lenet.yaml --trainer.max_steps N`, default callbacks and loggers, validation
off as in the peers; its steps are timed by a callback (step_clock.c), as Lightning's are, memory and start time from the outside.
Everybody's start is the time from starting
the process to the end of the first step, default callbacks and loggers included.
--write replaces the block between the two marks in docs/measurements.md; the text around it is written by hand and stays.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common  # noqa: E402
import peers  # noqa: E402
from works import WORKS  # noqa: E402

QUIET = 0.1  # cores
MARKS = ("<!-- bench/run.py: begin -->", "<!-- bench/run.py: end -->")
DOCUMENT = os.path.join(common.ROOT, "docs", "measurements.md")


class Lthost:
    """lthost as one more peer: same fields in its results as peers.measure."""

    def __init__(self, binary, idx):
        self.binary, self.idx, self.made, self.plugins = os.path.abspath(binary), idx, None, {}

    def plugin(self, name):
        """bench/NAME.c, built as a plugin author would."""
        plugin, source = os.path.join(self.idx, f"{name}.so"), os.path.join(common.HERE, f"{name}.c")
        subprocess.run(["cc", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-I", os.path.join(common.ROOT, "sdk", "include"),
                        source, "-o", plugin], check=True)
        return plugin

    def host_cost(self):
        """A config for bench/host_cost.c."""
        if not self.made:
            plugin = self.plugin("host_cost")
            self.made = os.path.join(self.idx, "host_cost.yaml")
            with open(self.made, "w", encoding="utf-8") as out:
                out.write(f"model:\n  class_path: {plugin}:HostCost\ndata:\n  class_path: {plugin}:HostCostRows\n")
        return self.made

    def fit(self, work, threads, cpus, steps, until=None):
        known = WORKS[work]
        config = os.path.join(common.ROOT, "configs", known.config) if known.config else self.host_cost()
        with tempfile.TemporaryDirectory() as folder:
            command = [self.binary, "fit", "-c", config, f"--trainer.max_steps={steps}", f"--trainer.num_threads={threads}",
                       f"--trainer.default_root_dir={folder}", "--trainer.limit_val_batches=0", "--trainer.num_sanity_val_steps=0", *known.options]
            if known.images:
                command.append(f"--data.data_dir={self.idx}")
            name, component = ("first_step", "FirstStep") if until else ("step_clock", "StepClock")
            self.plugins[name] = self.plugins.get(name) or self.plugin(name)
            command.append(f"--trainer.callbacks+={self.plugins[name]}:{component}")
            done = common.run_child(command, cpus, threads, until, cwd=folder)
            summary = common.newest(folder, "summary.json")
            if done["status"] or not summary:
                sys.exit(f"{' '.join(command)}: exit {done['status']}, summary {summary}\n{done['output'][-2000:]}")
            with open(summary, encoding="utf-8") as stream:
                return done, json.load(stream)

    def measure(self, case, cpus):
        out = {key: value for key, value in case.items() if key != "idx"}
        steps = 1 if case["kind"] == "start" else WORKS[case["work"]].steps
        until = "first step done" if case["kind"] == "start" else None
        done, summary = self.fit(case["work"], case["threads"], cpus, steps, until)
        out.update(peer="lthost", rss_mb=round(done["rss_mb"], 1), foreign=done["foreign"], steps=summary["steps"])
        if case["kind"] == "start":
            out["ms_to_first_step"] = round(done["seconds"] * 1e3, 2)
        else:
            out["us_per_step"] = common.spread(common.last_json(done["output"])["us_per_step"])
        return out


def figure(result):
    return result["ms_to_first_step"] if result["kind"] == "start" else result["us_per_step"]["median"]


def plan(args, idx):
    """Cases without a peer: (kind, work, threads) and who runs them."""
    for work in args.works.split(","):
        for threads in args.thread_counts:
            if work != "Linear32" or threads == 1:
                more = ("barebones",) if work == "Linear32" else ("compile",) if args.compile else ()
                yield {"kind": "step", "work": work, "threads": threads, "idx": idx}, ("eager", "lightning") + more
    for work in ("Linear32", "LeNet"):
        if work in args.works.split(","):
            yield {"kind": "start", "work": work, "threads": 1, "idx": idx}, ("eager", "lightning")


def undisturbed(run):
    """Runs again, at most three times in all, while others kept more than QUIET cores busy; the least disturbed run counts."""
    best = None
    for _ in range(3):
        result = run()
        if best is None or result["foreign"] < best["foreign"]:
            best = result
        if best["foreign"] <= QUIET:
            break
    return best


def measure_all(args, idx, cpus):
    """{(kind, work, threads): {peer: [result of each round]}}, and how many rounds there were: as many as --minutes has room for."""
    lthost = Lthost(args.lthost, idx) if os.path.exists(args.lthost) else None
    if not lthost:
        print(f"{args.lthost} does not exist: only the peers are measured", file=sys.stderr)
    table, begin, done = {}, time.monotonic(), 0
    for turn in range(args.rounds):
        if turn and args.minutes and (time.monotonic() - begin) * (turn + 1) / turn > args.minutes * 60:
            break
        for case, names in plan(args, idx):
            row = table.setdefault((case["kind"], case["work"], case["threads"]), {})
            runs = [lambda name=name: peers.measure({**case, "peer": name}, cpus) for name in names]
            if lthost:
                runs.insert(turn % (len(runs) + 1), lambda: lthost.measure(case, cpus))  # not always first, not always last
            for run in runs:
                result = undisturbed(run)
                row.setdefault(result["peer"], []).append(result)
                print(f"round {turn + 1}: {peers.describe(result)}", file=sys.stderr, flush=True)
        done += 1
    return table, done


def cell(results, form):
    return form.format(common.spread([figure(r) for r in results])["median"]) if results else "-"


def ratio(row, peer):
    """How many times faster lthost is: least / median / largest over the rounds."""
    if not row.get("lthost") or not row.get(peer):
        return "-"
    s = common.spread([figure(p) / figure(own) for own, p in zip(row["lthost"], row[peer])])
    return f"{s['min']:.1f} / **{s['median']:.1f}** / {s['max']:.1f}"


def memory(row, peer):
    return f"{common.spread([r['rss_mb'] for r in row[peer]])['median']:.0f}" if row.get(peer) else "-"


def render(table, rounds):
    facts = common.machine()
    versions, foreign = {}, 0.0
    for row in table.values():
        for results in row.values():
            versions.update(results[0].get("versions", {}))
            foreign = max([foreign] + [r["foreign"] for r in results])
    lines = [f"Measured {facts['date']} on {facts['cpu']}, {facts['cores']} cores, {facts['isa']}, {facts['system']}, Linux {facts['kernel']};",
             f"{', '.join(f'{k} {v}' for k, v in sorted(versions.items()))}; {rounds} round(s), other processes "
             f"kept at most {foreign:.2f} cores busy.", "",
             "| work | threads | lthost us/step | samples/s | Lightning us/step | times faster: min / median / max | PyTorch loop us/step "
             "| times faster | compiled us/step | times faster | peak MB: lthost, Lightning, PyTorch |", "|---|---|---|---|---|---|---|---|---|---|---|"]
    for (kind, work, threads), row in table.items():
        if kind == "step" and work != "Linear32":
            own = row.get("lthost")
            rate = f"{WORKS[work].batch * 1e6 / common.spread([figure(r) for r in own])['median']:,.0f}" if own else "-"
            lines.append(f"| {work} | {threads} | {cell(own, '{:,.1f}')} | {rate} | {cell(row.get('lightning'), '{:,.0f}')} | {ratio(row, 'lightning')} "
                         f"| {cell(row.get('eager'), '{:,.0f}')} | {ratio(row, 'eager')} "
                         f"| {cell(row.get('compile'), '{:,.0f}')} | {ratio(row, 'compile')} "
                         f"| {memory(row, 'lthost')}, {memory(row, 'lightning')}, {memory(row, 'eager')} |")
    if not any(kind == "start" or work == "Linear32" for kind, work, _ in table):
        return "\n".join(lines)
    lines += ["", "| one thread | lthost | Lightning | times faster: min / median / max | Lightning, barebones | PyTorch loop | times faster |",
              "|---|---|---|---|---|---|---|"]
    for (kind, work, _), row in table.items():
        if kind == "start" or work == "Linear32":
            what = f"start to first step, {work}, ms" if kind == "start" else "step of Linear(32, 2), batch 1, us"
            lines.append(f"| {what} | {cell(row.get('lthost'), '{:,.2f}')} | {cell(row.get('lightning'), '{:,.0f}')} | {ratio(row, 'lightning')} "
                         f"| {cell(row.get('barebones'), '{:,.0f}')} | {cell(row.get('eager'), '{:,.0f}')} | {ratio(row, 'eager')} |")
    return "\n".join(lines)


def write_document(block):
    with open(DOCUMENT, encoding="utf-8") as stream:
        text = stream.read()
    before, rest = text.split(MARKS[0], 1)
    _, after = rest.split(MARKS[1], 1)
    with open(DOCUMENT, "w", encoding="utf-8") as out:
        out.write(f"{before}{MARKS[0]}\n{block}\n{MARKS[1]}{after}")


def main():
    parser = argparse.ArgumentParser(description="Measure lthost beside PyTorch and Lightning.")
    parser.add_argument("--lthost", default=os.path.join(common.ROOT, "build", "release", "lthost"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, help="begin no round that would end later")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--works", default=",".join(WORKS))
    parser.add_argument("--compile", action="store_true", help="torch.compile as one more peer")
    parser.add_argument("--json", help="every single result")
    parser.add_argument("--write", action="store_true", help="rewrite the block in docs/measurements.md")
    args = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    args.thread_counts = [int(t) for t in args.threads.split(",") if int(t) <= len(cpus)]
    os.environ.setdefault("LTHOST_DATA", os.path.dirname(common.mnist_folder()))  # where TextFile looks
    with tempfile.TemporaryDirectory() as folder:
        table, rounds = measure_all(args, common.plain_idx(folder), cpus)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as out:
            json.dump({"machine": common.machine(), "results": [r for row in table.values() for runs in row.values() for r in runs]}, out, indent=1)
    block = render(table, rounds)
    print(block)
    if args.write:
        write_document(block)


if __name__ == "__main__":
    main()
