// Messages behind their lengths, as unsigned varints.

export function varint (value) {
  const bytes = []
  for (let left = BigInt(value); ; left >>= 7n) {
    if (left < 0x80n) {
      return Uint8Array.from([...bytes, Number(left)])
    }
    bytes.push(Number(left & 0x7fn) | 0x80)
  }
}

/** A number and how many bytes it took; nothing when some are missing. */
export function readVarint (bytes, at = 0) {
  let value = 0
  for (let length = 1; length <= 5; length++) {
    const byte = bytes[at + length - 1]
    if (byte === undefined) {
      return
    }
    value += (byte & 0x7f) * 2 ** (7 * (length - 1))
    if (byte < 0x80) {
      return { value, length }
    }
  }
  throw new Error('a length that does not end')
}

export function framed (bytes) {
  return Buffer.concat([varint(bytes.length), bytes])
}

/** The frames that come on a stream. */
export async function * frames (stream, limit) {
  let kept = Buffer.alloc(0)
  for await (const part of stream) {
    kept = Buffer.concat([kept, part.subarray()])
    for (let head; (head = readVarint(kept)) != null && kept.length >= head.length + head.value;) {
      yield kept.subarray(head.length, head.length + head.value)
      kept = kept.subarray(head.length + head.value)
    }
    if (kept.length > limit) {
      throw new Error(`a message of more than ${limit} bytes`)
    }
  }
  if (kept.length > 0) {
    throw new Error('a stream ended within a message')
  }
}

/** Sends bytes, no faster than they are taken. */
export async function send (stream, bytes) {
  if (!stream.send(bytes)) {
    await stream.onDrain()
  }
}
