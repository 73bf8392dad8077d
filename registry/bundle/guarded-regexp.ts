import { regexSteps } from './regex-steps.ts'

/** The maximum steps of an unwatched match, about 20 ms. */
const maxSteps = 2e6
/** The safe text length for a pattern whose steps double with each letter. */
const exponentialLength = 12
const keptLengths = 1000

/**
 * A class that replaces `RegExp` in the code of a transform. JavaScript cannot stop a running match. So a thread
 * watches operations that may take long for the length of their text; other operations run directly.
 *
 * @param withinTime runs an operation and aborts it when the time is over
 */
export function guardedRegExp(withinTime: <T>(run: () => T) => T): {
  readonly RegExp: unknown
  pattern(value: unknown, flags: string): unknown
} {
  const lengths = new Map<string, number>()
  let watched = false

  function lengthOf({ source, flags }: RegExp): number {
    const known = lengths.get(`${flags}/${source}`)
    if (known !== undefined) return known
    if (lengths.size === keptLengths) lengths.clear()
    const length = safeLength(source, flags)
    lengths.set(`${flags}/${source}`, length)
    return length
  }

  class GuardedRegExp extends RegExp {
    readonly #length: number

    constructor(pattern: RegExp | string, flags?: string) {
      super(pattern, flags)
      this.#length = lengthOf(this)
    }

    static override get [Symbol.species](): RegExpConstructor {
      return GuardedRegExp as unknown as RegExpConstructor
    }

    static override [Symbol.hasInstance](value: unknown): boolean {
      return value instanceof RegExp
    }

    override exec(text: string): RegExpExecArray | null {
      return this.#run(text, (subject) => super.exec(subject))
    }

    override [Symbol.replace](text: string, value: unknown): string {
      const replace = super[Symbol.replace] as (text: string, value: unknown) => string
      return this.#run(text, (subject) => replace.call(this, subject, value))
    }

    override [Symbol.match](text: string): RegExpMatchArray | null {
      return this.#run(text, (subject) => super[Symbol.match](subject))
    }

    override [Symbol.search](text: string): number {
      return this.#run(text, (subject) => super[Symbol.search](subject))
    }

    override [Symbol.split](text: string, limit?: number): string[] {
      return this.#run(text, (subject) => super[Symbol.split](subject, limit))
    }

    #run<T>(text: unknown, run: (text: string) => T): T {
      const subject = String(text)
      if (watched || subject.length <= this.#length) return run(subject)
      watched = true
      try {
        return withinTime(() => run(subject))
      } finally {
        watched = false
      }
    }
  }

  const called = new Proxy(GuardedRegExp, {
    apply: (target, _, [pattern, flags]: [RegExp | string, string?]) => new target(pattern, flags),
  })
  return {
    RegExp: called,
    pattern: (value, flags) => (typeof value === 'string' ? new GuardedRegExp(value, flags) : value),
  }
}

/** The maximum text length for which a pattern takes at most `maxSteps`. */
function safeLength(source: string, flags: string): number {
  const { exponent, choices } = regexSteps(source, flags)
  if (exponent === Number.POSITIVE_INFINITY) return exponentialLength
  return Math.floor((maxSteps / 2 ** Math.min(choices, 64)) ** (1 / Math.max(1, exponent)))
}
