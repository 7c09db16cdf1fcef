"""A Lotus miner as a worker sees it, written from `spec/attach.md` (B, C.3, E.3) alone: it shares no code with our worker.

It has no chain and no sectors. It serves `/rpc/v0`, calls back on each worker that connects, hands out the calls that a test asks
for, checks every answer and result against the forms of the specification, and makes trouble on demand. What does not fit is kept
under "complaints". These, the calls and their outcomes survive a restart in `--state`; the session and the list of workers do not.
It prints `ready PORT TOKEN` when it serves. Control, on the same port, without a token, JSON in and out:

GET  /control/state   all it knows
POST /control/call    {"worker"?, "method", "params"?} -> {"call"} or {"result"} or {"error"} or {"refused"}
POST /control/raw     {"worker"?, "body", "token"?: "admin" | "read" | "none" | "bad"} -> {"status", "body"}
POST /control/script  {"refuse_returns"?, "lose_return_answers"?, "slow_returns"?, "delay_accept"?} -> all four, as they are now
POST /control/token   {"allow"?} -> {"token"}
POST /control/forget, /control/quit   {} -> {}
"""

import argparse
import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import threading
import time
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = b"the fixed secret of a miner that exists for tests only"
LEVELS = ["read", "write", "sign", "admin"]
MOST_BYTES = 100 << 20
ZERO_UUID = "00000000-0000-0000-0000-000000000000"
C2 = "seal/v0/commit/2"
STATUS = {-32700: 500, -32601: 500, -32602: 500, -32600: 400}  # of protocol errors; every other answer has 200
# How long it waits for an answer; else ten minutes.
SECONDS = {"Session": 5, "GetWorkerInfo": 5, "HasRemoteC2": 5,
           "GenerateWindowPoSt": None, "GenerateWinningPoSt": None, "WaitQuiet": None}
SILENT_PATH_SECONDS = 50


class Trouble(Exception):
    """A JSON-RPC error, sent or received; its code is None where a worker gave no answer that can be used."""

    def __init__(self, message, code=1):
        super().__init__(message)
        self.error = {"code": code, "message": message}


class Misfit(Trouble):
    """A value that has not the form the specification gives."""


class Drop(Exception):
    """Close this connection without an answer."""


# A form is a function that decides, a dict of exactly these members (or, keyed by a function, of any such keys), a list of any
# number of such items, or a tuple of alternatives.


def fit(value, form, at):
    key = next(iter(form), None) if isinstance(form, dict) else None
    if isinstance(form, tuple):
        for choice in form[:-1]:
            try:
                return fit(value, choice, at)
            except Misfit:
                pass
        fit(value, form[-1], at)
    elif isinstance(form, (dict, list)) and type(value) is not type(form):
        raise Misfit(f"{at}: expected a {type(form).__name__}, got {brief(value)}")
    elif isinstance(form, list):
        for index, item in enumerate(value):
            fit(item, form[0], f"{at}[{index}]")
    elif callable(key):
        for name, item in value.items():
            fit(name, key, f"a key of {at}")
            fit(item, form[key], f"{at}[{name!r}]")
    elif isinstance(form, dict):
        if set(value) != set(form):
            raise Misfit(f"{at}: expected exactly the members {sorted(form)}, got {brief(value)}")
        for name in form:
            fit(value[name], form[name], f"{at}.{name}")
    elif not form(value):
        raise Misfit(f"{at}: expected {form.__name__}, got {brief(value)}")


def brief(value):
    shown = json.dumps(value)
    return shown if len(shown) <= 200 else shown[:200] + "…"


def named(name, test):
    test.__name__ = name
    return test


def one_of(*values):
    return named(f"one of {values}", lambda v: any(type(v) is type(known) and v == known for known in values))


def integer(name, low, high):
    return named(name, lambda v: type(v) is int and low <= v < high)


def matching(name, pattern):
    return named(name, lambda v: type(v) is str and re.fullmatch(pattern, v) is not None)


def is_base64(v):
    try:
        return type(v) is str and v != "" and base64.b64encode(base64.b64decode(v, validate=True)).decode() == v
    except ValueError:
        return False


def varint(number):
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def cid(name, codec, multihash):
    head = b"\x01" + varint(codec) + varint(multihash) + b"\x20"

    def test(v):
        digits = v["/"] if type(v) is dict and set(v) == {"/"} and type(v["/"]) is str else ""
        if not re.fullmatch("b[a-z2-7]{63,64}", digits):  # 39 or 40 bytes
            return False
        return base64.b32decode(digits[1:].upper().ljust(64, "="))[:-32] == head

    return named(name, test)


