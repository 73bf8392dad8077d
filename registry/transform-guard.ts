import type { LockstepError } from '../kernel/errors.ts'
import type { LoadTransform } from '../kernel/transform.ts'
import { loadTransform, transformTimeout } from '../kernel/transform.ts'
import { guardCode, stepsAtOnce } from './bundle/guard-code.ts'
import { guardedRegExp } from './bundle/guarded-regexp.ts'
import { isOverLimit, withinLimit } from './bundle/within-limit.ts'

/** The environment of transforms, and the time limit of one call. */
export interface TransformGuardOptions {
  readonly budgetMs: number
  /**
   * The time limit of a transform that was interrupted less than `strictForMs` ago: its next inputs may be as bad, and
   * most inputs take microseconds.
   */
  readonly strictMs: number
  readonly strictForMs: number
  /** Called whenever a transform is interrupted. `again`: it already had the short time limit. */
  readonly onTimeout: (view: string, ms: number, again: boolean) => void
}

/** Loads transforms so that each call ends in time. */
export interface TransformGuard {
  readonly load: LoadTransform
  /** The views whose transforms were interrupted recently, and which have the short time limit now. */
  strict(): string[]
}

/** If the steps take longer than this, fewer are taken before the next check. */
const lookMs = 1

/** The limits for work that no request waits for. */
export const offlineGuard: TransformGuardOptions = { budgetMs: 10_000, strictMs: 10_000, strictForMs: 0, onTimeout: () => undefined }

/**
 * Transforms run in the process that serves, so one endless loop would stop everything. The code counts its steps
 * (`guardCode`), which costs about a nanosecond per step, and checks the clock once in a while. Regular expressions run
 * under a watchdog if their pattern and the text's length say that they may take long.
 *
 * The alternatives are worse: a `vm` call with a time limit starts a thread, 50 to 500 us each; terminating from
 * another thread unwinds all of JavaScript and drops the promises of other requests; restarting a frame by the
 * inspector crashes V8 in optimized loops.
 */
export function createTransformGuard(options: TransformGuardOptions): TransformGuard {
  const strictUntil = new Map<string, number>()

  const guarded = new Map<string, string>()

  function guardedCode(code: string, view: string): string {
    let text = guarded.get(code)
    if (text !== undefined) return text
    try {
      text = guardCode(code)
    } catch (error) {
      loadTransform(code, view) // says what is wrong with it
      throw error
    }
    guarded.set(code, text)
    return text
  }

  function load(code: string, view: string): ReturnType<LoadTransform> {
    /** When the clock was looked at first in this call; 0: not yet. */
    let since = 0
    let lookedAt = 0
    let steps = stepsAtOnce
    let over: LockstepError | null = null

    function budget(now: number): number {
      return (strictUntil.get(view) ?? 0) > now ? options.strictMs : options.budgetMs
    }

    function breakOff(now: number): LockstepError {
      if (over !== null) return over
      const limitMs = budget(now)
      over = transformTimeout(view, limitMs)
      options.onTimeout(view, now - since, (strictUntil.get(view) ?? 0) > now)
      if (options.strictForMs > 0) strictUntil.set(view, now + options.strictForMs)
      return over
    }

    function spend(): number {
      const now = performance.now()
      if (since === 0) {
        since = now
        steps = stepsAtOnce
      } else {
        if (over !== null || now - since > budget(now)) throw breakOff(now)
        steps = Math.max(1, Math.min(steps * 2, stepsAtOnce, Math.floor((steps * lookMs) / (now - lookedAt))))
      }
      lookedAt = now
      return steps
    }

    const regExp = guardedRegExp((run) => {
      spend()
      const now = performance.now()
      try {
        return withinLimit(run, budget(now) - (now - since))
      } catch (error) {
        throw isOverLimit(error) ? breakOff(performance.now()) : error
      }
    })
    const transform = loadTransform(guardedCode(code, view), view, {
      __lockstepSpend: spend,
      __lockstepRegExp: regExp.RegExp,
      __lockstepPattern: regExp.pattern,
      RegExp: regExp.RegExp,
    }) as (input: unknown) => unknown
    return (input) => {
      since = 0
      over = null
      const result = transform(input)
      // it may have caught it
      if (over !== null) throw over as LockstepError
      return result
    }
  }

  return {
    load,
    strict() {
      const now = performance.now()
      for (const [view, until] of strictUntil) if (until <= now) strictUntil.delete(view)
      return [...strictUntil.keys()]
    },
  }
}
