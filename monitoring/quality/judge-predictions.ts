import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Judge } from './judge.ts'
import type { FinishedGroup, GroupTally } from './group-tally.ts'
import { createClassifierTally } from './classifier-tally.ts'
import { createCategoryTally, createNumberTally } from './other-tallies.ts'
import type { BusinessFigure, BusinessTally } from './business-tally.ts'
import { createBusinessTally } from './business-tally.ts'
import type { GroupSplitter } from './group-splitter.ts'
import { createGroupSplitter } from './group-splitter.ts'
import type { SplitBy } from './slices.ts'
import type { QualityEstimate } from './estimate-unlabelled.ts'
import { estimateUnlabelled } from './estimate-unlabelled.ts'
import type { ScoreSample } from './score-sample.ts'
import { createScoreSample } from './score-sample.ts'

/** One logged prediction, with what came of it. */
export interface OutcomeOfPrediction {
  /** Epoch microseconds; NaN: unknown. */
  readonly at: number
  readonly version: number
  readonly role: string
  /** A hash of the key of its entity, an int32. */
  readonly entity: number
  /** The judged output. */
  readonly output: unknown
  /** The values that rows are split by, by name. */
  readonly columns: Readonly<Record<string, unknown>>
  /** null: it has none. */
  readonly outcome: unknown
  /** Its business figures, by index; null: the figure leaves it out. */
  readonly amounts: readonly (number | null)[]
  /** Whether a row said what came of it. Without one, the outcome is what was declared for that. */
  readonly matched: boolean
  /** Whether its outcome can no longer come. */
  readonly mature: boolean
}

/** How the logged predictions of a group divide. */
export interface PredictionCounts {
  readonly predictions: number
  /** Mature, with an outcome: the figures are about these. */
  readonly judged: number
  /** How many of these have no row in the outcome's source, so they get the outcome that is declared for that case. */
  readonly assumed: number
  readonly immature: number
  /** Mature, and without an outcome. */
  readonly withoutOutcome: number
  /** Mature, with an output or outcome that cannot be compared, such as NaN. */
  readonly unreadable: number
}

export interface JudgedGroup extends PredictionCounts, FinishedGroup {
  /** By name of the split. */
  readonly by: Readonly<Record<string, string>>
  /** How many entities are behind the judged predictions; null: more than are kept apart. */
  readonly entities: number | null
  /** The business figures of the outcome, by name. */
  readonly business: Readonly<Record<string, BusinessFigure>>
}

export interface JudgedPredictions {
  /** Figures of the answers that were sent, without shadow predictions. */
  readonly total: JudgedGroup
  /** Shadow predictions, which only groups by version or role have. */
  readonly shadow: number
  readonly groups: readonly JudgedGroup[]
  /** Whether more groups were found than are kept apart: the rest is one group. */
  readonly isFull: boolean
  /** Only for classifiers: by version that has immature predictions. */
  readonly estimates: readonly (QualityEstimate & { readonly version: number })[]
}

export interface JudgeSettings {
  readonly judge: Judge
  readonly by: readonly SplitBy[]
  /** The first rows: bins of numbers are made from them. */
  readonly first: readonly OutcomeOfPrediction[]
  readonly limits?: JudgeLimits | undefined
  /** The names of the business figures. Default: none. */
  readonly business?: readonly string[]
  /** Whether figures have their `spread`. Default: they have not. */
  readonly withSpread?: boolean
}

/** How many rows are kept for figures that sums do not give; more are sampled. */
export interface JudgeLimits {
  /** The maximum number of scores for AUC and calibration. */
  readonly total: number
  /** The maximum number of scores of each group. */
  readonly group: number
  /** The maximum number of rows of each version that calibrate scores, and of rows without an outcome. */
  readonly estimate: number
  /** The maximum number of scores of each calibration curve. */
  readonly curve: number
}

export const defaultLimits: JudgeLimits = { total: 2_000_000, group: 200_000, estimate: 20_000, curve: 5000 }
/** Curves cost more than all other figures. */
const maxCurves = 20

interface Counted {
  readonly tally: GroupTally
  readonly business: BusinessTally
  predictions: number
  assumed: number
  immature: number
  withoutOutcome: number
  unreadable: number
}

