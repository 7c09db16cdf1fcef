"""py-libp2p as a peer.

    py_libp2p.py [OPTIONS]

Makes a host that listens on loopback alone and looks for nobody. OPTIONS is a JSON object: "security" ("noise", or "tls") is all that it
speaks, "transport" is "tcp" or "quic", and "network" has it take part in gossip, as its presets for Filecoin have it. Writes
{"id", "addresses"} once it runs. Then reads a command a line of JSON and answers each with a line, {"answer"} or {"error"}:

    {"do": "connect", "address"}             by address and peer id
    {"do": "disconnect", "id"}, {"do": "peers"}
    {"do": "ping", "id"}                     milliseconds
    {"do": "peer", "id"}                     what a peer says of itself and is known of it: agent, protocols, security, muxer
    {"do": "serve", "as"}                    answers hello: "latency", "silence", or bytes that are something else, as hex digits
    {"do": "heard"}                          the hellos that came since the last time, each with the id of who said it
    {"do": "greet", "id", "hello" or "hex"}  says hello, or something else; what comes back until the stream ends, or an answer is whole
    {"do": "subscribe", "topic"}, {"do": "publish", "topic", "hex"}   gossip
    {"do": "received"}                       messages that came since the last time: [{"topic", "hex", "from"}]
    {"do": "mesh", "topic"}                  ids of peers in the mesh of a topic
    {"do": "topics", "network"}, {"do": "message id", "hex"}   what its presets say
    {"do": "get", "cid", "id", "path"}       writes a file that a peer has, by bitswap. Others get none from here: what it has, it sends
                                             back on the stream on which it was asked, where nobody else listens

A hello is {"heaviest": [CID], "height", "weight": hex, "genesis": CID}.
"""

import base64
import io
import json
import os
import sys
import time
from functools import partial

import cbor2
import trio
from libp2p import new_host
from libp2p.bitswap.client import BitswapClient
from libp2p.bitswap.dag import MerkleDag
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_x25519_key_pair
from libp2p.filecoin import FIL_HELLO_PROTOCOL, blocks_topic, build_filecoin_pubsub, filecoin_message_id, messages_topic
from libp2p.filecoin.interop import extract_connection_metadata
from libp2p.host.ping import PingService
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.pb import rpc_pb2
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE, Transport as Noise
from libp2p.security.tls.transport import PROTOCOL_ID as TLS, TLSTransport
from libp2p.tools.anyio_service import background_trio_service
from libp2p.utils.varint import read_length_prefixed_protobuf
from multiaddr import Multiaddr

PATIENCE = 20
LINK = 42


def link(text):
    """A CID as it stands in dag-cbor: a tag, and a zero before its bytes."""
    body = text[1:].upper()
    return cbor2.CBORTag(LINK, b"\0" + base64.b32decode(body + "=" * (-len(body) % 8)))


def text(value):
    assert value.tag == LINK and value.value[0] == 0, value
    return "b" + base64.b32encode(value.value[1:]).decode().lower().rstrip("=")


def encode_hello(hello):
    heaviest, weight = [link(cid) for cid in hello["heaviest"]], bytes.fromhex(hello["weight"])
    return cbor2.dumps([heaviest, hello["height"], weight, link(hello["genesis"])])


def decode_hello(fields):
    heaviest, height, weight, genesis = fields
    return {"heaviest": [text(cid) for cid in heaviest], "height": height, "weight": weight.hex(), "genesis": text(genesis)}


async def read_item(stream):
    """One item of CBOR; what came, and what it is, if it is whole."""
    came = b""
    with trio.move_on_after(PATIENCE):
        while True:
            try:
                part = await stream.read(4096)
            except Exception as error:
                return came, None, repr(error)
            if not part:
                return came, None, "the end"
            came += part
            try:
                return came, cbor2.load(io.BytesIO(came)), None
            except (cbor2.CBORDecodeEOF, EOFError):
                pass
    return came, None, "nothing more"


