"""A Lotus miner and its full node as a sealing service sees them, written from `spec/attach.md` (A.5, B.2, B.3, B.10, B.15, E.4)
alone: it shares no code with our service.

It has no chain. It hands out sector numbers (0 to 4 and 6 are taken) and tickets, receives sectors, and does with each what a miner
does: the steps `unsealed`, `sealed`, `cache` (downloads), `seed`, `c1`, `c2`, `done` (hooks), after which it is at `proving` or
`failed`. A step that fails is tried again after `--retry` seconds, without end. It checks all it is told and given, but verifies no
proof; what does not fit is kept under "complaints", each once. What came of sector N is kept in `STATE.d/N/`: `unsealed`, `sealed`,
`cache/…`, `c1.json`, `proof.bin`. A restart with the same `--state` keeps everything but the session and the script.
It prints `ready PORT TOKEN` when it serves. Control, on the same port, without a token, JSON in and out:

GET  /control/state   {"sectors": {number: {"step", "attempts": {step: n}, "last_error", "seed"}},
                      "complaints", "reserved", "script"}
POST /control/script  any of these, of which a restart brings back the first values -> all four, as they are now
                      "fail_c2": 0          so many C2 requests are cut in their middle
                      "hold_at": null       a step; a sector that arrives at it rests there before (the next attempt of) its work
                      "change_seed": false  the next C1 answer is thrown away for another seed; this sets it back to false
                      "unsuccessful": false the done notices tell of failure
POST /control/token   {"allow"?} -> {"token"}
POST /control/quit    {} -> {}
"""

import argparse
import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import sys
import tarfile
import time
import urllib.parse

sys.dont_write_bytecode = True  # the import below would leave a folder in the source tree
from lotus_miner import (  # noqa: E402
    SECTOR, Endpoint, Misfit, Trouble, boolean, brief, fit, fit_params, i64, integer, label, matching, named, no_method, null,
    octets, one_of, piece_size, sealed, serve, start, text, u64, unsealed, varint)

STEPS = ["unsealed", "sealed", "cache", "seed", "c1", "c2", "done"]
LOOKBACK = 900
TAKEN = {0, 1, 2, 3, 4, 6}
OCTETS, TAR = "application/octet-stream", "application/x-tar"
# The files of a finalized cache other than tree R-last, each with its least and its most bytes.
AUX = {"p_aux": (64, 64), "t_aux": (1, 10_240)}
# By sector size: its name, partitions, challenges of each, layers, shape of the Poseidon trees, files of tree R-last.
SIZES = {
    2 << 10: ("2KiB", 1, 2, 2, [8], [""]), 8 << 20: ("8MiB", 1, 2, 2, [8], [""]), 512 << 20: ("512MiB", 1, 2, 2, [8], [""]),
    32 << 30: ("32GiB", 10, 18, 11, [8, 8], [f"-{tree}" for tree in range(8)]),
    64 << 30: ("64GiB", 10, 18, 11, [8, 8, 2], [f"-{tree}" for tree in range(16)])}
VERSIONS = ["V1", "V1_1", "V1_1_Feat_SyntheticPoRep"]  # five seal proof numbers each, in the order of the sizes
PROOF_BYTES = 192  # of one partition


def list_of(count, form):
    return named(f"a list of {count}", lambda v: type(v) is list and len(v) == count and not any(
        fit(item, form, f"an item of a list of {count}") for item in v))  # a misfit is raised


domain = list_of(32, integer("a byte", 0, 256))


def merkle(*arities):
    """The form of a Merkle proof through trees of these arities, from the base to the top."""
    paths = [{"path": [{"hashes": list_of(arity - 1, domain), "index": u64}]} for arity in arities]
    kind = ["Single", "Sub", "Top"][len(arities) - 1]
    members = ["path"] if kind == "Single" else ["base_proof", "sub_proof", "top_proof"]
    return {"data": {kind: {"root": domain, "leaf": domain} | dict(zip(members, paths))}}