null = one_of(None)
boolean = one_of(False, True)
text = named("a string", lambda v: type(v) is str)
label = named("a string that is not empty", lambda v: type(v) is str and v != "")
u64 = integer("an unsigned integer", 0, 1 << 64)
i64 = integer("an integer", -(1 << 63), 1 << 63)
threads = integer("a number of threads or -1", -1, 1 << 31)
fraction = named("a number from 0", lambda v: type(v) in (int, float) and v >= 0)
piece_size = named("a padded size", lambda v: type(v) is int and v >= 128 and v & v - 1 == 0)
octets = named("base64 that is not empty", is_base64)
a_uuid = matching("a lower-case UUID with dashes", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
proof_key = matching("a decimal number", "0|[1-9][0-9]*")
store_key = matching("{miner,sector}", r"\{\d+,\d+\}")
sealed, unsealed = cid("a sealed CID", 0xF102, 0xB401), cid("an unsealed CID", 0xF101, 0x1012)
names = (null, [text])

SECTOR = {"Miner": u64, "Number": u64}
CALL_ID = {"Sector": SECTOR, "ID": a_uuid}
CALL_ERROR = (null, {"Code": one_of(0, 100, 101, 102), "Message": text})
POST_PROOF = {"PoStProof": u64, "ProofBytes": octets}
NO_POST_PROOF = (null, {"PoStProof": u64, "ProofBytes": one_of("", None)})

# Each `Return…` of B.9: the value's form, and its zero form beside an error; None where there is no value.
BYTES = (octets, one_of("", None))
PIECE = ({"Size": piece_size, "PieceCID": unsealed}, {"Size": one_of(0), "PieceCID": null})
RETURNS = {
    "AddPiece": PIECE, "SealPreCommit1": BYTES, "SealCommit1": BYTES, "SealCommit2": BYTES, "ReadPiece": (boolean, one_of(False)),
    "SealPreCommit2": ({"Unsealed": unsealed, "Sealed": sealed}, {"Unsealed": null, "Sealed": null}),
    **dict.fromkeys(["FinalizeSector", "ReleaseUnsealed", "MoveStorage", "UnsealPiece", "Fetch"])}
LOTUS_RETURNS = RETURNS | {
    "DataCid": PIECE, "ProveReplicaUpdate1": ([octets], (null, one_of([]))), "ProveReplicaUpdate2": BYTES,
    "ReplicaUpdate": ({"NewSealed": sealed, "NewUnsealed": unsealed}, {"NewSealed": null, "NewUnsealed": null}),
    **dict.fromkeys(["GenerateSectorKeyFromData", "FinalizeReplicaUpdate", "DownloadSector"])}

COMMON_TASKS = ["addpiece", "precommit/1", "precommit/2", "commit/1", "commit/2", "finalize", "fetch", "unseal"]
LOTUS_TASKS = COMMON_TASKS + ["datacid", "finalizeunsealed", "replicaupdate", "provereplicaupdate/1", "provereplicaupdate/2",
                              "regensectorkey", "finalize/replicaupdate", "download/sector"]
POST_TASKS = ["post/v0/windowproof", "post/v0/winningproof"]
a_task = one_of(*["seal/v0/" + name for name in LOTUS_TASKS], *POST_TASKS)
a_fork_task = one_of(*["seal/v0/" + name for name in COMMON_TASKS + ["unsealread"]])
display = one_of("AddPiece", "PreCommit1", "PreCommit2", "Commit1", "Commit2", "Fetch", "Finalize", "Unseal", "Unsealed")

# What a worker's synchronous methods answer: B.6 and B.7, then C.3. An asynchronous one answers a call id.
NEED = {"MinMemory": u64, "MaxMemory": u64, "GPUUtilization": fraction, "MaxParallelism": threads, "MaxParallelismGPU": threads,
        "BaseMinMemory": u64, "MaxConcurrent": u64}
RESULTS = {
    "Version": u64, "Session": a_uuid, "Enabled": boolean,
    "Paths": [{"ID": label, "Weight": u64, "LocalPath": label, "CanSeal": boolean, "CanStore": boolean}],
    **dict.fromkeys(["SetEnabled", "TaskEnable", "TaskDisable", "WaitQuiet", "Shutdown", "StorageAddLocal", "Remove"], null)}
LOTUS_RESULTS = RESULTS | {
    "Info": {"Hostname": label, "IgnoreResources": boolean, "Resources": {
        "MemPhysical": u64, "MemUsed": u64, "MemSwap": u64, "MemSwapUsed": u64, "CPUs": u64, "GPUs": names,
        "Resources": (null, {a_task: {proof_key: NEED}})}},
    "TaskTypes": {a_task: {}}, "ProcessSession": a_uuid, "StorageLocal": {label: label},
    **dict.fromkeys(["StorageDetachLocal", "StorageDetachAll", "StorageRedeclareLocal"], null),
    "GenerateWinningPoSt": [POST_PROOF],
    "GenerateWindowPoSt": ({"PoStProofs": POST_PROOF, "Skipped": (null, one_of([]))},
                           {"PoStProofs": NO_POST_PROOF, "Skipped": [SECTOR]})}
FORK_RESULTS = RESULTS | {
    "Info": {"Hostname": label, "Group": label, "Resources": {
        "MemPhysical": u64, "MemSwap": u64, "MemReserved": u64, "CPUs": u64, "GPUs": names}},
    "TaskTypes": {a_fork_task: {}}, "AllowableRange": boolean, "HasRemoteC2": boolean, "GetWorkerGroup": label,
    **dict.fromkeys(["AddStore", "DeleteStore", "SetWorkerParams", "AddAutoTaskLimit"], null),
    "AutoTaskLimit": {"IsSend": boolean, "Group": text},
    "GetWorkerInfo": {
        **{name + end: i64 for name in ("ApAndP1", "AddPiece", "PreCommit1", "PreCommit2", "Commit1", "Commit2")
           for end in ("Max", "Now")},
        "APP1Share": boolean, "Group": label, "C2HostName": text, "StoreList": {store_key: display}, "AcceptTasks": [display]}}


def base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def mint(allow, secret=SECRET):
    """A token of B.2. The nonce makes each differ, as the one a worker holds and the one it is shown do."""
    signed = b".".join(base64url(json.dumps(part).encode()) for part in (
        {"alg": "HS256", "typ": "JWT"}, {"Allow": allow, "Nonce": uuid.uuid4().hex}))
    return (signed + b"." + base64url(hmac.digest(secret, signed, hashlib.sha256))).decode()


def levels_of(token):
    try:
        signed, _, signature = token.encode().rpartition(b".")
        if hmac.compare_digest(signature, base64url(hmac.digest(SECRET, signed, hashlib.sha256))):
            return json.loads(base64.urlsafe_b64decode(signed.split(b".")[1] + b"=="))["Allow"]
    except (ValueError, LookupError, TypeError):
        pass
    return None


class Index:
    """The storage index of B.10, in memory."""

    TYPES = {1: ("unsealed", 1.0), 2: ("sealed", 1.0), 4: ("cache", 14.1), 8: ("update", 1.0), 16: ("update-cache", 2.1),
             32: ("piece", 1.0)}

    def __init__(self, fork):
        self.fork, self.paths, self.held = fork, {}, {}
        info = {"ID": label, "URLs": names, "Weight": u64, "CanSeal": boolean, "CanStore": boolean}
        stat = {"Capacity": i64, "Available": i64, "Reserved": i64}
        if not fork:
            info |= {"MaxStorage": u64} | dict.fromkeys(
                ["Groups", "AllowTo", "AllowTypes", "DenyTypes", "AllowMiners", "DenyMiners"], names)
            stat |= {"FSAvailable": i64, "Max": i64, "Used": i64}
        bit, bits, use = one_of(*self.TYPES), integer("type bits", 1, 64), one_of("sealing", "storage")
        self.methods = {
            "StorageAttach": ([info, stat], self.attach),
            "StorageReportHealth": ([label, {"Stat": stat, "Err": text}], self.report),
            "StorageDeclareSector": ([label, SECTOR, bit, boolean], self.declare),
            "StorageDropSector": ([label, SECTOR, bits], self.drop),
            "StorageFindSector": ([SECTOR, bits, u64, boolean], self.find),
            "StorageBestAlloc": ([bits, u64, use] + ([] if fork else [u64]), self.best),
            "StorageInfo": ([label], lambda path: self.known(path)["info"]),
            "StorageList": ([], self.listed)} | ({} if fork else {"StorageDetach": ([label, label], self.detach)})

    def known(self, path):
        if path not in self.paths:
            raise Trouble(f"no storage path {path}")
        return self.paths[path]

    def attach(self, info, stat):
        self.paths[info["ID"]] = {"info": info, "stat": stat, "heard": time.monotonic()}

    def detach(self, path, url):
        info = self.known(path)["info"]
        info["URLs"] = [kept for kept in info["URLs"] or [] if kept != url]
        if not info["URLs"]:
            del self.paths[path]

    def report(self, path, health):
        self.known(path).update(stat=health["Stat"], heard=time.monotonic())

    def declare(self, path, sector, bit, primary):
        self.held[path, sector["Miner"], sector["Number"], bit] = primary

    def drop(self, path, sector, bits):
        for bit in self.TYPES:
            if bits & bit:
                self.held.pop((path, sector["Miner"], sector["Number"], bit), None)

    def roomy(self, bits, sector_size, use):
        room = sum(int(sector_size * factor) for bit, (_, factor) in self.TYPES.items() if bits & bit)
        return [path for path in self.heard() if path["stat"]["Available"] >= room
                and path["info"]["CanSeal" if use == "sealing" else "CanStore"]]

    def heard(self):
        return [path for path in self.paths.values() if time.monotonic() - path["heard"] < SILENT_PATH_SECONDS]

    def best(self, bits, sector_size, use, _miner=None):
        able = self.roomy(bits, sector_size, use)
        if not able:
            raise Trouble("no good path found")
        return [path["info"] for path in sorted(able, key=lambda path: -path["stat"]["Available"] * path["info"]["Weight"])]

    def find(self, sector, bits, sector_size, allow_fetch):
        found, fetchers = [], self.roomy(bits, sector_size, "sealing") if allow_fetch else []
        for path in self.heard():
            info, place = path["info"], (path["info"]["ID"], sector["Miner"], sector["Number"])
            held = {bit: self.held[(*place, bit)] for bit in self.TYPES if bits & bit and (*place, bit) in self.held}
            if held or path in fetchers:
                one = {name: value for name, value in info.items() if name not in ("MaxStorage", "Groups", "AllowTo")}
                one |= {"Primary": any(held.values()), "URLs": [
                    f"{url}/{self.TYPES[bit][0]}/s-t0{place[1]}-{place[2]}" for url in info["URLs"] or [] for bit in held]}
                found.append(one if self.fork else one | {"BaseURLs": info["URLs"]})
        return found or None  # a nil slice of Go

    def listed(self):
        listed = {path: {} for path in self.paths}
        for path, miner, number, bit in self.held:
            sectors = listed.setdefault(path, {})
            sectors[miner, number] = sectors.get((miner, number), 0) | bit
        return {path: [{"Miner": miner, "Number": number, "SectorFileType": bits} for (miner, number), bits in sectors.items()]
                for path, sectors in listed.items()}


def post(url, token, body, limit):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=limit)
    try:
        connection.request("POST", parts.path, body, {
            "Content-Type": "application/json"} | ({"Authorization": "Bearer " + token} if token else {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Trouble(f"{url}: {error!r}", None) from error
    finally:
        connection.close()


def result_in(status, body, number):
    """Opens an answer's envelope, as strictly as B.3 writes it."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise Misfit(f"HTTP {status} with a body that is not JSON: {body[:200]!r}") from None
    if type(answer) is not dict or ("result" in answer) == ("error" in answer):
        raise Misfit(f"HTTP {status}, not exactly one of result and error: {brief(answer)}")
    error = answer.get("error")
    fit({name: value for name, value in answer.items() if name not in ("result", "error")},
        {"jsonrpc": one_of("2.0"), "id": one_of(number)}, "answer")
    if "error" in answer:
        fit({name: value for name, value in error.items() if name != "meta"} if type(error) is dict else error,
            {"code": i64, "message": text}, "error")
    expected = 200 if error is None else STATUS.get(error["code"], 200)
    if status != expected:
        raise Misfit(f"HTTP {status} where {expected} is due: {brief(answer)}")
    if error is not None:
        raise Trouble(error["message"], error["code"])
    return answer["result"]


def nulled(value):
    """The value as Go may send it: nil slices in place of empty lists."""
    if isinstance(value, dict):
        return {name: nulled(item) for name, item in value.items()}
    return ([nulled(item) for item in value] or None) if isinstance(value, list) else value


def key_of(call_id):
    return call_id["Sector"]["Miner"], call_id["Sector"]["Number"], call_id["ID"]


def sector_in(params):
    """The sector id in the reference that a call carries; `DataCid` has none."""
    return next((param["ID"] for param in params if isinstance(param, dict) and isinstance(param.get("ID"), dict)), None)


def return_of(method):
    return "DownloadSector" if method == "DownloadSectorData" else method


def start(function, *arguments):
    threading.Thread(target=function, args=arguments, daemon=True).start()


class Worker:
    def __init__(self, url):
        self.url, self.token, self.enabled, self.answers = url, mint(LEVELS), True, {}

    def told(self):
        asked = {"session": "Session", "info": "Info", "task_types": "TaskTypes", "api": "Version", "paths": "Paths"}
        return {"url": self.url, "enabled": self.enabled} | {name: self.answers[method] for name, method in asked.items()}


class Endpoint:
    """What answers JSON-RPC, with a file of what it keeps through a restart and a script for a test to make trouble by."""

    paths, controls, script_forms = ["/rpc/v0"], {}, {}

    def __init__(self, file, kept):
        self.file, self.lock, self.session, self.sessions_asked = file, threading.RLock(), str(uuid.uuid4()), 0
        if os.path.exists(file):
            with open(file, encoding="utf-8") as opened:
                kept.update(json.load(opened))
        self.complaints = kept["complaints"]

    def save(self):
        with open(self.file + ".new", "w", encoding="utf-8") as file:
            json.dump(self.kept(), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.file + ".new", self.file)

    def note(self, complaint):
        with self.lock:
            self.complaints.append(str(complaint))
            self.save()

    def answer(self, request, allow, path):
        """The answer to one request, or None to a notification."""
        number = request.get("id") if isinstance(request, dict) else None
        try:
            answer = {"result": self.invoke(request, allow, path)}
        except Misfit as misfit:
            self.note(f"{request['method']}: {misfit}")
            answer = {"error": {"code": -32602, "message": str(misfit)}}
        except Trouble as trouble:
            answer = {"error": trouble.error}
        except Drop:
            raise
        except Exception as error:  # a fault of this program; it shows, and does not end the thread
            self.note(f"the fake miner failed: {error!r}")
            answer = {"error": {"code": 1, "message": repr(error)}}
        notification = number is None and answer.get("error", {}).get("code") != -32600
        return None if notification else {"jsonrpc": "2.0", "id": number} | answer

    def opened(self, request):
        """The method, "" where it has another prefix than `Filecoin`, and the parameters."""
        if (type(request) is not dict or request.get("jsonrpc") != "2.0" or type(request.get("method")) is not str
                or type(request.get("id")) not in (int, type(None)) or type(request.get("params")) not in (list, type(None))):
            self.note(f"invalid request: {brief(request)}")
            raise Trouble("invalid request", -32600)
        prefix, _, method = request["method"].partition(".")
        return method if prefix == "Filecoin" else "", request.get("params") or []

    def auth_verify(self, token):
        allow = levels_of(token)
        if allow is None:
            raise Trouble("JWT verification failed")
        return allow

    def told_session(self):
        self.sessions_asked += 1
        return self.session

    def set_script(self, asked):
        for name, value in asked.items():
            fit(name, one_of(*self.script), "script")
            fit(value, self.script_forms.get(name, fraction), name)
        with self.lock:
            self.script.update(asked)
            return dict(self.script)


class Miner(Endpoint):
    def __init__(self, options):
        self.fork = options.dialect == "filecash"
        self.returns, self.results = (RETURNS, FORK_RESULTS) if self.fork else (LOTUS_RETURNS, LOTUS_RESULTS)
        self.worker_api = 65536 if self.fork else 67328
        release, api = ("1.5.0", 65537) if self.fork else ("1.36.1+mainnet", 66816)
        addresses = [f"f0{options.actor}", f"t0{options.actor}"]
        self.beat, self.workers, self.dropped = options.beat, [], []
        self.connects = self.beats = self.late_beats = self.rejected_returns = self.asked = 0
        self.script = {"refuse_returns": 0, "lose_return_answers": 0, "slow_returns": 0, "delay_accept": 0}
        kept = {"calls": [], "unknown": [], "complaints": []}
        super().__init__(options.state, kept)
        self.calls, self.unknown = ({key_of(entry["id"]): entry for entry in kept[name]} for name in ("calls", "unknown"))
        self.controls = {"/control/call": self.call, "/control/raw": self.raw, "/control/forget": self.forget}
        self.methods = {
            "Version": ([], lambda: {"Version": release, "APIVersion": api, "BlockDelay": 30}),
            "Session": ([], self.told_session),
            "ActorAddress": ([], lambda: addresses[not self.fork]),
            "ActorSectorSize": ([one_of(*addresses)], lambda _: options.sector_size),
            "AuthNew": ([[one_of(*LEVELS)]], lambda allow: base64.b64encode(mint(allow).encode()).decode()),
            "AuthVerify": ([text], self.auth_verify),
            "StorageAuthVerify": ([text], self.auth_verify),
            "WorkerConnect": ([text], self.connect)} | Index(self.fork).methods

    def kept(self):
        return {"calls": list(self.calls.values()), "unknown": list(self.unknown.values()), "complaints": self.complaints}

    # What workers call.

    def invoke(self, request, allow, _path):
        method, params = self.opened(request)
        returned = method.removeprefix("Return") if method.startswith("Return") else None
        if method not in self.methods and returned not in self.returns:
            raise no_method(request)
        if "admin" not in allow:
            raise Trouble(f"missing permission to invoke '{method}' (need 'admin')")
        if returned is not None:
            return self.take_return(returned, params)
        forms, function = self.methods[method]
        fit_params(params, forms)
        if method == "WorkerConnect":  # calls back, so it must not hold the lock
            return function(*params)
        with self.lock:
            return function(*params)

    def take_return(self, name, params):
        with self.lock:
            if self.script["refuse_returns"] > 0:
                self.script["refuse_returns"] -= 1
                self.rejected_returns += 1
                raise Drop
            try:
                call, refusal = self.keep_return(name, params)
            except Misfit:
                self.rejected_returns += 1
                raise
            lose, slow = self.script["lose_return_answers"] > 0, self.script["slow_returns"]
            self.script["lose_return_answers"] -= lose
            self.rejected_returns += refusal is not None and not lose
        if call is not None and refusal is None:
            start(self.ended, call)
        time.sleep(slow)
        if lose:
            raise Drop
        if refusal is not None:
            raise Trouble(refusal)

    def keep_return(self, name, params):
        """Keeps a result. Answers the call, if known, and the refusal of a second result, in one of the two ways of B.9."""
        value, error = params[1:-1], params[-1] if params else None
        forms = self.returns[name]
        fit_params(params, [CALL_ID] + ([] if forms is None else [forms[error is not None]]) + [CALL_ERROR])
        key, came = key_of(params[0]), {"method": "Return" + name, "value": value[0] if value else None, "error": error, "times": 1}
        call, early = self.calls.get(key), self.unknown.get(key)
        if call is not None and name != return_of(call["method"]):
            raise Misfit(f"Return{name} for {brief(params[0])}, which is a call of {call['method']}")
        before, refusal = early if call is None else call["returned"], None
        if before is not None:
            before["times"] += 1
            refusal = f"result for call {key} already reported" if call else f"the channel of call {key} already has a response"
        elif call is not None:
            call["returned"] = came
        else:
            self.unknown[key] = {"id": params[0]} | came
        self.save()
        return call, refusal

    # What it calls on workers.

    def ask(self, worker, method, params=()):
        with self.lock:
            self.asked += 1
            number = self.asked
        request = {"jsonrpc": "2.0", "id": number, "method": "Filecoin." + method,
                   "params": [nulled(param) if number & 2 else param for param in params]}
        if number & 1:
            request["meta"] = {"SpanContext": base64.b64encode(os.urandom(24)).decode()}
        status, body = post(worker.url, worker.token, json.dumps(request).encode(), SECONDS.get(method, 600))
        try:
            result = result_in(status, body, number)
            if return_of(method) in self.returns:
                fit(result, CALL_ID, "call id")
                if sector_in(params) not in (None, result["Sector"]):
                    raise Misfit(f"the call id's sector is {result['Sector']}, not {sector_in(params)}")
            elif method in self.results:
                fit(result, self.results[method], "result")
        except Misfit as misfit:
            raise Misfit(f"{method} of {worker.url}: {misfit}", None) from None
        return result

    def connect(self, url):
        try:
            worker = self.meet(url)
        except (Trouble, ValueError) as why:
            self.note(f"WorkerConnect({url}): {why}")
            raise Trouble(f"connecting to the worker failed: {why}") from None
        with self.lock:
            for old in [old for old in self.workers if old.url == url]:
                self.drop(old, "connected again")
            self.workers.append(worker)
            self.connects += 1
        start(self.watch, worker)

    def meet(self, url):
        parts, worker = urllib.parse.urlsplit(url), Worker(url)
        if parts.scheme != "http" or not parts.hostname or not parts.port or parts.path != "/rpc/v0" or parts.query:
            raise Misfit(f"the address must be http://HOST:PORT/rpc/v0, not {url!r}")
        for method in ["Version", "Session", "Info", "TaskTypes", "Paths"] + (
                ["GetWorkerGroup", "GetWorkerInfo", "HasRemoteC2"] if self.fork else []):
            answer = worker.answers[method] = self.ask(worker, method)
            if method == "Version" and answer >> 8 != self.worker_api >> 8:
                raise Misfit(f"worker API {answer}, expected {self.worker_api} in major and minor")
            if method == "Session" and answer == ZERO_UUID:
                raise Misfit("the worker's session is closed")
            if method == "TaskTypes" and len(answer) > 1 and set(answer) & set(POST_TASKS):
                raise Misfit(f"a PoSt task is not offered alone: {sorted(answer)}")
        return worker

    def drop(self, worker, why):
        self.workers.remove(worker)
        self.dropped.append({"url": worker.url, "session": worker.answers["Session"], "why": why})

    def watch(self, worker):
        while True:
            time.sleep(self.beat)
            with self.lock:
                if worker not in self.workers:
                    return
                self.beats += 1
            session = None
            try:
                session = self.ask(worker, "Session")
            except Misfit as misfit:
                self.note(misfit)
            except Trouble:
                pass  # disabled, below
            with self.lock:
                if worker not in self.workers:
                    return
                worker.enabled = session is not None
                self.late_beats += session is None
                if session not in (None, worker.answers["Session"]):
                    return self.drop(worker, "closed" if session == ZERO_UUID else "another session")

    def ended(self, call):
        """A Filecash miner takes a C2 that has ended off its worker's list, if that worker is still attached."""
        if self.fork and call["method"] == "SealCommit2":
            with self.lock:
                workers = [worker for worker in self.workers if worker.url == call["worker"]]
            for worker in workers:
                self.delete_store(worker, call["id"]["Sector"])

    def delete_store(self, worker, sector):
        try:
            self.ask(worker, "DeleteStore", [sector, C2])
        except Trouble as trouble:
            if trouble.error["code"] is not None or isinstance(trouble, Misfit):
                self.note(f"DeleteStore: {trouble}")

    # What a test controls.

    def chosen(self, asked):
        with self.lock:
            if "worker" not in asked and len(self.workers) != 1:
                raise Misfit(f"there are {len(self.workers)} workers: say which one")
            return self.workers[asked.get("worker", 0)]

    def state(self, _asked):
        with self.lock:
            shown = ["session", "dropped", "complaints", "connects", "sessions_asked", "beats", "late_beats", "rejected_returns", "script"]
            state = {name: getattr(self, name) for name in shown} | {"workers": [worker.told() for worker in self.workers]}
            state |= {"calls": list(self.calls.values()), "unknown": list(self.unknown.values())}
            return json.loads(json.dumps(state))  # a copy, to be sent without the lock

    def call(self, asked):
        worker, method, params = self.chosen(asked), asked["method"], asked.get("params", [])
        counted = self.fork and method == "SealCommit2"
        try:
            if counted:
                if not self.ask(worker, "AllowableRange", [C2]):
                    return {"refused": "AllowableRange"}
                self.ask(worker, "GetWorkerGroup")
                self.ask(worker, "AddStore", [sector_in(params), C2])
            try:
                result = self.ask(worker, method, params)
            except Trouble:
                if counted:
                    self.delete_store(worker, sector_in(params))
                raise
        except Trouble as trouble:
            if isinstance(trouble, Misfit):
                self.note(trouble)
            return {"error": trouble.error}
        if return_of(method) not in self.returns:
            return {"result": result}
        time.sleep(self.script["delay_accept"])
        self.record(result, method, worker)
        return {"call": result}

    def record(self, call_id, method, worker):
        with self.lock:
            key = key_of(call_id)
            if key in self.calls:
                self.note(f"{method}: the call id {brief(call_id)} was handed out before")
                return
            came = self.unknown.pop(key, None)
            call = {"id": call_id, "method": method, "worker": worker.url, "early": came is not None, "returned": None}
            if came is not None:
                call["returned"] = {name: value for name, value in came.items() if name != "id"}
                if came["method"] != "Return" + return_of(method):
                    self.note(f"{came['method']} for {brief(call_id)}, which is a call of {method}")
            self.calls[key] = call
            self.save()
        if came is not None:
            self.ended(call)

    def raw(self, asked):
        worker = self.chosen(asked)
        tokens = {"admin": worker.token, "read": mint(["read"]), "none": None, "bad": mint(LEVELS, b"another secret")}
        try:
            status, body = post(worker.url, tokens[asked.get("token", "admin")], asked["body"].encode(), 600)
        except Trouble as trouble:
            return {"status": None, "body": str(trouble)}
        return {"status": status, "body": body.decode(errors="replace")}

    def forget(self, _asked):
        with self.lock:
            self.workers.clear()
        return {}


def no_method(request):
    return Trouble(f"method '{request['method']}' not found", -32601)


def fit_params(params, forms):
    if len(params) != len(forms):
        raise Misfit(f"{len(params)} parameters, expected {len(forms)}")
    for index, (param, form) in enumerate(zip(params, forms)):
        fit(param, form, f"params[{index}]")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    miner = None

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.guarded({"/control/state": self.miner.state})

    def do_POST(self):
        self.guarded(self.miner.controls | {
            "/control/script": self.miner.set_script, "/control/token": lambda asked: {"token": mint(asked.get("allow", LEVELS))},
            "/control/quit": self.quit})

    def guarded(self, controls):
        path, _, query = self.path.partition("?")
        try:
            body = self.read_body()
            if path in controls:
                try:
                    status, answer = 200, controls[path](json.loads(body or b"{}"))
                except Exception as error:  # whatever a test did wrong, it is told
                    status, answer = 400, {"error": {"code": None, "message": repr(error)}}
                self.reply(status, answer)
            elif path in self.miner.paths and self.command == "POST":
                self.rpc(body, query, path)
            else:
                self.reply(405 if path in self.miner.paths else 404)
        except (Drop, OSError, ValueError):
            self.close_connection = True

    def read_body(self):
        body, length = b"", int(self.headers.get("Content-Length", 0))
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            self.close_connection |= length > MOST_BYTES  # the rest stays unread
            return self.rfile.read(min(max(length, 0), MOST_BYTES + 1))
        while length := int(self.rfile.readline(100).split(b";")[0], 16):
            body += self.rfile.read(length)
            self.rfile.readline(100)
            if len(body) > MOST_BYTES:
                self.close_connection = True
                return body
        self.rfile.readline(100)
        return body

    def reply(self, status, answer=None):
        body = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def rpc(self, body, query, path):
        bearer, allow = self.headers.get("Authorization") or "", []
        if not bearer and "token" in urllib.parse.parse_qs(query):
            bearer = "Bearer " + urllib.parse.parse_qs(query)["token"][0]
        if bearer:
            allow = levels_of(bearer.removeprefix("Bearer ")) if bearer.startswith("Bearer ") else None
        if allow is None:
            return self.reply(401)
        try:
            if len(body) > MOST_BYTES:
                raise ValueError("a request of more than 100 MiB")
            request = json.loads(body)
        except (ValueError, RecursionError) as error:
            return self.reply(500, {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": str(error)}})
        if isinstance(request, list) and request:
            answers = [self.miner.answer(one, allow, path) for one in request]
            return self.reply(200, [answer for answer in answers if answer is not None] or None)
        answer = self.miner.answer(request, allow, path)
        self.reply(STATUS.get(answer["error"]["code"], 200) if answer is not None and "error" in answer else 200, answer)

    def quit(self, _asked):
        start(lambda: time.sleep(0.1) or self.server.shutdown())  # the answer goes first
        return {}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass  # a connection that broke is the other side's affair


def serve(miner, port):
    Handler.miner = miner
    server = Server(("127.0.0.1", port), Handler)
    print("ready", server.server_address[1], mint(LEVELS), flush=True)
    server.serve_forever(poll_interval=0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--dialect", choices=["lotus", "filecash"], default="lotus")
    parser.add_argument("--actor", type=int, default=1000)
    parser.add_argument("--sector-size", type=int, default=2048)
    parser.add_argument("--beat", type=float, default=10)
    options = parser.parse_args()
    serve(Miner(options), options.port)


if __name__ == "__main__":
    main()
