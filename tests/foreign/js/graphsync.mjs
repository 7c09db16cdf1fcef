// Asks for parts of DAGs by graphsync 2.0.0. A message is {"gs2": {"req", "rsp", "blk"}} in dag-cbor, behind its length; answers come on
// streams that the other side opens. A block comes as the prefix of its CID and its bytes, so its CID here is that of what did come.
//
//   {"do": "graphsync", "peer": address, "cid", "selector": hex, "extensions"?: {name: hex}, "cancelAfter"?: blocks, "ms"?}
//
// Answers {statuses, links: [[cid, action]], blocks, bytes, messages, extensions: {name: hex}, missing, unasked, walk}: "missing" are links said to be
// present without a block that has their hash, "unasked" blocks without such a link, and "walk" the links in the order in which all of
// the DAG is walked over, as far as blocks came.

import { randomBytes } from 'node:crypto'

import * as dagCbor from '@ipld/dag-cbor'
import * as dagPb from '@ipld/dag-pb'
import { multiaddr } from '@multiformats/multiaddr'
import { blake2b256 } from '@multiformats/blake2/blake2b'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { identity } from 'multiformats/hashes/identity'
import { sha256 } from 'multiformats/hashes/sha2'

import { framed, frames, readVarint, send } from './frames.mjs'
import { fromHex, toHex, within } from './lines.mjs'

const PROTOCOL = '/ipfs/graphsync/2.0.0'
const MAX_MESSAGE = 4 << 20
const HASHERS = new Map([sha256, blake2b256, identity].map(hasher => [hasher.code, hasher]))
const CODECS = new Map([dagCbor, dagPb, raw].map(codec => [codec.code, codec]))

/** Of version, codec, hash and length of the digest, and the bytes. */
async function cidOf (prefix, bytes) {
  const fields = []
  for (let at = 0; at < prefix.length;) {
    const { value, length } = readVarint(prefix, at)
    fields.push(value)
    at += length
  }
  const [version, codec, code, length] = fields
  const hasher = HASHERS.get(code)
  if (fields.length !== 4 || hasher == null) {
    throw new Error(`a block with the prefix ${toHex(prefix)}`)
  }
  const digest = await hasher.digest(bytes)
  if (digest.digest.length !== length) {
    throw new Error(`a digest of ${length} bytes`)
  }
  return CID.create(version, codec, digest)
}

function * linksIn (value) {
  const cid = CID.asCID(value)
  if (cid != null) {
    yield cid
  } else if (value != null && typeof value === 'object' && !ArrayBuffer.isView(value)) {
    for (const part of Object.values(value)) {
      yield * linksIn(part)
    }
  }
}

function walk (root, blocks) {
  const seen = []
  const left = [root]
  while (left.length > 0) {
    const cid = left.pop()
    seen.push(cid.toString())
    const bytes = blocks.get(cid.toString())
    if (bytes != null) {
      left.push(...[...linksIn(CODECS.get(cid.code).decode(bytes))].reverse())
    }
  }
  return seen
}

/** What has come for a request. */
class Gathered {
  statuses = []
  links = []
  blocks = new Map()
  bytes = 0
  messages = 0
  extensions = {}
  done = Promise.withResolvers()

  report (root) {
    const present = this.links.filter(([, action]) => action === 'p').map(([cid]) => cid)
    const { statuses, links, bytes, messages, extensions } = this
    return {
      statuses,
      links,
      blocks: this.blocks.size,
      bytes,
      messages,
      extensions,
      missing: present.filter(cid => !this.blocks.has(cid)),
      unasked: [...this.blocks.keys()].filter(cid => !present.includes(cid)),
      walk: walk(root, this.blocks)
    }
  }
}

export class Graphsync {
  open = new Map()

  constructor (node) {
    this.node = node
  }

  async listen () {
    await this.node.handle(PROTOCOL, async stream => {
      try {
        for await (const frame of frames(stream, MAX_MESSAGE)) {
          await this.take(dagCbor.decode(frame).gs2)
        }
        await stream.close()
      } catch (error) {
        stream.abort(error)
        this.open.forEach(gathered => gathered.done.reject(error))
      }
    })
  }

  async take ({ rsp = [], blk = [] }) {
    // A message does not say which of its requests a block is for.
    const concerned = rsp.map(({ reqid }) => this.open.get(toHex(reqid))).filter(gathered => gathered != null)
    for (const [prefix, bytes] of blk) {
      const cid = (await cidOf(prefix, bytes)).toString()
      for (const gathered of concerned) {
        gathered.blocks.set(cid, bytes)
        gathered.bytes += bytes.length
      }
    }
    for (const { reqid, stat, meta = [], ext = {} } of rsp) {
      const gathered = this.open.get(toHex(reqid))
      if (gathered == null) {
        continue
      }
      gathered.messages += 1
      gathered.statuses.push(stat)
      gathered.links.push(...meta.map(([link, action]) => [link.toString(), action]))
      for (const [name, value] of Object.entries(ext)) {
        gathered.extensions[name] = toHex(dagCbor.encode(value))
      }
      gathered.came?.(gathered)
      if (stat >= 20) {
        gathered.done.resolve()
      }
    }
  }

  async request ({ peer, cid, selector, extensions = {}, cancelAfter, ms = 60_000 }) {
    const [id, root] = [randomBytes(16), CID.parse(cid)]
    const gathered = new Gathered()
    this.open.set(toHex(id), gathered)
    const stream = await this.node.dialProtocol(multiaddr(peer), PROTOCOL)
    const ask = async request => await send(stream, framed(dagCbor.encode({ gs2: { req: [{ id, ...request }] } })))
    if (cancelAfter != null) {
      gathered.came = async ({ blocks }) => {
        if (blocks.size >= cancelAfter) {
          gathered.came = null
          await ask({ type: 'c' })
        }
      }
    }
    const ext = Object.fromEntries(Object.entries(extensions).map(([name, hex]) => [name, dagCbor.decode(fromHex(hex))]))
    await ask({ type: 'n', pri: 0, root, sel: dagCbor.decode(fromHex(selector)), ...(Object.keys(ext).length > 0 ? { ext } : {}) })
    try {
      await within(ms, 'the end of a request', gathered.done.promise)
    } catch (error) {
      error.message += `, after ${JSON.stringify(gathered.statuses)}`
      throw error
    } finally {
      this.open.delete(toHex(id))
    }
    await stream.close()
    return gathered.report(root)
  }
}
