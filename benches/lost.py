"""How much work is lost when a worker is killed.

    python3 benches/lost.py --binary target/release/filecash --params DIR [--kills 60] [--sector-size 8MiB] [--only pc1 pc2 c2]

Needs nothing but Python, and for C2 parameters of the 2 KiB proof of replication and a reference string in DIR (`filecash params setup
--sector-size 2KiB`, `filecash params setup-srs`).
Each phase is done by `filecash worker run` alone, first undisturbed, then with the worker and the process of its job killed (SIGKILL)
at random moments and started anew, over and over from the same beginning, until there were as many kills as asked for. After each kill
it is counted what was done and has to be done again:

- PC1 and PC2 write what they compute into files as they go. Counted are the nodes in files of this attempt that the manifest does not
  vouch for (PC1 layers, PC2 tree-c), and of the new replica (PC2 encoding), which at these sizes
  is a single part and noted when it is whole. PC1 writes 16,384 nodes at a time,
  PC2 65,536 at the most; of PC2 the processor time since the last note is told as well.
- C2 tells the queue which partitions are proven. Counted is the processor time of its process since then. The proof
  is a non-interactive one of 2 KiB, for it has thirteen partitions.

What was vouched for must not be made again: files keep their inodes to the end of the phase, and the partitions that C2 tells of never
get fewer. The result of each round must be that of the undisturbed run. Besides, processor time of all attempts is compared with that of
the undisturbed run, which counts everything: starting, checking what is there, trees that are always made again.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

NODE = 32
PROOF = 192
TICK = os.sysconf("SC_CLK_TCK")
LAYERS = [f"sc-02-data-layer-{layer}.dat" for layer in (1, 2)]
TREE_C = "sc-02-data-tree-c.dat"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--params", required=True)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--sector-size", default="8MiB")
    parser.add_argument("--c2-ram", default="4GiB", help="of the worker that does C2; less memory, smaller batches")
    parser.add_argument("--only", nargs="+", choices=["pc1", "pc2", "c2"], default=["pc1", "pc2", "c2"])
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        for phase in args.only:
            {"pc1": Pc1, "pc2": Pc2, "c2": C2}[phase](args, os.path.join(folder, phase)).measure(args.kills, chance)


def processor_seconds(process):
    """Of a process with all its threads; none once it has ended."""
    try:
        with open(f"/proc/{process}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else (int(fields[11]) + int(fields[12])) / TICK


def nodes_written(path, nodes):
    """The last node of the first so many that is not zero, counted from 1. Files begin as zeros and are filled from the front."""
    with open(path, "rb") as file:
        end = min(nodes * NODE, os.fstat(file.fileno()).st_size)
        while end > 0:
            begin = max(0, end - (1 << 20))
            file.seek(begin)
            written = len(file.read(end - begin).rstrip(b"\0"))
            if written:
                return -(-(begin + written) // NODE)
            end = begin
    return 0


class Phase:
    """A phase of a sector that others have brought so far."""

    def __init__(self, args, folder):
        self.args, self.folder, self.here = args, folder, os.path.join(folder, "run")
        self.binary = os.path.abspath(args.binary)
        os.makedirs(os.path.join(folder, "begun", "ssd"))
        self.environment = {**os.environ, "FIL_PROOFS_PARENT_CACHE": os.path.join(folder, "parents"), "RUST_LOG": "info"}
        self.prepare(os.path.join(folder, "begun"))

    def filecash(self, where, *arguments):
        arguments = [self.binary, *arguments, "--store", "jobs.sqlite", "--parameter-cache", os.path.abspath(self.args.params), "--json"]
        done = subprocess.run(arguments, cwd=where, env=self.environment, check=True, capture_output=True, text=True)
        return json.loads(done.stdout)

    def stage(self, where, size, *flags):
        with open(os.path.join(where, "data"), "wb") as file:
            # Nodes that are all zero would not be seen in files.
            unit = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[size[-3:]]
            self.size = int(size[:-3]) * unit
            file.write(random.Random(0).randbytes(self.size // 128 * 127))
        sector = ["--miner", "f01000", "--sector", "5", "--ticket", "01" * 32]
        self.filecash(where, "seal", "add-piece", "data", "--dir", "ssd/five", "--sector-size", size, "--fill", *sector, *flags)
        self.work(where, "--until-idle", "--pc1", "1")
        self.filecash(where, "sectors", "add", "ssd/five")

    def work(self, where, *flags):
        self.filecash(where, "worker", "run", "--sealing", "ssd", "--reserve", "0", *flags)

    def begin(self):
        shutil.rmtree(self.here, ignore_errors=True)
        shutil.copytree(os.path.join(self.folder, "begun"), self.here)

    def job(self):
        return self.filecash(self.here, "jobs", "show", str(self.number))

    def attempt(self, life):
        """Has a worker live for so long, counted from when it has begun the job; returns whether it was killed, and the processor time
        of the job's process, moment by moment."""
        log = open(os.path.join(self.here, "log"), "w")
        worker = [self.binary, "worker", "run", "--store", "jobs.sqlite", "--sealing", "ssd", "--reserve", "0", "--until-idle",
                  "--parameter-cache", os.path.abspath(self.args.params), *self.places]
        worker = subprocess.Popen(worker, cwd=self.here, env=self.environment, stdout=log, stderr=log)
        times, process = [], None
        while process is None and worker.poll() is None:
            # A job is a child of one of the worker's threads.
            for thread in os.listdir(f"/proc/{worker.pid}/task"):
                try:
                    with open(f"/proc/{worker.pid}/task/{thread}/children") as file:
                        process = process or next(map(int, file.read().split()), None)
                except OSError:
                    pass
        assert process, "the worker has ended without a job"
        begun = time.time()
        while (seconds := processor_seconds(process)) is not None:
            times.append((time.time(), seconds))
            if times[-1][0] - begun >= life:
                worker.kill()
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                worker.wait()
                while processor_seconds(process) is not None:
                    time.sleep(0.001)
                return True, begun, times
            time.sleep(0.001)
        assert worker.wait() == 0
        return False, begun, times

    def measure(self, kills, chance):
        self.begin()
        if self.number < 3:
            # The first run makes the table of parents, which stays.
            self.attempt(float("inf"))
            self.begin()
        _, begun, times = self.attempt(float("inf"))
        elapsed, whole = times[-1][0] - begun, times[-1][1]
        result = self.result()
        self.undisturbed(times)
        print(f"{self.title}: {elapsed:.2f} s, {whole:.2f} s of processor time, undisturbed", flush=True)
        losses, spent, rounds, done = [], 0.0, 0, 0
        while done < kills:
            self.begin()
            rounds += 1
            vouched = {}
            while True:
                before = self.files()
                # After the last kill the phase is brought to its end.
                life = chance.uniform(0, self.span(elapsed)) if done < kills else float("inf")
                killed, begun, times = self.attempt(life)
                spent += times[-1][1]
                self.goes_on(vouched)
                if not killed:
                    break
                done += 1
                losses.append(self.lost(before, times, vouched))
            assert self.result() == result, "another result"
        for name, unit, step, values in self.told(losses):
            share = [value / step for value in values]
            print(f"  {name}: lost at the median {statistics.median(values):,.4g} {unit}, at most {max(values):,.4g}"
                  f" ({statistics.median(share):.3f} and {max(share):.3f} of {step:,.4g})"
                  f"; more than that after {sum(value > 1 for value in share)} of {len(values)} kills", flush=True)
        again = (spent - rounds * whole) / done
        print(f"  {done} kills in {rounds} rounds; processor time again for each, with starting and checking:"
              f" {again:.2f} s on average, {again / whole:.3f} of the phase", flush=True)

    def files(self):
        """Inodes by path."""
        walk = os.walk(os.path.join(self.here, "ssd"))
        paths = [os.path.join(folder, name) for folder, _, names in walk for name in names]
        return {path: os.stat(path).st_ino for path in paths}

    def path(self, *names):
        return os.path.join(self.here, "ssd", "five", *names)

    def noted(self):
        try:
            with open(self.path("cache", "filecash-manifest.json")) as file:
                return json.load(file)["files"]
        except FileNotFoundError:
            return {}

    def lost_of(self, before, vouched, folder, name, nodes):
        """Nodes of a file that this attempt has written in vain."""
        path = self.path(folder, name)
        if name in vouched:
            return 0
        # Whole and under its name, but nobody vouches for it.
        fresh = {of for of, inode in self.files().items() if before.get(of) != inode}
        if path in fresh:
            return nodes
        return sum(nodes_written(of, nodes) for of in fresh if of.startswith(path + ".") and of.endswith(".tmp"))

    def vouch(self, vouched, names):
        """Notes the files that the manifest vouches for."""
        for name in names:
            if name in self.noted() and os.path.exists(self.path("cache", name)):
                vouched.setdefault(name, os.stat(self.path("cache", name)).st_ino)

    def goes_on(self, vouched):
        for name, inode in vouched.items():
            assert os.stat(self.path("cache", name)).st_ino == inode, f"{name} was made again"

    def span(self, elapsed):
        return 1.1 * elapsed

    def undisturbed(self, times):
        pass