def challenge_form(layers, shape):
    column = {"index": u64, "rows": list_of(layers, domain)}
    column = {"column": (column, column | {"_h": null}), "inclusion_proof": merkle(*shape)}
    labeling = {"parents": list_of(37, domain), "layer_index": integer("a layer", 1, layers + 1), "node": u64}
    return {"comm_d_proofs": merkle(2), "comm_r_last_proof": merkle(*shape),
            "replica_column_proofs": {"c_x": column, "drg_parents": list_of(6, column), "exp_parents": list_of(8, column)},
            "labeling_proofs": list_of(layers, labeling), "encoding_proof": labeling}


def is_url(v):
    try:
        if type(v) is not str or not re.fullmatch("http://[!-~]+", v):
            return False
        parts = urllib.parse.urlsplit(v)
        return bool(parts.hostname) and parts.port != 0 and not parts.fragment
    except ValueError:
        return False


url = named("an http URL", is_url)
hash_text = named("base64 of 32 bytes", lambda v: octets(v) and len(base64.b64decode(v)) == 32)
DATA = {"Local": one_of(False), "URL": url, "Headers": (null, [{"Key": matching("a header's name", "[!-9;-~]+"), "Value": text}])}


def b64(raw):
    return base64.b64encode(raw).decode()


def digest_of(cid):
    return base64.b32decode(cid["/"][1:].upper().ljust(64, "="))[-32:]


def chain_cid(*parts):
    """The CID (DAG-CBOR, blake2b-256) of a block or message that exists as far as its name goes."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=32).digest()
    return {"/": "b" + base64.b32encode(b"\x01\x71\xa0\xe4\x02\x20" + digest).decode().lower().rstrip("=")}


def root_of(nodes):
    """The root over (size, commitment), each at a multiple of its size: of pieces, or of a sector's 32-byte nodes. Or None."""
    stack = []
    for node in nodes:
        stack.append(node)
        while len(stack) > 1 and stack[-1][0] == stack[-2][0]:
            (size, left), (_, right) = stack[-2:]
            digest = bytearray(hashlib.sha256(left + right).digest())
            digest[31] &= 0x3F
            stack[-2:] = [(2 * size, bytes(digest))]
    return stack[0][1] if len(stack) == 1 else None


def run_lengths(numbers):
    """A bit field's JSON, zeros first, of ascending numbers."""
    runs, after = [], None
    for number in numbers:
        if number == after:
            runs[-1] += 1
        else:
            runs += [number - (after or 0), 1]
        after = number + 1
    return runs


def full_trailer(size):
    """What follows a sector's data in a partial file that is full: in RLE+, one run of a one for each byte, and that list's length.

    B.10 does not say so much: the unit, a padded byte, the bit for the first run's value and the length's byte order are Lotus's.
    """
    bits = 0b00_1_00 | int.from_bytes(varint(size), "little") << 5  # from the lowest: version, ones first, a long run, its length
    runs = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    return runs + len(runs).to_bytes(4, "little")


