// How these programs are spoken to: a command a line of JSON, each answered by a line, {"answer"} or {"error"}, in that order.

import { createInterface } from 'node:readline'

function tell (value) {
  process.stdout.write(JSON.stringify(value) + '\n')
}

/** Says that the program is ready, then does what it is told until nobody tells it more. */
export async function obey (ready, commands) {
  tell(ready)
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      const command = JSON.parse(line)
      const does = commands[command.do]
      if (does == null) {
        throw new Error('there is no such command')
      }
      tell({ answer: (await does(command)) ?? null })
    } catch (error) {
      tell({ error: error.stack ?? String(error) })
    }
  }
  process.exit(0)
}

export const fromHex = text => new Uint8Array(Buffer.from(text, 'hex'))
export const toHex = bytes => Buffer.from(bytes).toString('hex')

/** Waits for something, and not for ever. */
export async function within (ms, what, promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms)
  })
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
