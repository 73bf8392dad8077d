import type { Registry } from 'prom-client'
import { Counter, Gauge } from 'prom-client'
import type { Logger } from '../../runtime/log.ts'

/**
 * Which candidates this server leaves out, because they fail. The champion answers in their place.
 *
 *     used --too many rows failed--> bypassed --after its time--> probed by one request --answered--> used
 *                                        ^                             |
 *                                        +----failed, or no answer-----+   (for twice as long, up to `maxOpenMs`)
 *
 * Only failures that the champion has made good count: what fails with both is not the candidate's fault.
 */
export interface Bypass {
  /** Whether any candidate has failed. While none has, nothing else is asked. */
  readonly isActive: boolean
  /**
   * Whether the champion answers the candidate's rows of a request. Where false is a probe, only one request gets it.
   */
  isBypassed(model: string, version: number): boolean
  /** The champion answered rows of the candidate. @param isNew whether they have failed; else they were left out */
  madeGood(model: string, version: number, rows: number, isNew: boolean): void
  answered(model: string, version: number, rows: number): void
}

export interface BypassDeps {
  readonly registry: Registry
  readonly log: Logger
  /** Milliseconds, monotonic. */
  readonly now: () => number
  /** Called when a bypass begins. */
  readonly onBegin: (model: string, version: number) => void
}

interface State {
  /** Since it first failed; older rows weigh half as much after each `halfMs`. */
  failedRows: number
  failedRequests: number
  rows: number
  halvedAtMs: number
  /** null: it is used. */
  openUntilMs: number | null
  openMs: number
  /** Whether one request tries it, while others bypass it. */
  isProbed: boolean
}

const halfMs = 5000
const minRequests = 5
/** So few failures are forgotten. */
const negligible = 0.05
/** The share of rows that may fail. */
const maxFailed = 0.2
const [minOpenMs, maxOpenMs] = [1000, 30_000]

export function createBypass({ registry, log, now, onBegin }: BypassDeps): Bypass {
  const labelNames = ['model', 'version']
  const bypassedRows = new Counter({
    name: 'lockstep_bypassed_rows_total',
    help: 'Rows of a candidate that the champion answered in its place, because the candidate failed.',
    labelNames,
    registers: [registry],
  })
  const open = new Gauge({
    name: 'lockstep_candidate_bypassed',
    help: '1 while this process bypasses a candidate that fails, else 0.',
    labelNames,
    registers: [registry],
    collect: forgetUnused,
  })
  const states = new Map<string, Map<number, State>>()

  function stateOf(model: string, version: number): State {
    let ofModel = states.get(model)
    if (ofModel === undefined) states.set(model, (ofModel = new Map()))
    let state = ofModel.get(version)
    if (state === undefined) {
      const counts = { failedRows: 0, failedRequests: 0, rows: 0, halvedAtMs: now() }
      ofModel.set(version, (state = { ...counts, openUntilMs: null, openMs: minOpenMs, isProbed: false }))
    }
    return state
  }

  function fade(state: State): void {
    const halvings = Math.floor((now() - state.halvedAtMs) / halfMs)
    if (halvings <= 0) return
    const factor = 0.5 ** halvings
    state.failedRows *= factor
    state.failedRequests *= factor
    state.rows *= factor
    state.halvedAtMs += halvings * halfMs
  }

  function failed(model: string, version: number, rows: number): void {
    const state = stateOf(model, version)
    fade(state)
    state.failedRows += rows
    state.failedRequests++
    state.rows += rows
    const isProbe = state.openUntilMs !== null
    // failures of requests that began before the bypass say nothing new
    if (isProbe && !state.isProbed) return
    state.isProbed = false
    if (!isProbe && (state.failedRequests < minRequests || state.failedRows < maxFailed * state.rows)) return
    // the time of a probe is longer already
    if (!isProbe) state.openMs = minOpenMs
    state.openUntilMs = now() + state.openMs
    if (isProbe) return
    open.set({ model, version }, 1)
    log.warn({ model, version }, 'a candidate fails on too many rows: the champion answers them')
    onBegin(model, version)
  }

  /** A candidate that no request asks for is no longer bypassed: its rollout has ended. */
  function forgetUnused(): void {
    for (const [model, ofModel] of states) {
      for (const [version, { openUntilMs }] of ofModel) {
        if (openUntilMs === null || now() < openUntilMs + maxOpenMs) continue
        ofModel.delete(version)
        open.set({ model, version }, 0)
      }
      if (ofModel.size === 0) states.delete(model)
    }
  }

  return {
    get isActive() {
      return states.size > 0
    },
    isBypassed(model, version) {
      const state = states.get(model)?.get(version)
      if (state === undefined || state.openUntilMs === null) return false
      if (now() < state.openUntilMs) return true
      // one request probes it; a probe without an answer counts as a failure when the next time is over
      state.openMs = Math.min(2 * state.openMs, maxOpenMs)
      state.openUntilMs = now() + state.openMs
      state.isProbed = true
      return false
    },
    madeGood(model, version, rows, isNew) {
      bypassedRows.inc({ model, version }, rows)
      if (isNew) failed(model, version, rows)
    },
    answered(model, version, rows) {
      const state = states.get(model)?.get(version)
      if (state === undefined) return
      fade(state)
      state.rows += rows
      // answers to requests that began before the bypass say nothing
      if (state.openUntilMs === null ? state.failedRequests > negligible : !state.isProbed) return
      states.get(model)?.delete(version)
      if (states.get(model)?.size === 0) states.delete(model)
      if (state.openUntilMs === null) return
      open.set({ model, version }, 0)
      log.info({ model, version }, 'a candidate answers again')
    },
  }
}
