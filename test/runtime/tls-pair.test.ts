import { chmodSync, copyFileSync } from 'node:fs'
import { chmod, copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createLogger } from '../../runtime/log.ts'
import type { TlsFiles, TlsPair } from '../../runtime/tls-pair.ts'
import { openTlsPair } from '../../runtime/tls-pair.ts'
import { failureOf } from './failure-of.ts'

const kept = (name: string): string => join(import.meta.dirname, 'tls', name)
/** When the certificate "first" expires. */
const expiresMs = Date.UTC(2126, 10, 3, 5, 15, 23)

let folder: string
let files: TlsFiles
let logged: string[]
let pair: TlsPair | null
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-tls-'))
  files = { cert: join(folder, 'a.crt'), key: join(folder, 'a.key') }
  logged = []
  pair = null
  put('first')
})
afterEach(async () => {
  pair?.close()
  await rm(folder, { recursive: true })
})

/** In one go: a pair that is half replaced for 200 ms is read, and warned of. */
function put(name: string): void {
  copyFileSync(kept(`${name}.crt`), files.cert)
  copyFileSync(kept(`${name}.key`), files.key)
  chmodSync(files.key, 0o600)
}

function open(nowMs = Date.now(), pollMs = 100): { pair: TlsPair; metrics: Registry } {
  const metrics = new Registry()
  const log = createLogger('info', { write: (line) => void logged.push(line) })
  pair = openTlsPair(files, { log, metrics, now: () => nowMs, pollMs })
  return { pair, metrics }
}

describe('a certificate and its key', () => {
  it('are reread when their files change, and report their expiry', async () => {
    // notices of the file system alone
    const { pair: opened, metrics } = open(Date.now(), 3_600_000)
    const used: string[] = []
    opened.onChange(({ cert }) => void used.push(cert))
    const before = opened.context.cert
    expect(await metrics.metrics()).toContain(`lockstep_tls_certificate_expiry_timestamp_seconds ${expiresMs / 1000}\n`)
    put('second')
    await vi.waitUntil(() => used.length > 0, 60_000)
    expect(used).toEqual([opened.context.cert])
    expect(opened.context.cert).not.toBe(before)
    expect([opened.warnings(), logged.length]).toEqual([[], 1])
  })

  it('stay in use while the new ones are unusable', async () => {
    const { pair: opened } = open()
    const { cert } = opened.context
    await copyFile(kept('second.key'), files.key)
    await vi.waitUntil(() => opened.warnings().length > 0, 60_000)
    expect(opened.context.cert).toBe(cert)
    expect(opened.warnings()[0]).toContain('cannot be used')
    expect(logged.find((line) => line.includes('does not belong to the certificate'))).toContain('"level":"warn"')
    put('second')
    await vi.waitUntil(() => opened.warnings().length === 0, 60_000)
    expect(opened.context.cert).not.toBe(cert)
  })

  it('warn from 14 days before they expire', () => {
    const day = 86_400_000
    expect(open(expiresMs - 15 * day).pair.warnings()).toEqual([])
    expect(logged).toEqual([])
    pair?.close()
    expect(open(expiresMs - 13 * day).pair.warnings()).toEqual(['The TLS certificate expires on 2126-11-03; replace it.'])
    pair?.close()
    expect(open(expiresMs + day).pair.warnings()[0]).toContain('expired on 2126-11-03')
    expect(logged).toEqual([
      expect.stringMatching(/"level":"warn".*expires on 2126-11-03/) as string,
      expect.stringMatching(/"level":"warn".*expired on 2126-11-03/) as string,
    ])
  })

  it('are refused if they do not match, with the file and the remedy', async () => {
    const refused = () => failureOf(Promise.resolve().then(() => open()))
    await copyFile(kept('second.crt'), files.cert)
    expect(await refused()).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(`The key "${files.key}" does not belong`),
    })
    await writeFile(files.key, 'hush')
    expect(await refused()).toMatchObject({ message: expect.stringMatching(/a\.key" of LOCKSTEP_TLS_KEY is not a private key in PEM/) })
    await writeFile(files.cert, '')
    expect(await refused()).toMatchObject({ message: expect.stringMatching(/a\.crt" of LOCKSTEP_TLS_CERT is not a certificate in PEM/) })
    await rm(files.cert)
    expect(await refused()).toMatchObject({
      message: expect.stringMatching(/a\.crt" of LOCKSTEP_TLS_CERT cannot be read: there is no such file or folder/),
    })
  })

  it('are warned of if every user can read or replace the key', async () => {
    await chmod(files.key, 0o644)
    await chmod(folder, 0o777)
    open()
    expect(logged.map((line) => JSON.parse(line).msg)).toEqual([
      expect.stringContaining('read the TLS key'),
      expect.stringContaining('replace the TLS key'),
    ])
  })
})
