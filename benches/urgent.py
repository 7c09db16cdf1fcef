"""How long winning proofs take beside PC2 and C2, and behind a queue of a hundred proofs.

    python3 benches/urgent.py --binary target/release/filecash --params DIR [--sector-size 512MiB] [--rounds 12]

Needs grpcio and grpcio-tools, and parameters of the 2 KiB circuits in DIR (`filecash params setup --circuit all`). Seals a sector of
the given size up to PC1, starts `filecash serve cuzk` and `filecash worker run` on one queue in a temporary folder, and asks for
winning proofs of a 2 KiB sector as a miner would: with the machine idle, beside PC2 of the large sector and C2, and with a hundred
seals queued before them. Prints for each the waiting until a proof is begun and the time until it is there, as the client sees it.
"""

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENT = os.path.join(HERE, "..", "tests", "foreign", "cuzk_client.py")
ADDRESS = "127.0.0.1:29830"
RANDOMNESS = "05" * 32


class Client:
    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, CLIENT, ADDRESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.last, self.answers = 0, {}

    def send(self, call, request):
        self.last += 1
        self.process.stdin.write(json.dumps({"id": self.last, "call": call, "request": request}) + "\n")
        self.process.stdin.flush()
        return self.last

    def answer(self, call):
        while call not in self.answers:
            answer = json.loads(self.process.stdout.readline())
            self.answers[answer["id"]] = answer
        answer = self.answers.pop(call)
        assert answer["code"] == "OK", answer
        return answer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--params", required=True)
    parser.add_argument("--sector-size", default="512MiB")
    parser.add_argument("--rounds", type=int, default=12)
    args = parser.parse_args()
    binary = os.path.abspath(args.binary)
    with tempfile.TemporaryDirectory() as folder:
        measure(args, binary, folder)


def measure(args, binary, folder):
    common = ["--store", os.path.join(folder, "jobs.sqlite"), "--parameter-cache", os.path.abspath(args.params)]

    def filecash(*arguments):
        subprocess.run([binary, *arguments, *common, "--quiet"], cwd=folder, check=True, stdout=subprocess.DEVNULL)

    def daemon(*arguments):
        log = open(os.path.join(folder, arguments[0] + ".log"), "w")
        return subprocess.Popen([binary, *arguments, *common], cwd=folder, stdout=log, stderr=log)

    with open(os.path.join(folder, "data"), "wb") as file:
        file.write(bytes(range(250)) * 8)
    sector = ["--miner", "f01000", "--ticket", "01" * 32, "--sector", "5"]
    filecash("seal", "add-piece", "--dir", "s", "--sector-size", "2KiB", "--fill", "data", *sector)
    for step in (["pc1"], ["pc2"], ["c1", "--seed", "02" * 32]):
        filecash("seal", *step, "--dir", "s")
    round_of = ["--sector-size", "2KiB", "--randomness", RANDOMNESS, "--dir", "s"]
    filecash("post", "winning", "vanilla", "--out", "winning", *round_of)
    c1 = open(os.path.join(folder, "s", "c1.json"), "rb").read()
    wrapper = {"SectorNum": 5, "Phase1Out": base64.b64encode(c1).decode(), "SectorSize": 2048}
    with open(os.path.join(folder, "porep"), "w") as file:
        json.dump(wrapper, file)

    def path(name):
        return {"file": os.path.join(folder, name)}

    def winning(name):
        return {"submit": {
            "request_id": name, "proof_kind": 4, "sector_size": 2048, "registered_proof": 0, "priority": 4, "miner_id": 1000,
            "vanilla_proofs": [path("winning")], "randomness": {"hex": RANDOMNESS}}}

    def porep(name):
        return {
            "request_id": name, "proof_kind": 1, "sector_size": 2048, "registered_proof": 5, "priority": 2,
            "vanilla_proof": path("porep"), "sector_number": 5, "miner_id": 1000}

    subprocess.run(["mkdir", "ssd"], cwd=folder, check=True)
    large = ["--sector-size", args.sector_size, "--fill", "data", *sector]
    filecash("seal", "add-piece", "--dir", "ssd/large", *large)
    filecash("seal", "pc1", "--dir", "ssd/large")

    door = daemon("serve", "cuzk", "--listen", ADDRESS, "--max-pending", "1000")
    time.sleep(2)
    client = Client()

    def series(title, pause):
        waits, times = [], []
        for number in range(args.rounds):
            call = client.send("Prove", winning(f"{title} {number}"))
            answer = client.answer(call)
            result = answer["response"]["result"]
            assert result["status"] == 1, result
            waits.append(result["queue_wait_ms"] / 1000)
            times.append(answer["seconds"])
            time.sleep(pause)
        told = [f"{statistics.median(values):.2f} s, at most {max(values):.2f} s" for values in (waits, times)]
        print(f"{title}: begun after {told[0]}; there after {told[1]}", flush=True)
        return statistics.median(times)

    try:
        idle = series("idle", 0.5)
        calls = [client.send("SubmitProof", porep(f"beside {number}")) for number in range(20)]
        worker = daemon("worker", "run", "--name", "sealer", "--sealing", "ssd", "--pc2", "1", "--reserve", "0")
        time.sleep(1)
        filecash("sectors", "add", "ssd/large")
        time.sleep(3)
        shown = subprocess.run([binary, "jobs", "list", *common], cwd=folder, capture_output=True, text=True).stdout
        print("".join(line + "\n" for line in shown.splitlines() if "running" in line), end="")
        beside = series("beside PC2 and C2", 0.5)
        shown = subprocess.run([binary, "jobs", "list", *common], cwd=folder, capture_output=True, text=True).stdout
        print("".join(line + "\n" for line in shown.splitlines() if "running" in line), end="")
        worker.terminate()
        worker.wait()
        calls += [client.send("SubmitProof", porep(f"queued {number}")) for number in range(100)]
        for call in calls:
            client.answer(call)
        behind = series("with a hundred seals queued", 0.5)
        print(f"ratios to idle: {beside / idle:.2f} beside PC2 and C2, {behind / idle:.2f} with a hundred queued")
    finally:
        for process in (client.process, door):
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