/** Takes one row after the other, in bounded memory. */
export function createPredictionJudge({ judge, by, first, limits = defaultLimits, business = [], withSpread = false }: JudgeSettings) {
  const createCounted = (limit: number): Counted => ({
    tally: createGroupTally(judge, limit, withSpread),
    business: createBusinessTally(business, withSpread),
    predictions: 0,
    assumed: 0,
    immature: 0,
    withoutOutcome: 0,
    unreadable: 0,
  })
  const total = createCounted(limits.total)
  const splitter: GroupSplitter<Counted> | null = by.length === 0 ? null : createGroupSplitter(by, first, () => createCounted(limits.group))
  const splitsShadow = by.some(({ kind }) => kind === 'version' || kind === 'role')
  let shadow = 0
  const samples = new Map<number, { readonly labelled: ScoreSample; readonly unlabelled: ScoreSample }>()

  function sampleOf(version: number) {
    let sample = samples.get(version)
    if (sample === undefined) {
      sample = {
        labelled: createScoreSample(limits.estimate, { withTimes: true }),
        unlabelled: createScoreSample(limits.estimate),
      }
      samples.set(version, sample)
    }
    return sample
  }

  function addTo(group: Counted, row: OutcomeOfPrediction, score: number | string | null, outcome: number | string | null): void {
    group.predictions++
    if (!row.mature) group.immature++
    else if (row.outcome === null) group.withoutOutcome++
    else if (score === null || outcome === null) group.unreadable++
    else {
      group.tally.add({ entity: row.entity, score, outcome })
      group.business.add(row.entity, row.amounts, row.matched)
      if (!row.matched) group.assumed++
    }
  }

  return {
    add(row: OutcomeOfPrediction): void {
      const score = judge.score(row.output)
      const outcome = row.outcome === null ? null : judge.outcome(row.outcome)
      const isShadow = row.role === 'shadow'
      if (isShadow) shadow++
      else addTo(total, row, score, outcome)
      if (splitter !== null && (splitsShadow || !isShadow)) addTo(splitter.of(row), row, score, outcome)
      if (judge.kind !== 'binary' || judge.decides || typeof score !== 'number') return
      if (!row.mature) sampleOf(row.version).unlabelled.add(score, 0)
      else if (typeof outcome === 'number') sampleOf(row.version).labelled.add(score, outcome, { at: row.at })
    },

    /** Other work of the process runs between the groups. */
    async finish(): Promise<JudgedPredictions> {
      const finished = async (group: Counted, labels: Readonly<Record<string, string>>, curveRows: number): Promise<JudgedGroup> => {
        await nextTurn()
        const { tally, business: amounts, ...counts } = group
        const figures = { ...(await tally.finish(curveRows)), business: amounts.finish() }
        return { by: labels, ...counts, judged: tally.rows, entities: tally.entities(), ...figures }
      }
      const split = splitter?.groups() ?? []
      const groups: JudgedGroup[] = []
      for (const { by: labels, group } of split) groups.push(await finished(group, labels, split.length <= maxCurves ? limits.curve : 0))
      const estimates: JudgedPredictions['estimates'][number][] = []
      for (const [version, { labelled, unlabelled }] of [...samples].toSorted(([a], [b]) => a - b)) {
        if (unlabelled.seen === 0) continue
        const rows = {
          scores: Array.from(labelled.scores()),
          labels: Array.from(labelled.labels(), (label) => label === 1),
          times: Array.from(labelled.times()),
        }
        const estimate = await estimateUnlabelled(rows, Array.from(unlabelled.scores()), unlabelled.seen, judge.threshold)
        estimates.push({ version, ...estimate })
      }
      return { total: await finished(total, {}, limits.curve), shadow, groups, isFull: splitter?.isFull ?? false, estimates }
    },
  }
}

/** @param limit how many scores are kept for figures that sums do not give */
function createGroupTally({ kind, decides, threshold }: Judge, limit: number, withSpread: boolean): GroupTally {
  switch (kind) {
    case 'binary':
      return createClassifierTally({ threshold, decides, limit, withSpread })
    case 'number':
      return createNumberTally(withSpread)
    case 'category':
      return createCategoryTally(withSpread)
    default:
      return kind satisfies never
  }
}
