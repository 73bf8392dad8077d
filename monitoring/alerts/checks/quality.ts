import type { Window } from '../../window.ts'
import { formatNumber } from '../../../kernel/values/format-number.ts'
import { dayMicros, formatTimestamp } from '../../../kernel/values/time.ts'
import type { OutcomePlan } from '../../../kernel/compile-outcome.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import type { CheckOf } from '../../../registry/define/check-options.ts'
import { judgingOutcomes } from '../../../registry/judging-outcomes.ts'
import { answeringVersion } from '../../../registry/models/pick-version.ts'
import { watchedName } from '../../../registry/monitor-spec.ts'
import { normalQuantile } from '../../../statistics/distributions.ts'
import type { Figure } from '../../quality/figure.ts'
import type { QualityReport } from '../../quality/quality-report.ts'
import { qualityReport } from '../../quality/quality-report.ts'
import type { CheckContext, CheckKind, CheckResult } from '../check-kind.ts'
import { alphaOfEvaluation } from './repeated-looks.ts'
import { unknownBecause } from './watched-versions.ts'

type Spec = CheckOf<'quality'>

/** The figures compared with the time before if no limits are declared: the sign of better, and the least change. */
const compared: Readonly<Record<string, { readonly better: 1 | -1; readonly least: number; readonly relative: boolean }>> = {
  auc: { better: 1, least: 0.02, relative: false },
  accuracy: { better: 1, least: 0.02, relative: false },
  rmse: { better: -1, least: 0.1, relative: true },
}

/** A figure that fell days ago is as low in the window before. A loss within the weeks would lower a common figure. */
const [comparedWeeks, weekMicros] = [4, 7 * dayMicros]

/**
 * Whether the figures of mature predictions keep their limits. Without limits, whether they are worse than in the
 * window before, than in one of the four weeks before, or than the version had when it was pushed. Intervals have to be
 * apart, at the level of repeated looks.
 */
export const quality: CheckKind<Spec> = async (context, spec) => {
  const model = watchedName(context.monitor)
  const outcomes = judgingOutcomes(context.catalog, model).filter(
    (outcome) => spec.outcome === undefined || outcome.spec.name === spec.outcome,
  )
  if (outcomes.length === 0)
    return [
      {
        subject: spec.outcome ?? model,
        ...unknownBecause(`The model "${model}" has no such outcome that judges an output; declare one.`),
      },
    ]
  const isOnly = judgingOutcomes(context.catalog, model).length === 1
  const results: CheckResult[] = []
  for (const outcome of outcomes) results.push(await checkOutcome(context, spec, model, outcome, isOnly))
  return results
}

/** @param isOnly whether no other outcome judges the model, so that the metrics of its versions are about this one */
async function checkOutcome(
  context: CheckContext,
  spec: Spec,
  model: string,
  { spec: outcome }: OutcomePlan,
  isOnly: boolean,
): Promise<CheckResult> {
  const { db, catalog, monitor, window, signal } = context
  // later predictions are not mature
  const to = window.to - outcome.withinMicros
  const isCompared = spec.figure === undefined
  const from = await boundedFrom(db, model, { from: to - (isCompared ? 2 : 1) * monitor.windowMicros, to }, spec.maxRows)
  const middle = isCompared ? (from + to) / 2 : from
  const limits = { total: spec.maxRows, group: spec.maxRows, estimate: 1000, curve: 0 }
  const reportOf = async (of: Window) =>
    await qualityReport(db, catalog, { model, outcome: outcome.name, ...of, asOf: window.to, by: [], limits, signal })
  const z = normalQuantile(1 - alphaOfEvaluation(spec.alpha, monitor) / 2)
  const newest = await reportOf({ from: middle, to })
  const base = { subject: outcome.name, n: newest.total.judged }
  if (spec.figure !== undefined) return { ...base, ...limitResult(spec, spec.figure, newest, z) }
  const found = [changeResult(await reportOf({ from, to: middle }), newest, z, 'before')]
  const earliest = await boundedFrom(db, model, { from: middle - comparedWeeks * weekMicros, to: middle }, spec.maxRows)
  for (let end = middle; end > earliest && earliest < from && found.at(-1)?.state !== 'breach'; end -= weekMicros) {
    const week = { from: Math.max(earliest, end - weekMicros), to: end }
    found.push(changeResult(await reportOf(week), newest, z, `in the week from ${formatTimestamp(week.from)} on`))
  }
  if (isOnly) found.push(...pushedResult(catalog, newest, z))
  const shown = found.find(({ state }) => state === 'breach') ?? found.find(({ state }) => state === 'ok') ?? found[0]
  return { ...base, ...(shown as Found) }
}

