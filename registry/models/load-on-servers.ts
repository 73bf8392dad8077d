import { randomUUID } from 'node:crypto'
import { LockstepError } from '../../kernel/errors.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { createSemaphore } from '../../runtime/async.ts'
import type { LoadReply } from './load-request.ts'
import { loadRequestNotice, parseLoadReply } from './load-request.ts'
import { registryChannel } from '../revision.ts'

/**
 * The number of servers that were asked to load a version, and that had loaded it at the end. Processes that do not
 * keep the model loaded do not count.
 */
export interface LoadedOn {
  readonly asked: number
  readonly loaded: number
}

export interface LoadOnServersOptions {
  /** The time limit for loading, milliseconds. Default: 30,000. */
  readonly waitMs?: number
  /**
   * The time limit for a server to report that it is loading, milliseconds. A server that misses it is stuck or gone.
   * Default: 5,000.
   */
  readonly hearMs?: number
  /** Accepts a version whose trial did not end. It does not count as loaded. */
  readonly untried?: boolean
  readonly onProgress?: (servers: LoadedOn) => void
  readonly signal?: AbortSignal
}

const defaultWaitMs = 30_000
const defaultHearMs = 5000

/**
 * Makes every server load a version, and waits until all have done so, at most `waitMs`. A change that points at the
 * version afterwards takes effect on each server as soon as it notices the change of the registry.
 *
 * @param version.revision the registry's revision that servers must have when they load the version
 * @throws LockstepError `NOT_PROMOTABLE` as soon as a server reports that it cannot load the version;
 *   `POSTGRES_UNAVAILABLE`; the reason of `signal`
 */
export function loadOnServers(
  db: Database,
  model: string,
  which: { readonly version: number; readonly revision: number },
  options: LoadOnServersOptions,
): Promise<LoadedOn> {
  return slots(() => load(db, model, which, options))
}

/** Each load uses a database connection. */
const slots = createSemaphore({ permits: 8 })

async function load(
  db: Database,
  model: string,
  { version, revision }: { readonly version: number; readonly revision: number },
  { waitMs = defaultWaitMs, hearMs = defaultHearMs, untried = false, onProgress, signal }: LoadOnServersOptions,
): Promise<LoadedOn> {
  signal?.throwIfAborted()
  let servers = await db.listeners(registryChannel)
  if (servers === 0) return { asked: 0, loaded: 0 }
  const replies = new Map<string, LoadReply>()
  const inState = (wanted: LoadReply['state']) => [...replies.values()].filter(({ state }) => state === wanted).length
  const count = (): LoadedOn => ({
    asked: Math.max(servers, replies.size) - inState('unneeded'),
    loaded: inState('loaded'),
  })
  const replyTo = `lockstep_loads_${randomUUID().replaceAll('-', '')}`
  const settled = Promise.withResolvers<LoadedOn>()
  // it may reject before anybody waits for it
  settled.promise.catch(() => undefined)
  let looking: NodeJS.Timeout | undefined
  let allHeard = false
  let over = false

  /** @param gone the number of servers that no longer listen */
  function look(gone = 0): void {
    const refused = [...replies.values()].find(({ state }) => state === 'refused' || (state === 'untried' && !untried))
    if (refused !== undefined) settled.reject(notLoadable(model, version, refused))
    const loading = inState('loading')
    allHeard ||= replies.size >= servers
    // servers that are gone and never replied are not among the loading ones
    const isOver = loading === 0 || loading <= gone - Math.max(0, servers - replies.size)
    if (allHeard && isOver) settled.resolve(count())
  }

  async function lookAgain(): Promise<void> {
    allHeard = true
    look(servers - (await db.listeners(registryChannel)))
  }

  async function ask(): Promise<void> {
    // new servers may have started since; their replies must not count as those of others
    servers = await db.listeners(registryChannel)
    if (over) return
    await db.query('select pg_notify($1, $2)', [registryChannel, loadRequestNotice({ model, version, revision, replyTo })])
    if (over) return
    looking ??= setInterval(() => void lookAgain().catch(settled.reject), hearMs).unref()
  }

  const stop = await db.listen(replyTo, (said) => {
    if (said === null) {
      ask().catch(settled.reject)
      return
    }
    const reply = parseLoadReply(said)
    if (reply === null) return
    replies.set(reply.server, reply)
    onProgress?.(count())
    look()
  })
  const waiting = setTimeout(() => {
    if (looking !== undefined) settled.resolve(count())
    else
      settled.reject(
        new LockstepError(
          'POSTGRES_UNAVAILABLE',
          'The connection to the database that receives the answers of servers is down; try again.',
        ),
      )
  }, waitMs)
  const onAbort = () => settled.reject(signal?.reason)
  signal?.addEventListener('abort', onAbort)
  try {
    signal?.throwIfAborted()
    return await settled.promise
  } finally {
    over = true
    signal?.removeEventListener('abort', onAbort)
    clearInterval(looking)
    clearTimeout(waiting)
    await stop()
  }
}

function notLoadable(model: string, version: number, { state, message }: LoadReply): LockstepError {
  if (state === 'untried') return notTried(model, version)
  return new LockstepError(
    'NOT_PROMOTABLE',
    `A server cannot load the version ${version} of the model "${model}", so nothing was changed: ${message} To change it anyway, use --at-once, or "atOnce": true over HTTP.`,
    { details: { model, version } },
  )
}

/** @param version absent: the version is not pushed yet */
export function notTried(model: string, version?: number): LockstepError {
  const what = version === undefined ? 'The file' : `The version ${version}`
  return new LockstepError(
    'NOT_PROMOTABLE',
    `${what} of the model "${model}" did not finish its trial run on made-up rows in time, or crashed the process, so nothing was changed. Push a version that works. If the version works only with real rows and you want to serve it, use --untried, or "untried": true over HTTP.`,
    { details: { model, ...(version === undefined ? {} : { version }) } },
  )
}
