import type { Logger } from '../runtime/log.ts'
import { messageOf } from '../kernel/errors.ts'

/** A server that may not answer yet, or no longer: opened when it first answers, then watched. */
export interface Dependency<T> {
  /** null until it was opened. */
  readonly value: T | null
  /** Why it could not be used at the last check, or null. */
  readonly failure: string | null
  /** Opens it where that has not succeeded yet, and asks whether it answers. Never rejects. */
  check(): Promise<void>
  close(): Promise<void>
}

export interface DependencyOptions<T extends { close(): Promise<void> }> {
  /** What the log calls it. */
  readonly name: string
  readonly open: () => Promise<T>
  readonly ping: (value: T) => Promise<void>
  readonly log: Logger
}

export function createDependency<T extends { close(): Promise<void> }>(options: DependencyOptions<T>): Dependency<T> {
  const { name, log } = options
  let value: T | null = null
  let failure: string | null = `${name} was not reached yet.`
  let announced = false

  return {
    get value() {
      return value
    },
    get failure() {
      return failure
    },
    async check() {
      try {
        value ??= await options.open()
        await options.ping(value) // opening may not have connected yet
        if (announced) log.info({ dependency: name }, 'a dependency answers again')
        announced = false
        failure = null
      } catch (error) {
        failure = messageOf(error)
        if (!announced) log.warn({ dependency: name, error: failure }, 'a dependency does not answer')
        announced = true
      }
    },
    async close() {
      const open = value
      value = null
      failure = `${name} was closed.`
      await open?.close()
    },
  }
}
