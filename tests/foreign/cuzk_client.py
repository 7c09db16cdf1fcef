"""A client of cuzk.v1 that shares no code with ours: grpcio, from cuzk.proto.

Reads a call a line of JSON, {"id", "call", "request", "timeout"?, "cancel_after"?}, makes each in a thread of its own, and answers
each with a line, {"id", "code", "details", "response", "seconds"}; {"cancel": ID} takes a call back. In a request, {"file": PATH} stands for a file's bytes and
{"hex": DIGITS} for bytes; bytes are answered as hex digits. The only argument is the server's address.
"""

import importlib
import json
import os
import sys
import tempfile
import threading
import time

import grpc
from grpc_tools import protoc

MOST_BYTES = 256 << 20


def generated():
    here = os.path.dirname(os.path.abspath(__file__))
    out = tempfile.mkdtemp()
    arguments = ["protoc", "-I" + here, "--python_out=" + out, "--grpc_python_out=" + out, "cuzk.proto"]
    if protoc.main(arguments) != 0:
        sys.exit("protoc failed")
    sys.path.insert(0, out)
    return importlib.import_module("cuzk_pb2"), importlib.import_module("cuzk_pb2_grpc")


def value_of(value):
    if isinstance(value, dict) and set(value) == {"file"}:
        with open(value["file"], "rb") as file:
            return file.read()
    if isinstance(value, dict) and set(value) == {"hex"}:
        return bytes.fromhex(value["hex"])
    if isinstance(value, list):
        return [value_of(item) for item in value]
    return value


def fill(message, values):
    for name, value in values.items():
        value = value_of(value)
        if isinstance(value, dict):
            fill(getattr(message, name), value)
        elif isinstance(value, list):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)


def told(message):
    values = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.type == field.TYPE_BYTES:
            value = value.hex()
        elif field.type == field.TYPE_MESSAGE and hasattr(value, "DESCRIPTOR"):
            value = told(value)
        elif field.type == field.TYPE_MESSAGE:
            value = [told(item) for item in value]
        values[field.name] = value
    return values


def main():
    messages, services = generated()
    sizes = [("grpc.max_send_message_length", MOST_BYTES), ("grpc.max_receive_message_length", MOST_BYTES)]
    # As Go's clients name a Unix socket; this one would send its path, which HTTP/2 servers need not take for a name.
    named = [("grpc.default_authority", "localhost")] if sys.argv[1].startswith("unix:") else []
    channel = grpc.insecure_channel(sys.argv[1], options=sizes + named)
    stub = services.ProvingEngineStub(channel)
    methods = messages.DESCRIPTOR.services_by_name["ProvingEngine"].methods_by_name
    lock = threading.Lock()
    running = {}

    def call(asked):
        begun = time.monotonic()
        answer = {"id": asked["id"], "code": "OK", "details": "", "response": None}
        try:
            request = getattr(messages, methods[asked["call"]].input_type.name)()
            fill(request, asked["request"])
            method = getattr(stub, asked["call"])
            pending = running[asked["id"]] = method.future(request, timeout=asked.get("timeout"))
            if "cancel_after" in asked:
                time.sleep(asked["cancel_after"])
                pending.cancel()
            answer["response"] = told(pending.result())
        except grpc.FutureCancelledError:
            answer["code"] = "CANCELLED"
        except grpc.RpcError as error:
            answer["code"], answer["details"] = error.code().name, error.details()
        answer["seconds"] = time.monotonic() - begun
        with lock:
            print(json.dumps(answer), flush=True)

    threads = []
    for line in sys.stdin:
        asked = json.loads(line)
        if "cancel" in asked:
            running[asked["cancel"]].cancel()
            continue
        thread = threading.Thread(target=call, args=(asked,))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