type Found = Omit<CheckResult, 'subject' | 'n'>

function limitResult({ min, max }: Spec, name: string, report: QualityReport, z: number): Found {
  const figure = report.total.figures[name]
  const threshold = min ?? max ?? null
  const evidence = { ...windowOf(report), figures: { [name]: figureJson(figure) } }
  const limits = figure === undefined ? null : widened(name, figure, report, z)
  if (figure === undefined || limits === null) {
    const has = Object.keys(report.total.figures).join(', ')
    const cause =
      figure === undefined
        ? `The outcome gives no figure "${name}"; it gives ${has}.`
        : `No ${name} of the predictions from ${report.from} to ${report.to}, the newest mature window of the monitor: ${figure.reason}. If they are too few, declare a longer "window".`
    return { state: 'unknown', value: null, threshold, evidence, cause }
  }
  const isBelow = min !== undefined && limits.high < min
  const isAbove = max !== undefined && limits.low > max
  const base = { value: figure.value, threshold, evidence }
  if (!isBelow && !isAbove) return { ...base, state: 'ok', cause: null }
  const wanted = isBelow ? `at least ${min}` : `at most ${max}`
  const cause = `The ${name} of "${report.model}" by "${report.outcome}" is ${short(figure.value)} (from ${short(limits.low)} to ${short(limits.high)}); ${wanted} is declared. ${advice(report)}`
  return { ...base, state: 'breach', cause }
}

function changeResult(before: QualityReport, newest: QualityReport, z: number, when: string): Found {
  const found = Object.entries(compared).flatMap(([name, { better, least, relative }]) => {
    const [old, now] = [before.total.figures[name], newest.total.figures[name]]
    if (old === undefined || now === undefined) return []
    const [earlier, later] = [widened(name, old, before, z), widened(name, now, newest, z)]
    if (earlier === null || later === null || old.value === null || now.value === null) return []
    const loss = better * (old.value - now.value)
    const apart = better === 1 ? later.high < earlier.low : later.low > earlier.high
    return [{ name, old: old.value, now: now.value, isWorse: apart && loss >= (relative ? least * Math.abs(old.value) : least) }]
  })
  const figures = (report: QualityReport) =>
    Object.fromEntries(
      Object.keys(compared).flatMap((name) => (name in report.total.figures ? [[name, figureJson(report.total.figures[name])]] : [])),
    )
  const evidence = { ...windowOf(newest), figures: figures(newest), before: { ...windowOf(before), figures: figures(before) } }
  const [first] = found
  if (first === undefined) {
    const [reason] = [...Object.values(newest.total.figures), ...Object.values(before.total.figures)].flatMap(
      (figure) => figure.reason ?? [],
    )
    const cause = `Too few predictions of "${newest.model}" have a mature outcome "${newest.outcome}"${reason === undefined ? '' : `: ${reason}`}.`
    return { state: 'unknown', value: null, threshold: null, evidence, cause }
  }
  const worse = found.find(({ isWorse }) => isWorse)
  const { now, old } = worse ?? first
  const base = { value: now, threshold: old, evidence }
  if (worse === undefined) return { ...base, state: 'ok', cause: null }
  const cause = `The ${worse.name} of "${newest.model}" by "${newest.outcome}" is worse: ${short(now)} from ${newest.from} on, ${short(old)} ${when}. Scores do not mean what they meant. ${advice(newest)}`
  return { ...base, state: 'breach', cause }
}

