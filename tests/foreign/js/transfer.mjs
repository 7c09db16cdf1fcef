// Data transfer of another make: npm @dcdn/graphsync 0.2.5 (what it does and does not is in dcdn.mjs) on js-libp2p 3.3, over TCP and Noise.
//
//   transfer.mjs [OPTIONS]
//
// Makes a host that listens on loopback alone and looks for nobody, and keeps blocks in memory. OPTIONS is a JSON object: "protocols" are
// those of data transfer that it lets others open, of /fil/datatransfer/1.2.0 and 1.1.0. Writes {"id", "addresses"} once it runs. Then reads
// commands (lines.mjs). A "cid" may be followed by names of entries, "voucher" is dag-cbor in hex, messages are answered as DAG-JSON, and
// "ms" is how long may be waited.
//
//   {"do": "add", "hex"}, {"do": "add", "length", "seed"}   keeps a file as UnixFS, of these bytes or as many of noise: {cid, sha256, length}
//   {"do": "push", "address", "cid", "voucher"?, "voucherType"?, "ms"?}
//       offers a DAG to the peer at an address that ends with its id: {"accepted": true} once it was accepted and the peer's own graphsync
//       request for it was answered to the end, {"accepted": false, "error"} if it was refused
//   {"do": "pull", "address", "cid", "voucher"?, "voucherType"?, "ms"?}
//       asks the peer for a file: {statuses, messages: [{name, message}]} of graphsync's responses and what came in their extensions, and
//       {sha256, length} of the file, or {failed} if it did not come
//   {"do": "heard", "count"?, "ms"?}   messages of data transfer that came otherwise since the last time, when there are so many of them:
//       [{"in": "stream", "name": protocol, "from", "message"}, {"in": "request", "name": extension, "from", "message"}], with "error"
//       in the place of "message" if it could not be read
//   {"do": "forget"}                   drops all blocks

import { createHash } from 'node:crypto'

import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { fetch, push as offer } from '@dcdn/graphsync'
import { unixfs } from '@helia/unixfs'
import * as dagCbor from '@ipld/dag-cbor'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

import { Exchange, messagesIn } from './dcdn.mjs'
import { fromHex, obey, within } from './lines.mjs'

// The package tells of errors there, where answers are written.
console.log = console.error

const options = JSON.parse(process.argv[2] ?? '{}')
const node = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionGater: { denyDialMultiaddr: () => false },
  connectionMonitor: { enabled: false },
  services: { identify: identify() }
})
const exchange = new Exchange(node)
await exchange.listen(options.protocols)

const sha256 = bytes => createHash('sha256').update(bytes).digest('hex')
const value = hex => hex == null ? undefined : dagCbor.decode(fromHex(hex))

async function add ({ hex, length, seed }) {
  const bytes = hex == null ? createHash('shake256', { outputLength: length }).update(String(seed)).digest() : fromHex(hex)
  const cid = await unixfs({ blockstore: exchange.blocks }).addBytes(bytes)
  return { cid: cid.toString(), sha256: sha256(bytes), length: bytes.length }
}

/** Waits until a request of a peer for a DAG has been answered, or could not be. */
function answered (root, peer) {
  const { promise, resolve, reject } = Promise.withResolvers()
  const listeners = { responseCompleted: () => resolve(), networkErrorListener: ({ error }) => reject(error) }
  const listening = Object.entries(listeners).map(([name, does]) => [name, event => {
    if (event.root.toString() === root && event.peer.toString() === peer) {
      does(event)
    }
  }])
  listening.forEach(([name, does]) => exchange.on(name, does))
  // It may fail before anybody waits for it.
  promise.catch(() => {})
  return { promise, stop: () => listening.forEach(([name, does]) => exchange.off(name, does)) }
}

async function push ({ address, cid, voucher, voucherType, ms = 60_000 }) {
  const asked = answered(cid.split('/')[0], address.split('/').at(-1))
  const init = { exchange, maddr: multiaddr(address), voucher: value(voucher), voucherType }
  try {
    await within(ms, 'an answer to a push', offer(cid, init))
    await within(ms, 'a request for what is pushed, and all of its answer', asked.promise)
    return { accepted: true }
  } catch (error) {
    if (error.message !== 'request refused') {
      throw error
    }
    return { accepted: false, error: error.message }
  } finally {
    asked.stop()
  }
}

async function pull ({ address, cid, voucher, voucherType, ms = 60_000 }) {
  const answer = { statuses: [], messages: [] }
  const [ended, failed] = [Promise.withResolvers(), Promise.withResolvers()]
  // The package looks neither at statuses nor at whether its request could be sent.
  const watched = (root, selector) => {
    const request = exchange.request(root, selector)
    request.on('incomingResponse', ({ stat, ext }) => {
      answer.statuses.push(stat)
      answer.messages.push(...messagesIn(ext))
      if (stat === 20) {
        ended.resolve()
      } else if (stat > 20) {
        failed.reject(new Error(`graphsync ended with ${stat}`))
      }
    })
    const open = request.open.bind(request)
    request.open = (...to) => open(...to).catch(failed.reject)
    return request
  }
  const file = async () => {
    const response = await fetch(cid, {
      headers: {},
      provider: multiaddr(address),
      exchange: { network: exchange.network, request: watched },
      voucher: value(voucher),
      voucherType
    })
    const bytes = new Uint8Array(await response.arrayBuffer())
    // The last status may come after the last block. There is none of a file that was here.
    if (answer.statuses.length > 0) {
      await ended.promise
    }
    return bytes
  }
  try {
    const bytes = await within(ms, 'the end of a pull', Promise.race([file(), failed.promise]))
    Object.assign(answer, { sha256: sha256(bytes), length: bytes.length })
  } catch (error) {
    answer.failed = error.message
  }
  return answer
}

await obey({ id: node.peerId.toString(), addresses: node.getMultiaddrs().map(String) }, {
  add,
  push,
  pull,
  heard: command => exchange.heard(command),
  forget: () => exchange.blocks.kept.clear()
})
