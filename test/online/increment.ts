import { spawn } from 'node:child_process'
import type { OnlineKey, OnlineStore } from '../../online/store.ts'
import { programFile } from '../cli/run-lockstep.ts'
import { expecting, stored, storedCount } from './stored-bytes.ts'

/** Adds one to the stored frontier of a key, `times` times, as any writer must: read, compare, retry. */
export async function increment(store: OnlineStore, key: OnlineKey, times: number): Promise<void> {
  for (let done = 0; done < times;) {
    const [bytes] = await store.read([key])
    const count = bytes ? storedCount(bytes) : null
    const [won] = await store.write([{ ...key, expected: count === null ? null : expecting(count), bytes: stored((count ?? 0) + 1, '') }])
    if (won) done++
  }
}

/** Another process that opens the store so often, and each time increments the keys `a` and `b` so many times. */
export function incrementElsewhere(address: readonly string[], times: number, openings = 1): Promise<void> {
  const file = programFile('test/online/increment-process')
  const child = spawn(process.execPath, [file, String(openings), String(times), ...address], { stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (chunk) => (errors += String(chunk)))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`The incrementing process ended with ${code}: ${errors}`))))
  })
}
