import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { FSWatcher } from 'node:fs'
import { readFileSync, statSync, watch } from 'node:fs'
import { dirname } from 'node:path'
import { createSecureContext } from 'node:tls'
import type { Registry } from 'prom-client'
import { Gauge } from 'prom-client'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { Logger } from './log.ts'

/** Paths of PEM files. */
export interface TlsFiles {
  /** The certificate, followed by those of its issuers. */
  readonly cert: string
  readonly key: string
}

/** The options of a server, as PEM text. */
export interface TlsContext {
  readonly cert: string
  readonly key: string
}

interface Loaded {
  readonly context: TlsContext
  readonly expiresAtMs: number
}

/** A certificate and its key, reloaded from their files. */
export interface TlsPair {
  readonly context: TlsContext
  /** Calls `use` with each pair that replaces this one. */
  onChange(use: (context: TlsContext) => void): void
  /** Problems for an operator: a certificate that expires soon, or a new pair that cannot be used. */
  warnings(): readonly string[]
  close(): void
}

interface TlsPairDeps {
  readonly log: Logger
  readonly metrics: Registry
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** The interval at which the files are read even without a change notice, milliseconds. Default: 10,000. */
  readonly pollMs?: number
}

const dayMs = 86_400_000
const warnDays = 14
/** The two files change one after the other, so a change is read after this delay. */
const settleMs = 200

/**
 * Reads a certificate and its key, and reads them again when the files change: on a notice of the file system, and
 * every 10 s, because network folders send no notices. A new pair that cannot be used is logged, and the old one stays.
 *
 * @throws LockstepError `CONFIG_INVALID` if a file cannot be read or is not PEM, or if the key does not belong to the
 *   certificate
 */
export function openTlsPair(files: TlsFiles, { log, metrics, now, pollMs = 10_000 }: TlsPairDeps): TlsPair {
  let loaded = load(files)
  let failure: string | null = null
  const uses: ((context: TlsContext) => void)[] = []
  warnOfAccess(files, log)
  const expiry = () => loaded.expiresAtMs
  const warnOfExpiry = (): void => {
    const warning = expiryWarning(loaded.expiresAtMs, now())
    if (warning !== null) log.warn({ warning }, 'the TLS certificate must be replaced')
  }
  warnOfExpiry()
  metrics.registerMetric(
    new Gauge({
      name: 'lockstep_tls_certificate_expiry_timestamp_seconds',
      help: 'When the TLS certificate in use expires, in seconds since 1970.',
      aggregator: 'min',
      registers: [],
      collect() {
        this.set(expiry() / 1000)
      },
    }),
  )

  function reload(): void {
    let next: Loaded
    try {
      next = load(files)
    } catch (error) {
      const message = messageOf(error)
      if (message !== failure) log.warn({ error: message }, 'the new TLS files cannot be used; the previous certificate stays in use')
      failure = message
      return
    }
    failure = null
    const { cert, key } = loaded.context
    if (next.context.cert === cert && next.context.key === key) return
    loaded = next
    for (const use of uses) use(next.context)
    log.info({ expires: day(next.expiresAtMs) }, 'the TLS certificate was replaced')
    warnOfExpiry()
    warnOfAccess(files, log)
  }

  let settling: NodeJS.Timeout | undefined
  const noticed = () => {
    clearTimeout(settling)
    settling = setTimeout(reload, settleMs).unref()
  }
  // watches the folders, because files are replaced by renaming, and in Kubernetes by changing the target of a link
  const watchers = [...new Set([dirname(files.cert), dirname(files.key)])].flatMap((folder) => watchFolder(folder, noticed))
  const timer = setInterval(reload, pollMs).unref()

  return {
    get context() {
      return loaded.context
    },
    onChange: (use) => void uses.push(use),
    warnings() {
      const soon = expiryWarning(loaded.expiresAtMs, now())
      const broken = failure === null ? [] : ['The new TLS files cannot be used; see the log. The previous certificate stays in use.']
      return [...(soon === null ? [] : [soon]), ...broken]
    },
    close() {
      clearTimeout(settling)
      clearInterval(timer)
      for (const watcher of watchers) watcher.close()
    },
  }
}

/** @returns null: it is valid for longer */
export function expiryWarning(expiresAtMs: number, nowMs: number): string | null {
  const leftMs = expiresAtMs - nowMs
  if (leftMs > warnDays * dayMs) return null
  return `The TLS certificate ${leftMs > 0 ? 'expires' : 'expired'} on ${day(expiresAtMs)}; replace it.`
}

/** When the certificate of the files expires, milliseconds since the epoch. @throws LockstepError as `openTlsPair` */
export function tlsExpiry(files: TlsFiles): number {
  return load(files).expiresAtMs
}

function load(files: TlsFiles): Loaded {
  const cert = read(files.cert, 'LOCKSTEP_TLS_CERT')
  const key = read(files.key, 'LOCKSTEP_TLS_KEY')
  const certificate = parsed(files.cert, 'LOCKSTEP_TLS_CERT', 'a certificate in PEM', () => new X509Certificate(cert))
  const privateKey = parsed(files.key, 'LOCKSTEP_TLS_KEY', 'a private key in PEM without a pass phrase', () => createPrivateKey(key))
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new LockstepError(
      'CONFIG_INVALID',
      `The key "${files.key}" does not belong to the certificate "${files.cert}"; set LOCKSTEP_TLS_CERT and LOCKSTEP_TLS_KEY to a pair. The server's own certificate must be the first in its file.`,
    )
  }
  parsed(files.cert, 'LOCKSTEP_TLS_CERT', 'a certificate chain that OpenSSL accepts', () => createSecureContext({ cert, key }))
  return { context: { cert, key }, expiresAtMs: Date.parse(certificate.validTo) }
}

function read(path: string, setting: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new LockstepError('CONFIG_INVALID', `The file "${path}" of ${setting} cannot be read: ${messageOf(cause)}.`, { cause })
  }
}

function parsed<T>(path: string, setting: string, what: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    throw new LockstepError('CONFIG_INVALID', `The file "${path}" of ${setting} is not ${what}: ${messageOf(cause)}.`, { cause })
  }
}

/**
 * Warns about file access: anyone who can read the key can pose as the server, and anyone who can write to its folder
 * can replace it.
 */
function warnOfAccess({ key }: TlsFiles, log: Logger): void {
  try {
    if ((statSync(key).mode & 0o004) !== 0) log.warn({ file: key }, 'every user of this machine can read the TLS key: chmod o-r it')
    if ((statSync(dirname(key)).mode & 0o1002) === 0o002)
      log.warn({ folder: dirname(key) }, 'every user of this machine can replace the TLS key: chmod o-w its folder')
  } catch {
    // a file may have just been deleted: the next read reports it
  }
}

/** Returns no watcher if the system has none left. Then the files are only polled. */
function watchFolder(folder: string, noticed: () => void): FSWatcher[] {
  try {
    const watcher = watch(folder, { persistent: false }, noticed)
    watcher.on('error', () => watcher.close())
    return [watcher]
  } catch {
    return []
  }
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}