class Pc1(Phase):
    number, places = 1, ["--pc1", "1"]

    def prepare(self, where):
        self.title = f"PC1 of {self.args.sector_size}"
        self.stage(where, self.args.sector_size)

    def result(self):
        return {name: self.noted()[name]["sha256"] for name in LAYERS}

    def lost(self, before, times, vouched):
        self.vouch(vouched, LAYERS)
        return sum(self.lost_of(before, vouched, "cache", name, self.size // NODE) for name in LAYERS)

    def told(self, losses):
        return [("labels", "nodes", self.size // NODE, losses)]


class Pc2(Phase):
    # With little memory what is written comes in small batches, and little of what is done is not written yet.
    number, places = 2, ["--pc2", "1", "--max-ram", "64MiB"]

    def prepare(self, where):
        self.title = f"PC2 of {self.args.sector_size}"
        self.stage(where, self.args.sector_size)
        self.work(where, "--until-idle", "--pc1", "1")

    def undisturbed(self, times):
        self.tree_seconds = self.at_note(times)
        rest = times[-1][1] - self.tree_seconds
        print(f"tree-c {self.tree_seconds:.2f} s of processor time, what follows {rest:.2f} s", flush=True)

    def at_note(self, times):
        """Processor time of an attempt when tree-c was noted, which the manifest is written for; 0 if that was before."""
        noted = os.stat(self.path("cache", "filecash-manifest.json")).st_mtime
        return max((seconds for at, seconds in times if at <= noted), default=0.0)

    def result(self):
        with open(self.path("pc2.json")) as file:
            return file.read()

    def lost(self, before, times, vouched):
        self.vouch(vouched, [TREE_C])
        nodes = self.size // NODE
        if os.path.exists(self.path("pc2.json")):
            return 0, 0, 0
        # A replica that has its name is made again where the end of phase 2 is not noted.
        tree, replica = self.lost_of(before, vouched, "cache", TREE_C, nodes), self.lost_of(before, {}, "", "sealed", nodes)
        return tree, replica, times[-1][1] - self.at_note(times)

    def told(self, losses):
        trees, replicas, seconds = zip(*losses)
        nodes = self.size // NODE
        return [("tree-c, of one base tree", "nodes", nodes, trees), ("encoding and tree-r-last", "nodes", nodes, replicas),
                ("both, with starting and checking, of one base tree", "s of processor time", self.tree_seconds, seconds)]


class C2(Phase):
    number = 4
    title = "C2 of a non-interactive proof of 2 KiB, 13 partitions"

    def prepare(self, where):
        self.places = ["--c2", "1", "--max-ram", self.args.c2_ram]
        self.stage(where, "2KiB", "--feature", "non-interactive")
        self.work(where, "--until-idle", "--pc1", "1", "--pc2", "1")

    def kept(self):
        """When partitions were proven, and how many there were then."""
        found = []
        for event in self.job()["events"]:
            if of := re.fullmatch(r"kept (\d+) bytes", event["what"]):
                found.append((event["at"] / 1000, int(of[1]) // PROOF))
        return found

    def undisturbed(self, times):
        kept = self.kept()
        self.batch = kept[0][1]
        # The first batch has the start of the process before it; the second one has not.
        seconds = [next(seconds for at, seconds in times if at >= when) for when, _ in kept]
        self.batch_seconds = seconds[1] - seconds[0]
        self.batch_elapsed = kept[1][0] - kept[0][0]
        self.first_seconds = seconds[0]
        print(f"batches of {self.batch} partitions, {self.batch_elapsed:.2f} s and {self.batch_seconds:.2f} s of processor time each,"
              f" the first one {self.first_seconds:.2f} s", flush=True)

    def span(self, elapsed):
        return 1.15 * self.batch_elapsed

    def result(self):
        # Proofs are random; that they hold is checked before they are handed out.
        return self.job()["job"]["state"]

    def goes_on(self, vouched):
        # An attempt that begins anew would keep the first batch again.
        kept = [partitions for _, partitions in self.kept()]
        assert all(later > sooner for sooner, later in zip(kept, kept[1:])), kept

    def lost(self, before, times, vouched):
        kept = [(at, partitions) for at, partitions in self.kept() if at >= times[0][0]]
        since = 0.0
        if kept:
            since = max((seconds for at, seconds in times if at <= kept[-1][0]), default=0.0)
        return times[-1][1] - since

    def told(self, losses):
        return [(f"proofs, of one batch of {self.batch}", "s of processor time", max(self.batch_seconds, self.first_seconds), losses)]


if __name__ == "__main__":
    main()
