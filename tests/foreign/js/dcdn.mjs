// What npm @dcdn/graphsync 0.2.5 is put on. It was made for js-libp2p 0.40, which does not reach peers of today, but takes any network that it
// is handed. What speaks is its own code, graphsync 2.0.0 in `GraphSync` and data transfer in `push` and `fetch`; here are streams as it knows
// them, a store of blocks, and a record of what it is told. What is true of it:
//
// - A message of data transfer is one item of dag-cbor on a stream of its own, of /fil/datatransfer/1.2.0 alone, and is read until the end of
//   the stream. It closes the streams that it opened, and leaves open those that were opened to it; these are closed here.
// - `push` takes the first response with its number for the answer, of whatever type, and only from a stream: it does not look at extensions
//   of the graphsync request that comes. Then it says nothing more: it never sends `complete`, nor waits for it. One push at a time is heard.
// - `fetch` asks in the extension fil/data-transfer/1.1, if it has both a voucher and its type, and does not look at what is answered there.
//   It listens to no streams of data transfer. What is here already is not asked for; if a block is missing, all of the DAG is.
// - As who asks by graphsync, it does not look at statuses: for what was refused it waits without an end. It never cancels. Blocks may come in
//   any order; those that it did not ask for are kept aside. Leaves of a file are raw blocks or nodes of the type file; it passes over those
//   of the type raw.
// - As who answers, it answers whoever asks, sends a block as often as the DAG names it, and says 14 and at last 20. Where a block is missing
//   the answer ends without a last status ("networkErrorListener").
// - The number of a transfer is the time, in milliseconds since 1970.

import { setTimeout as delay } from 'node:timers/promises'

import { GraphSync } from '@dcdn/graphsync'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagJson from '@ipld/dag-json'
import { blake2b256 } from '@multiformats/blake2/blake2b'

export const TRANSFER = ['/fil/datatransfer/1.2.0', '/fil/datatransfer/1.1.0']
const GRAPHSYNC = '/ipfs/graphsync/2.0.0'
const EXTENSIONS = 'fil/data-transfer'
const MAX_MESSAGE = 1 << 20
/** What may wait to be sent: it goes in one frame of yamux, which of more than 1 MiB is too large for others than js-libp2p. */
const MOST = 512 << 10

/** As DAG-JSON says it. */
export const asJson = value => JSON.parse(dagJson.stringify(value))

/** Messages of data transfer in the extensions of a request or a response. */
export function messagesIn (extensions = {}) {
  return Object.entries(extensions)
    .filter(([name]) => name.startsWith(EXTENSIONS))
    .map(([name, message]) => ({ name, message: asJson(message) }))
}

async function write (stream, bytes) {
  for (let at = 0; at < bytes.byteLength; at += MOST) {
    stream.send(bytes.subarray(at, at + MOST))
    while (stream.writeBufferLength > 0) {
      if (stream.writeStatus !== 'writable') {
        throw new Error('a stream ended before all was sent')
      }
      await delay(1)
    }
  }
}

function duplex (stream) {
  return {
    source: stream,
    sink: async source => {
      for await (const bytes of source) {
        await write(stream, bytes.subarray())
      }
    },
    close: () => stream.close()
  }
}

async function all (stream) {
  const parts = []
  let length = 0
  for await (const part of stream) {
    parts.push(part.subarray())
    length += part.byteLength
    if (length > MAX_MESSAGE) {
      throw new Error(`a message of more than ${MAX_MESSAGE} bytes`)
    }
  }
  return new Uint8Array(Buffer.concat(parts))
}

class Network {
  handlers = new Map()
  /** Of data transfer, on streams and in requests, and what could not be read. */
  messages = []
  peerStore = {
    addressBook: { add: (peer, multiaddrs) => { this.known = this.node.peerStore.merge(peer, { multiaddrs }) } }
  }

  constructor (node) {
    this.node = node
  }

  async handle (protocol, handler) {
    this.handlers.set(protocol, handler)
  }

  async unhandle (protocol) {
    this.handlers.delete(protocol)
  }

  async dialProtocol (peer, protocols, options) {
    await this.known
    return duplex(await this.node.dialProtocol(peer, protocols, options))
  }

  async listen (protocols) {
    await this.node.handle(protocols, async (stream, connection) => {
      try {
        await this.take(stream, connection)
        await stream.close()
      } catch (error) {
        this.messages.push({ in: 'stream', name: stream.protocol, from: connection.remotePeer.toString(), error: String(error) })
        stream.abort(error)
      }
    })
  }

  async take (stream, connection) {
    const handler = this.handlers.get(stream.protocol)
    if (stream.protocol === GRAPHSYNC) {
      await handler({ stream: duplex(stream), connection })
      return
    }
    const bytes = await all(stream)
    const message = asJson(dagCbor.decode(bytes))
    this.messages.push({ in: 'stream', name: stream.protocol, from: connection.remotePeer.toString(), message })
    await handler?.({ stream: { source: [bytes], sink: async () => {} }, connection })
  }
}

class Blocks {
  kept = new Map()

  async get (cid) {
    const bytes = this.kept.get(cid.toString())
    if (bytes == null) {
      throw new Error(`there is no block ${cid}`)
    }
    return bytes
  }

  async put (cid, bytes) {
    this.kept.set(cid.toString(), bytes)
    return cid
  }
}

export class Exchange extends GraphSync {
  constructor (node) {
    super(new Network(node), new Blocks())
    // By itself it knows SHA-256 only.
    this.hashers[blake2b256.code] = blake2b256
  }

  async listen (transfer = TRANSFER) {
    this.start()
    await this.network.listen([GRAPHSYNC, ...transfer])
  }

  async _handleRequest (peer, request) {
    this.network.messages.push(...messagesIn(request.ext).map(message => ({ in: 'request', from: peer.toString(), ...message })))
    await super._handleRequest(peer, request)
  }

  /** Messages that came since the last time, as soon as there are so many of them. */
  async heard ({ count = 0, ms = 60_000 }) {
    const { messages } = this.network
    for (const end = Date.now() + ms; messages.length < count; await delay(5)) {
      if (Date.now() > end) {
        throw new Error(`not within ${ms} ms: ${count} messages, after ${JSON.stringify(messages)}`)
      }
    }
    return messages.splice(0)
  }
}
