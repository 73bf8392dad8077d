import type { ErrorCode } from '../../../kernel/errors.ts'
import type { CheckOf } from '../../../registry/define/check-options.ts'
import { watchedName } from '../../../registry/monitor-spec.ts'
import type { BudgetWindow, BurnRule } from '../../../statistics/burn-rate.ts'
import { burnRate, burnRules } from '../../../statistics/burn-rate.ts'
import { readRollup } from '../../rollups/read-rollups.ts'
import type { CheckKind, CheckResult } from '../check-kind.ts'
import { writtenUntil } from '../../rollups/read-parts.ts'

type Spec = CheckOf<'errors'>

/** Errors that are the caller's: they use up no budget. Others are the server's. */
export const callerErrorCodes: ReadonlySet<string> = new Set<ErrorCode>([
  'INVALID_REQUEST',
  'INVALID_ENTITY',
  'INVALID_TYPE',
  'INVALID_TIME',
  'INVALID_NAME',
  'MISSING_REQUEST_VALUE',
  'REQUIRED_FEATURE_MISSING',
  'UNKNOWN_DEFINITION',
  'NOT_FOUND',
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'RATE_LIMITED',
  'BODY_TOO_LARGE',
  'REQUEST_ABORTED',
  'ENTITY_SET_ASIDE',
  'TOO_MANY_CATEGORIES',
  'HISTORY_NEEDED',
])

/**
 * Whether a model's errors use up its budget too fast, over two windows at once: pages for fast burning, a ticket for
 * slow. Source: The Site Reliability Workbook, chapter 5.
 */
export const errors: CheckKind<Spec> = async ({ db, monitor, window }, { objective, minErrors }) => {
  const model = watchedName(monitor)
  const to = writtenUntil(window.to)
  const windows = new Map<number, BudgetWindow & { readonly codes: Readonly<Record<string, number>> }>()
  for (const seconds of new Set(burnRules.flatMap(({ longSeconds, shortSeconds }) => [longSeconds, shortSeconds]))) {
    const { requests, errors: counts } = await readRollup(db, { model, from: to - seconds * 1_000_000, to, trafficOnly: true })
    const codes = Object.fromEntries([...counts].filter(([code]) => !callerErrorCodes.has(code)))
    windows.set(seconds, { total: requests, bad: Object.values(codes).reduce((sum, count) => sum + count, 0), codes })
  }
  const none = { total: 0, bad: 0, codes: {} }
  const rateOf = (seconds: number) => burnRate(windows.get(seconds) ?? none, objective)

  function resultOf(severity: BurnRule['severity']): CheckResult {
    const rules = burnRules.filter((rule) => rule.severity === severity)
    const burning = rules.find(({ factor, longSeconds, shortSeconds }) => {
      const [long, short] = [rateOf(longSeconds) ?? 0, rateOf(shortSeconds) ?? 0]
      return long >= factor && short >= factor && (windows.get(longSeconds) ?? none).bad >= minErrors
    })
    const shown = burning ?? rules[0]
    const { total, bad, codes } = windows.get(shown?.longSeconds ?? 0) ?? none
    const rate = shown === undefined ? null : rateOf(shown.longSeconds)
    const evidence = { windowSeconds: shown?.longSeconds ?? null, requests: total, errors: bad, codes, objective }
    const base = {
      subject: `${model} (${severity === 'page' ? 'fast' : 'slow'} burn)`,
      value: rate,
      threshold: shown?.factor ?? null,
      n: total,
      evidence,
      severity,
    }
    if (burning === undefined) {
      if (rate === null) return { ...base, state: 'unknown', cause: `No request for "${model}" was counted.` }
      return { ...base, state: 'ok', cause: null }
    }
    const [worst] = Object.entries(codes).toSorted((a, b) => b[1] - a[1])
    const most = worst === undefined ? '' : ` Most are ${worst[0]} (${worst[1]}).`
    const cause = `${bad} of ${total} requests for "${model}" failed in ${burning.longSeconds / 3600} h: the error budget burns ${(rate ?? 0).toFixed(1)} times as fast as ${objective} allows.${most}`
    return { ...base, state: 'breach', cause }
  }
  return [resultOf('page'), resultOf('ticket')]
}