/**
 * Whether the AUC is less than halfway from chance to that with which the version that answers was pushed. Test sets
 * differ from requests, so a smaller distance says little. Other metrics have no known scale. Empty: there is no AUC.
 */
function pushedResult(catalog: Catalog, newest: QualityReport, z: number): Found[] {
  const model = catalog.model(newest.model)
  const version = model.versions.find((each) => each.version === answeringVersion(model))
  const pushed = version?.metrics['auc'] ?? 0
  const figure = newest.total.figures['auc']
  const limits = figure === undefined ? null : widened('auc', figure, newest, z)
  if (version === undefined || figure === undefined || limits === null || !(pushed > chance && pushed <= 1)) return []
  const threshold = chance + (pushed - chance) / 2
  const evidence = { ...windowOf(newest), figures: { auc: figureJson(figure) }, pushed: { version: version.version, auc: pushed } }
  const base = { value: figure.value, threshold, evidence }
  if (limits.high >= threshold) return [{ ...base, state: 'ok', cause: null }]
  const cause = `The auc of "${newest.model}" by "${newest.outcome}" is ${short(figure.value)} from ${newest.from} on; the version ${version.version} was pushed with ${short(pushed)}, and chance is ${chance}. ${advice(newest)}`
  return [{ ...base, state: 'breach', cause }]
}

/** The AUC of random scores. */
const chance = 0.5

/** Figures from 0 to 1, and from 0 on. */
const toOne: ReadonlySet<string> = new Set(['auc', 'brier', 'accuracy', 'precision', 'recall', 'f1', 'positives', 'calibrationError'])
const fromZero: ReadonlySet<string> = new Set(['logLoss', 'rmse', 'mae'])

function advice({ model }: QualityReport): string {
  return `Check the source of the outcome, and features with "lockstep drift ${model}"; "lockstep quality ${model} --by version,day" shows since when.`
}

/**
 * The interval at the level of `z` in place of 95 %. One that takes rows for independent is widened as much as rows of
 * one entity widen that of the accuracy. It ends where the figure does.
 */
function widened(
  name: string,
  { value, low, high, interval }: Figure,
  { total }: QualityReport,
  z: number,
): { low: number; high: number } | null {
  if (value === null || low === null || high === null) return null
  const factor = (z / normalQuantile(0.975)) * (interval === 'rows' ? dependence(total.figures['accuracy']) : 1)
  const [least, most] = [fromZero.has(name) || toOne.has(name) ? 0 : -Infinity, toOne.has(name) ? 1 : Infinity]
  return { low: Math.max(least, value - (value - low) * factor), high: Math.min(most, value + (high - value) * factor) }
}

/** How many times as wide the interval of a share is as that of independent rows; at least 1. */
function dependence(accuracy: Figure | undefined): number {
  if (accuracy?.interval !== 'entities') return 1
  const { value, low, high, n } = accuracy
  if (value === null || low === null || high === null || value <= 0 || value >= 1) return 1
  return Math.max(1, (high - low) / (2 * normalQuantile(0.975) * Math.sqrt((value * (1 - value)) / n)))
}

/** Where the log has more rows than are read, a later begin. */
async function boundedFrom(db: CheckContext['db'], model: string, { from, to }: Window, maxRows: number): Promise<number> {
  const [row] = await db.query<{ at: number }>(
    `SELECT (extract(epoch FROM at) * 1000000)::float8 AS at FROM lockstep.prediction_log
     WHERE model = $1 AND at >= to_timestamp($2) AND at < to_timestamp($3) ORDER BY at DESC OFFSET $4 LIMIT 1`,
    [model, from / 1e6, to / 1e6, maxRows],
  )
  return row?.at ?? from
}

function windowOf({ from, to, total }: QualityReport) {
  return { from, to, judged: total.judged, withoutOutcome: total.withoutOutcome, entities: total.entities }
}

function figureJson(figure: Figure | undefined) {
  return figure === undefined ? null : { value: figure.value, low: figure.low, high: figure.high, n: figure.n, reason: figure.reason }
}

function short(value: number | null): string {
  return value === null ? 'none' : formatNumber(value)
}
