import type { Logger } from '../../runtime/log.ts'
import { messageOf } from '../../kernel/errors.ts'
import { withPatience } from '../../runtime/async.ts'

/** A dependency that takes longer than this to answer is unavailable. */
export const answerMs = 5000

/** Another server, which may not answer yet, or no longer: opened when it first answers, then watched. */
export interface Dependency<T> {
  /** null until it was opened. */
  readonly value: T | null
  /** The value if it answered the last check, else null. */
  readonly available: T | null
  /**
   * Why it could not be used at the last check, or null. It may name the server's host: for the operator, not for
   * clients.
   */
  readonly failure: string | null
  /** The error of that check, if it had one. */
  readonly error: unknown
  /**
   * Opens it if that has not succeeded yet, and checks that it answers. Never rejects, and takes `answerMs` at most.
   */
  check(): Promise<void>
  close(): Promise<void>
}

export interface DependencyOptions<T extends { close(): Promise<void> }> {
  /** The name in the log and in `failure`. */
  readonly name: string
  readonly open: () => Promise<T>
  readonly ping: (value: T) => Promise<void>
  readonly log: Logger
  /** From its abort on, which also ends pings, nothing is checked. */
  readonly signal?: AbortSignal
}

export function createDependency<T extends { close(): Promise<void> }>(options: DependencyOptions<T>): Dependency<T> {
  const { name, log, signal } = options
  let value: T | null = null
  let failure: string | null = `${name} has not been reached yet.`
  let lastError: unknown = null
  let announced = false
  let closed = false
  let opening: Promise<T> | null = null

  const isOver = (): boolean => closed || signal?.aborted === true

  async function open(): Promise<T> {
    opening ??= options.open()
    try {
      const opened = await opening
      if (closed) await opened.close()
      return opened
    } finally {
      opening = null
    }
  }

  async function ask(): Promise<void> {
    const opened = value ?? (await open())
    if (closed) return
    value = opened
    await options.ping(opened) // opening may not have connected yet
  }

  return {
    get value() {
      return value
    },
    get available() {
      return failure === null ? value : null
    },
    get failure() {
      return failure
    },
    get error() {
      return lastError
    },
    async check() {
      if (isOver()) return
      let problem: string | null = null
      let met: unknown = null
      try {
        await withPatience(ask(), answerMs, () => new Error(`It does not answer within ${answerMs / 1000} s.`))
      } catch (error) {
        problem = `${name}: ${messageOf(error)}`
        met = error
      }
      if (isOver()) return
      if (problem !== null && !announced) log.warn({ dependency: name, error: problem }, 'a dependency does not answer')
      if (problem === null && announced) log.info({ dependency: name }, 'a dependency answers again')
      announced = problem !== null
      failure = problem
      lastError = met
    },
    async close() {
      const open = value
      closed = true
      value = null
      failure = `${name} was closed.`
      await open?.close()
    },
  }
}
