// Helia, the JavaScript program of IPFS, as a peer: UnixFS and bitswap over TCP, Noise and yamux.
//
//   helia.mjs
//
// Makes a node that listens on loopback alone, keeps blocks in memory and looks for nobody: no DHT, no gateways, no bootstrap list. Writes
// {"id", "addresses"} once it runs. Then reads commands (lines.mjs):
//
//   {"do": "add", "path"}                 the CID of a file
//   {"do": "get", "cid", "peer"?, "ms"?}  reads a file, from a peer at this address if need be: {sha256, length}
//   {"do": "has", "cid"}                  whether a block is kept here
//   {"do": "connect", "address"}, {"do": "peers"}

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'

import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { unixfs } from '@helia/unixfs'
import * as dagCbor from '@ipld/dag-cbor'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { blake2b256 } from '@multiformats/blake2/blake2b'
import { createHeliaLight } from 'helia'
import { CID } from 'multiformats/cid'

import { obey } from './lines.mjs'

const helia = withBitswap(withLibp2pLight(createHeliaLight({ codecs: [dagCbor], hashers: [blake2b256] }), {
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionGater: { denyDialMultiaddr: () => false },
  services: { identify: identify() }
}))
await helia.start()
const files = unixfs(helia)

async function get ({ cid, peer, ms = 60_000 }) {
  if (peer != null) {
    await helia.libp2p.dial(multiaddr(peer))
  }
  const hash = createHash('sha256')
  let length = 0
  for await (const part of files.cat(CID.parse(cid), { signal: AbortSignal.timeout(ms) })) {
    hash.update(part)
    length += part.length
  }
  return { sha256: hash.digest('hex'), length }
}

await obey({ id: helia.libp2p.peerId.toString(), addresses: helia.libp2p.getMultiaddrs().map(String) }, {
  add: async ({ path }) => (await files.addByteStream(createReadStream(path))).toString(),
  get,
  has: ({ cid }) => helia.blockstore.has(CID.parse(cid)),
  connect: async ({ address }) => (await helia.libp2p.dial(multiaddr(address))).remotePeer.toString(),
  peers: () => helia.libp2p.getPeers().map(String)
})
