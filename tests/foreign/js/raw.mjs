// A peer that means no good: bytes on streams, as many as one likes, without a protocol's own restraint.
//
//   {"do": "flood", "address", "kind", "topic", "times"}   writes frames of gossip on a stream, and on another when that is ended: {sent, bytes,
//                                                          streams, failed: last error}. "kind" is one of KINDS
//   {"do": "streams", "address", "protocol", "hex", "times"}   opens streams, writes the bytes on each, and holds them open:
//                                                          {opened, failed: first error}
//   {"do": "sockets", "address", "times"}                  opens TCP connections on which it says nothing, and holds them: how many were

import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

import { multiaddr } from '@multiformats/multiaddr'

import { framed, varint } from './frames.mjs'
import { fromHex } from './lines.mjs'

const GOSSIP = '/meshsub/1.2.0'
/** What may wait to be sent: it goes in one frame of yamux, which of more than 1 MiB is too large for others than js-libp2p. */
const MOST = 512 << 10

const field = (number, bytes) => Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes])
const flag = (number, value) => Buffer.concat([varint(number * 8), varint(value)])
const text = value => Buffer.from(value)
const many = (times, make) => Buffer.concat(Array.from({ length: times }, make))
/**
 * RPC: 1 subscriptions (1 subscribe, 2 topic), 2 publish (2 data, 4 topic), 3 control (1 IHAVE, 2 IWANT, 3 GRAFT, 5 IDONTWANT). Control of more
 * than 16 KiB is too much for us.
 */
const KINDS = {
  garbage: () => randomBytes(64 << 10),
  // Of nobody, and signed by nobody.
  unsigned: topic => field(2, Buffer.concat([field(2, randomBytes(64 << 10)), field(4, text(topic))])),
  subscribe: () => many(100, () => field(1, Buffer.concat([flag(1, 1), field(2, text(randomBytes(64).toString('hex')))]))),
  have: topic => field(3, field(1, Buffer.concat([field(1, text(topic)), many(450, () => field(2, randomBytes(32)))]))),
  want: () => field(3, field(2, many(450, () => field(1, randomBytes(32))))),
  graft: topic => many(500, () => field(3, field(3, field(1, text(topic))))),
  'do not want': () => field(3, field(5, field(1, randomBytes(15_000)))),
  'too much': topic => field(3, field(1, Buffer.concat([field(1, text(topic)), many(5000, () => field(2, randomBytes(32)))])))
}

/** Has gossip come and takes no notice of it: who does not speak it is not listened to either. */
export async function sink (node) {
  await node.handle(GOSSIP, stream => { stream.addEventListener('message', () => {}) })
}

/** Waits until no more than this is left to be sent. A stream that was reset while it was full does not say so: it moves no more. */
async function drained (stream, most) {
  for (let [left, still] = [Infinity, 0]; stream.writeBufferLength > most; await delay(5)) {
    still = stream.writeBufferLength < left ? 0 : still + 1
    left = stream.writeBufferLength
    if (still > 200) {
      throw new Error('it is not read')
    }
  }
}

export async function flood (node, { address, kind, topic, times }) {
  const answer = { sent: 0, bytes: 0, streams: 0 }
  const connection = await node.dial(multiaddr(address))
  for (let tries = 0; answer.sent < times && tries < 20; tries++) {
    try {
      const stream = await connection.newStream(GOSSIP)
      answer.streams++
      for (; answer.sent < times; answer.sent++) {
        const frame = framed(KINDS[kind](topic))
        stream.send(frame)
        await drained(stream, MOST)
        answer.bytes += frame.length
      }
      await drained(stream, 0)
    } catch (error) {
      answer.failed = String(error)
    }
  }
  answer.connection = connection.status
  return answer
}

const held = []

export async function streams (node, { address, protocol, hex, times }) {
  const bytes = fromHex(hex)
  let [opened, failed] = [0, null]
  for (let count = 0; count < times; count++) {
    try {
      const stream = await node.dialProtocol(multiaddr(address), protocol, { signal: AbortSignal.timeout(1000) })
      opened += 1
      held.push(stream)
      stream.send(bytes)
    } catch (error) {
      failed ??= String(error)
    }
  }
  return { opened, failed }
}

export async function sockets ({ address, times }) {
  const [, , host, , port] = address.split('/')
  const open = await Promise.allSettled(Array.from({ length: times }, () => new Promise((resolve, reject) => {
    held.push(connect({ host, port }, resolve).on('error', reject))
  })))
  return open.filter(({ status }) => status === 'fulfilled').length
}