class Peer:
    def __init__(self, host, pubsub, nursery):
        self.host, self.pubsub, self.nursery = host, pubsub, nursery
        self.said, self.heard, self.received = None, [], []
        self.dag = None

    async def answer_hello(self, stream):
        # What is raised here would end the streams of all the connection.
        try:
            await self.say_back(stream)
        except Exception as error:
            print(repr(error), file=sys.stderr)

    async def say_back(self, stream):
        _, fields, _ = await read_item(stream)
        arrival = time.time_ns()
        if fields is not None:
            self.heard.append({"from": str(stream.muxed_conn.peer_id), **decode_hello(fields)})
        if self.said == "latency":
            await stream.write(cbor2.dumps([arrival, time.time_ns()]))
        elif self.said == "silence":
            await trio.sleep_forever()
        else:
            await stream.write(bytes.fromhex(self.said))
        await stream.close()

    async def greet(self, peer, hello):
        stream = await self.host.new_stream(peer, [FIL_HELLO_PROTOCOL])
        try:
            await stream.write(hello)
        except Exception as error:
            # Of what is too long nobody waits for the end.
            return {"hex": "", "item": None, "ended": repr(error)}
        came, item, ended = await read_item(stream)
        await stream.reset()
        return {"hex": came.hex(), "item": item, "ended": ended}

    async def listen(self, topic):
        subscription = await self.pubsub.subscribe(topic)

        async def run():
            while True:
                message = await subscription.get()
                source = ID(message.from_id)
                self.received.append({"topic": topic, "hex": message.data.hex(), "from": str(source)})

        self.nursery.start_soon(run)

    async def blocks(self):
        if self.dag is None:
            client = BitswapClient(self.host)
            client.set_nursery(self.nursery)
            await client.start()
            self.dag = MerkleDag(client)
        return self.dag

    async def known(self, peer):
        # What identify told is kept without the agent, so it is asked again.
        stream = await self.host.new_stream(peer, [IDENTIFY])
        told = Identify()
        told.ParseFromString(await read_length_prefixed_protobuf(stream))
        await stream.close()
        found = extract_connection_metadata(self.host, peer)
        return {"agent": told.agent_version, "protocols": list(told.protocols),
                "security": found["security_protocol"], "muxer": found["muxer_protocol"]}

    async def do(self, command):
        peer = ID.from_base58(command["id"]) if "id" in command else None
        match command["do"]:
            case "connect":
                await self.host.connect(info_from_p2p_addr(Multiaddr(command["address"])))
            case "disconnect":
                await self.host.disconnect(peer)
            case "peers":
                return [str(peer) for peer in self.host.get_connected_peers()]
            case "ping":
                return (await PingService(self.host).ping(peer))[0]
            case "peer":
                return await self.known(peer)
            case "serve":
                self.said = command["as"]
                self.host.set_stream_handler(FIL_HELLO_PROTOCOL, self.answer_hello)
            case "heard":
                heard, self.heard = self.heard, []
                return heard
            case "greet":
                hello = encode_hello(command["hello"]) if "hello" in command else bytes.fromhex(command["hex"])
                return await self.greet(peer, hello)
            case "subscribe":
                await self.listen(command["topic"])
            case "publish":
                await self.pubsub.publish(command["topic"], bytes.fromhex(command["hex"]))
            case "received":
                received, self.received = self.received, []
                return received
            case "topics":
                return [blocks_topic(command["network"]), messages_topic(command["network"])]
            case "mesh":
                return [str(peer) for peer in self.pubsub.router.mesh.get(command["topic"], [])]
            case "message id":
                return filecoin_message_id(rpc_pb2.Message(data=bytes.fromhex(command["hex"]))).hex()
            case "get":
                data, _ = await (await self.blocks()).fetch_file(command["cid"], peer_id=peer, timeout=PATIENCE)
                with open(command["path"], "wb") as file:
                    file.write(data)
            case _:
                raise ValueError("there is no such command")


async def main():
    options = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    # Others may write where answers belong.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(value):
        answers.write(json.dumps(value, default=str) + "\n")
        answers.flush()

    keys = create_new_key_pair()
    if options.get("security") == "tls":
        security = {TLS: TLSTransport(keys)}
    else:
        security = {NOISE: Noise(keys, noise_privkey=create_new_x25519_key_pair().private_key)}
    quic = options.get("transport") == "quic"
    listen = Multiaddr("/ip4/127.0.0.1/udp/0/quic-v1" if quic else "/ip4/127.0.0.1/tcp/0")
    host = new_host(key_pair=keys, sec_opt=security, listen_addrs=[listen], enable_quic=quic)
    pubsub = build_filecoin_pubsub(host, options["network"]) if "network" in options else None
    if pubsub is not None:
        # Its own messages too, beyond ten a second and topic, it would keep to itself.
        pubsub.router.spam_protection_enabled = False
    async with host.run(listen_addrs=[listen]), trio.open_nursery() as nursery:
        if pubsub is not None:
            for service in (pubsub, pubsub.router):
                await nursery.start(partial(serve, service))
            await pubsub.wait_until_ready()
        peer = Peer(host, pubsub, nursery)
        tell({"id": str(host.get_id()), "addresses": [str(address) for address in host.get_addrs()]})
        while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            try:
                tell({"answer": await peer.do(json.loads(line))})
            except Exception as error:
                tell({"error": repr(error)})
        os._exit(0)


async def serve(service, task_status):
    async with background_trio_service(service):
        task_status.started()
        await trio.sleep_forever()


trio.run(main)
