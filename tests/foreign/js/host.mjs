// js-libp2p as a peer.
//
//   host.mjs [OPTIONS]
//
// Makes a host that listens on loopback alone and looks for nobody. OPTIONS is a JSON object: "security" ("noise", or "tls") and
// "transport" ("tcp", or "quic") are all that it speaks; "gossip" has it take part in gossip, "sink" only seem to. Writes
// {"id", "addresses"} once it runs.
// Then reads commands (lines.mjs):
//
//   {"do": "connect", "address"}               the id of who answers
//   {"do": "ping", "address"}                  milliseconds
//   {"do": "ask", "address", "protocol", "hex"}   what comes on a stream until its end, after these bytes went
//   {"do": "peer", "id"}                       what is known of a peer: agent, protocols, encryption, multiplexer, direction
//   {"do": "subscribe", "topic"}, {"do": "publish", "topic", "hex"}   gossip
//   {"do": "received"}                         messages that came since the last time: [{"topic", "hex", "from"}]
//   {"do": "mesh", "topic"}                    ids of peers in the mesh of a topic
//   {"do": "graphsync", …}                     graphsync.mjs
//   {"do": "flood", …}, {"do": "streams", …}, {"do": "sockets", …}   raw.mjs

import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { multiaddr } from '@multiformats/multiaddr'
import { blake2b256 } from '@multiformats/blake2/blake2b'
import { createLibp2p } from 'libp2p'

import { Graphsync } from './graphsync.mjs'
import { fromHex, obey, toHex } from './lines.mjs'
import { flood, sink, sockets, streams } from './raw.mjs'

const options = JSON.parse(process.argv[2] ?? '{}')

async function transport () {
  if (options.transport !== 'quic') {
    return { listen: '/ip4/127.0.0.1/tcp/0', make: tcp() }
  }
  const { quic } = await import('@chainsafe/libp2p-quic')
  return { listen: '/ip4/127.0.0.1/udp/0/quic-v1', make: quic() }
}

function gossip () {
  return gossipsub({
    // As in Filecoin's networks: by the bytes alone.
    msgIdFn: async message => (await blake2b256.digest(message.data)).digest,
    globalSignaturePolicy: 'StrictSign',
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    floodPublish: true
  })
}

const { listen, make } = await transport()
const node = await createLibp2p({
  addresses: { listen: [listen] },
  transports: [make],
  connectionEncrypters: [options.security === 'tls' ? tls() : noise()],
  streamMuxers: [yamux()],
  connectionGater: { denyDialMultiaddr: () => false },
  connectionMonitor: { enabled: false },
  services: {
    identify: identify(),
    ping: ping(),
    ...(options.gossip ? { gossip: gossip() } : {})
  }
})

let messages = []
node.services.gossip?.addEventListener('message', ({ detail }) => {
  messages.push({ topic: detail.topic, hex: toHex(detail.data), from: detail.from.toString() })
})

function received () {
  const those = messages
  messages = []
  return those
}

async function ask ({ address, protocol, hex }) {
  const stream = await node.dialProtocol(multiaddr(address), protocol)
  stream.send(fromHex(hex))
  const parts = []
  for await (const part of stream) {
    parts.push(part.subarray())
  }
  return toHex(Buffer.concat(parts))
}

async function peer ({ id }) {
  const peerId = peerIdFromString(id)
  const known = await node.peerStore.get(peerId)
  const agent = known.metadata.get('AgentVersion')
  const connections = node.getConnections(peerId).map(({ encryption, multiplexer, direction, remoteAddr }) =>
    ({ encryption, multiplexer, direction, address: remoteAddr.toString() }))
  return { agent: agent && Buffer.from(agent).toString(), protocols: known.protocols, connections }
}

if (options.sink) {
  await sink(node)
}
const graphsync = new Graphsync(node)
await graphsync.listen()

await obey({ id: node.peerId.toString(), addresses: node.getMultiaddrs().map(String) }, {
  connect: async ({ address }) => (await node.dial(multiaddr(address))).remotePeer.toString(),
  ping: async ({ address }) => await node.services.ping.ping(multiaddr(address)),
  peers: () => node.getPeers().map(String),
  peer,
  ask,
  subscribe: ({ topic }) => node.services.gossip.subscribe(topic),
  publish: async ({ topic, hex }) => (await node.services.gossip.publish(topic, fromHex(hex))).recipients.map(String),
  received,
  mesh: ({ topic }) => node.services.gossip.getMeshPeers(topic),
  graphsync: command => graphsync.request(command),
  flood: command => flood(node, command),
  streams: command => streams(node, command),
  sockets
})