@contextlib.contextmanager
def asked(method, where, headers, body=b"", cut=False):
    """The answer to a request, without a time limit, if its status is 200. With `cut`, half of the body goes out and no more."""
    parts = urllib.parse.urlsplit(where)
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    try:
        connection.putrequest(method, (parts.path or "/") + ("?" + parts.query if parts.query else ""))
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders(body[:len(body) // 2] if cut else body)
        if cut:
            raise Trouble(f"{where}: cut as a test asked")
        answer = connection.getresponse()
        if answer.status != 200:
            raise Trouble(f"{where}: HTTP {answer.status}: {answer.read(200)!r}")
        yield answer
    finally:
        connection.close()


def hook(where, request, cut=False):
    body = json.dumps(request).encode()
    with asked("POST", where, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body, cut) as answer:
        return answer.read()


def download(data, kind, most, path):
    headers = [(header["Key"], header["Value"]) for header in data["Headers"] or []]
    with asked("GET", data["URL"], headers) as answer, open(path, "wb") as file:
        if answer.headers.get_all("Content-Type") != [kind]:
            raise Misfit(f"content type {answer.headers.get_all('Content-Type')}, expected {kind}")
        while chunk := answer.read(1 << 20):
            file.write(chunk)
            if file.tell() > most:
                raise Misfit(f"more than {most} bytes")
        if answer.length:
            raise Trouble(f"{answer.length} bytes are missing")


class ImportMiner(Endpoint):
    paths = ["/rpc/v0", "/rpc/v1"]
    script_forms = {"fail_c2": integer("a number of requests", 0, 1 << 31), "hold_at": one_of(None, *STEPS), "change_seed": boolean,
                    "unsuccessful": boolean}

    def __init__(self, options):
        kept = {"sectors": {}, "reserved": [], "complaints": []}
        super().__init__(options.state, kept)
        self.sectors, self.reserved = kept["sectors"], kept["reserved"]
        self.script = {"fail_c2": 0, "hold_at": None, "change_seed": False, "unsuccessful": False}
        self.actor, self.size, self.retry = options.actor, options.sector_size, options.retry
        self.proof, self.head, self.cids = options.seal_proof, options.head, [chain_cid("block", options.head)]
        self.epoch = integer(f"an epoch up to {self.head - LOOKBACK}", 0, self.head - LOOKBACK + 1)
        address = b"\0" + varint(self.actor)  # an ID address
        self.entropy = bytes([0x40 + len(address)]) + address  # CBOR, a short byte string
        self.meta = {
            "State": one_of("PreCommitting"), "Sector": SECTOR, "Type": one_of(self.proof),
            "Pieces": [{"Piece": {"Size": piece_size, "PieceCID": unsealed}, "DealInfo": null}],
            "TicketValue": hash_text, "TicketEpoch": self.epoch, "PreCommit1Out": octets, "CommD": unsealed, "CommR": sealed,
            **dict.fromkeys(["DataUnsealed", "DataSealed", "DataCache"], DATA),
            **dict.fromkeys(["RemoteCommit1Endpoint", "RemoteCommit2Endpoint", "RemoteSealingDoneEndpoint"], url)}
        miner, node = ("admin", ["/rpc/v0"]), ("read", self.paths)
        self.methods = {
            "Version": (miner, [], lambda: {"Version": "1.36.1+mainnet", "APIVersion": 66816, "BlockDelay": 30}),
            "Session": (miner, [], self.told_session),
            "ActorAddress": (miner, [], lambda: f"t0{self.actor}"),
            "ActorSectorSize": (miner, [one_of(f"f0{self.actor}", f"t0{self.actor}")], lambda _: self.size),
            "AuthVerify": (miner, [text], self.auth_verify),
            "SectorNumReserveCount": (miner, [label, integer("a count", 1, 1 << 16)], self.reserve),
            "SectorReceive": (miner, [named("an object", lambda v: type(v) is dict)], self.receive),
            "ChainHead": (node, [], lambda: {"Cids": self.cids, "Blocks": [], "Height": self.head}),
            "StateGetRandomnessFromTickets": (node, [i64, i64, text, (null, [{"/": text}])], self.randomness)}
        for number in self.sectors:
            start(self.work, number)

    def kept(self):
        return {"sectors": self.sectors, "reserved": self.reserved, "complaints": self.complaints}

    def note(self, complaint):
        with self.lock:
            if str(complaint) not in self.complaints:
                super().note(complaint)

    def state(self, _asked):
        with self.lock:
            told = {number: {name: sector[name] for name in ("step", "attempts", "last_error", "seed")}
                    for number, sector in self.sectors.items()}
            return json.loads(json.dumps({"sectors": told, "complaints": self.complaints, "reserved": self.reserved,
                                          "script": self.script}))  # a copy, to be sent without the lock

    # What the service calls.

    def invoke(self, request, allow, path):
        method, params = self.opened(request)
        (level, paths), forms, function = self.methods.get(method, (("", []), None, None))
        if path not in paths:
            raise no_method(request)
        if level not in allow:
            raise Trouble(f"missing permission to invoke '{method}' (need '{level}')")
        fit_params(params, forms)
        try:
            with self.lock:
                return function(*params)
        except Misfit as misfit:  # the parameters are of the right types, so it is for the application to refuse them
            self.note(f"{method}: {misfit}")
            raise Trouble(str(misfit)) from None

    def reserve(self, _name, count):
        gone, numbers, number = TAKEN.union(self.reserved, map(int, self.sectors)), [], 0
        while len(numbers) < count:
            if number not in gone:
                numbers.append(number)
            number += 1
        self.reserved += numbers
        self.save()
        return run_lengths(numbers)

    def ticket(self, epoch):
        return b64(hashlib.sha256(b"ticket" + bytes([5]) + epoch.to_bytes(8, "big") + self.entropy).digest())

    def randomness(self, tag, epoch, entropy, tipset):
        fit(tag, one_of(5), "tag")
        fit(epoch, self.epoch, "epoch")
        fit(entropy, one_of(b64(self.entropy)), "entropy")
        if tipset not in (None, [], self.cids):
            raise Misfit(f"tipset key {brief(tipset)} is not that of the head, {brief(self.cids)}")
        return self.ticket(epoch)

    def receive(self, meta):
        fit(meta.get("Sector"), {"Miner": one_of(self.actor), "Number": u64}, "meta.Sector")
        number = meta["Sector"]["Number"]
        if str(number) in self.sectors:
            raise Trouble(f"sector {number} exists already")
        if number not in self.reserved:
            raise Misfit(f"sector number {number} was not reserved")
        for name in set(meta) - set(self.meta):
            if meta[name] not in (None, 0, "", "0", [], {}):  # 0 is False too, and "0" a big integer
                raise Misfit(f"meta.{name} is {brief(meta[name])}, where state PreCommitting has nothing")
        meta = {name: meta.get(name) for name in self.meta}
        fit(meta, self.meta, "meta")
        fit(meta["TicketValue"], one_of(self.ticket(meta["TicketEpoch"])), "meta.TicketValue")
        pieces = [(piece["Piece"]["Size"], digest_of(piece["Piece"]["PieceCID"])) for piece in meta["Pieces"]]
        if sum(size for size, _ in pieces) != self.size:
            raise Misfit(f"pieces of {[size for size, _ in pieces]} bytes do not make {self.size}")
        if root_of(pieces) != digest_of(meta["CommD"]):
            raise Misfit("meta.CommD is not the root over the pieces")
        self.sectors[str(number)] = {"meta": meta, "step": STEPS[0], "attempts": {}, "last_error": None, "seed": None, "seeds": 0}
        self.save()
        start(self.work, str(number))

    # What it does with a sector.

    def work(self, number):
        sector, folder = self.sectors[number], os.path.join(self.file + ".d", number)
        while sector["step"] in STEPS:
            step, following, error = sector["step"], None, None
            with self.lock:
                held = self.script["hold_at"] == step
                if not held:
                    sector["attempts"][step] = sector["attempts"].get(step, 0) + 1
                    self.save()
            if held:
                time.sleep(0.05)
                continue
            try:
                os.makedirs(os.path.join(folder, "cache"), exist_ok=True)
                following = getattr(self, "step_" + step)(sector, sector["meta"], folder)
            except Exception as failure:  # whatever it is, the step is tried again
                error = str(failure) if isinstance(failure, Trouble) else repr(failure)
                if isinstance(failure, Misfit):
                    self.note(f"sector {number}, {step}: {error}")
            with self.lock:
                if error is None:
                    sector["step"] = following or STEPS[STEPS.index(step) + 1]
                else:
                    sector["last_error"] = f"{step}: {error}"
                self.save()
            if error is not None:
                time.sleep(self.retry)

    def step_unsealed(self, _sector, meta, folder):
        path, trailer = os.path.join(folder, "unsealed"), full_trailer(self.size)
        download(meta["DataUnsealed"], OCTETS, self.size + len(trailer), path)
        with open(path, "rb") as file:
            root = root_of((32, file.read(32)) for _ in range(self.size // 32))
            rest = file.read()
        if os.path.getsize(path) < self.size or root != digest_of(meta["CommD"]):
            raise Misfit(f"{os.path.getsize(path)} bytes, which do not begin with the data of CommD")
        if rest not in (b"", trailer):
            raise Misfit(f"trailer {rest.hex()}, expected {trailer.hex()} or none")

    def step_sealed(self, _sector, meta, folder):
        path = os.path.join(folder, "sealed")
        download(meta["DataSealed"], OCTETS, self.size, path)
        if os.path.getsize(path) != self.size:
            raise Misfit(f"{os.path.getsize(path)} bytes, expected {self.size}")

    def step_cache(self, _sector, meta, folder):
        due = AUX | {f"sc-02-data-tree-r-last{end}.dat": (32, 10_000_000) for end in SIZES[self.size][5]}
        path, came = os.path.join(folder, "cache.tar"), []
        download(meta["DataCache"], TAR, sum(most + 4096 for _, most in due.values()) + (1 << 20), path)
        try:
            with tarfile.open(path, "r:") as archive:
                for member in archive:
                    least, most = due.get(member.name, (0, -1))
                    if not member.isreg() or member.name in came or not least <= member.size <= most:
                        raise Misfit(f"{member.name!r}, {member.size} bytes, has no place in a finalized cache, which is {due}")
                    content = archive.extractfile(member).read()
                    if len(content) != member.size:
                        raise Misfit(f"{member.name} is cut")
                    with open(os.path.join(folder, "cache", member.name), "wb") as file:
                        file.write(content)
                    came.append(member.name)
        except tarfile.TarError as error:
            raise Misfit(f"not a tar: {error}") from None
        if set(came) != set(due):
            raise Misfit(f"the cache has {came}, expected {list(due)}")
        os.remove(path)

    def step_seed(self, sector, meta, _folder):
        seed = hashlib.sha256(repr(("seed", self.actor, meta["Sector"]["Number"], sector["seeds"])).encode()).digest()
        sector["seed"] = b64(seed)

    def step_c1(self, sector, meta, folder):
        answer = hook(meta["RemoteCommit1Endpoint"], {
            "Ticket": meta["TicketValue"], "Seed": sector["seed"], "Unsealed": meta["CommD"], "Sealed": meta["CommR"],
            "ProofType": self.proof})
        name, partitions, challenges, layers, shape, _ = SIZES[self.size]
        exactly = {"comm_r": digest_of(meta["CommR"]), "comm_d": digest_of(meta["CommD"]),
                   "seed": base64.b64decode(sector["seed"]), "ticket": base64.b64decode(meta["TicketValue"])}
        try:
            fit(json.loads(answer), {
                "registered_proof": one_of(f"StackedDrg{name}{VERSIONS[self.proof // 5]}"), "replica_id": domain,
                "vanilla_proofs": {f"StackedDrg{name}V1": list_of(partitions, list_of(challenges, challenge_form(layers, shape)))},
                **{member: one_of(list(value)) for member, value in exactly.items()}}, "the answer")
        except (ValueError, RecursionError):
            raise Misfit(f"the answer is not JSON: {answer[:200]!r}") from None
        with open(os.path.join(folder, "c1.json"), "wb") as file:
            file.write(answer)
        with self.lock:
            changed, self.script["change_seed"] = self.script["change_seed"], False
            sector["seeds"] += changed
        return "seed" if changed else None

    def step_c2(self, _sector, meta, folder):
        with open(os.path.join(folder, "c1.json"), "rb") as file:
            request = {"Sector": meta["Sector"], "ProofType": self.proof, "Commit1Out": b64(file.read())}
        with self.lock:
            cut = self.script["fail_c2"] > 0
            self.script["fail_c2"] -= cut
        proof, due = hook(meta["RemoteCommit2Endpoint"], request, cut), SIZES[self.size][1] * PROOF_BYTES
        if len(proof) != due:
            raise Misfit(f"a proof of {len(proof)} bytes, expected {due}")
        with open(os.path.join(folder, "proof.bin"), "wb") as file:
            file.write(proof)

    def step_done(self, _sector, meta, _folder):
        failed = self.script["unsuccessful"]
        hook(meta["RemoteSealingDoneEndpoint"], {
            "Successful": not failed, "State": "FailedUnrecoverable" if failed else "Proving",
            "CommitMessage": None if failed else chain_cid("message", self.actor, meta["Sector"]["Number"])})
        return "failed" if failed else "proving"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--actor", type=int, default=1000)
    parser.add_argument("--sector-size", type=int, choices=SIZES, default=2048)
    parser.add_argument("--seal-proof", type=int, choices=range(5 * len(VERSIONS)), default=5)
    parser.add_argument("--head", type=int, default=5000)
    parser.add_argument("--retry", type=float, default=1)
    options = parser.parse_args()
    if list(SIZES)[options.seal_proof % 5] != options.sector_size:
        parser.error("--seal-proof is not of --sector-size")
    serve(ImportMiner(options), options.port)


if __name__ == "__main__":
    main()
