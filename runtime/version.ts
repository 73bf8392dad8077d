import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The version of Lockstep that runs: `0.1.0`. */
export function readVersion(): string {
  const manifest: { version: string } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8'))
  return manifest.version
}
