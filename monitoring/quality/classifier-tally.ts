import { inTurns } from '../../runtime/async.ts'
import { aucInSteps } from '../../statistics/auc.ts'
import { surprise } from '../../statistics/quality-scores.ts'
import { calibrationOf } from './calibration-figures.ts'
import { createEntityTally } from './entity-tally.ts'
import type { Figure } from './figure.ts'
import { figureOf, minRows, noFigure, notNegative, tooFewRows } from './figure.ts'
import type { GroupTally } from './group-tally.ts'
import { createScoreSample } from './score-sample.ts'

export interface ClassifierOptions {
  /** The least score that counts as a positive decision. */
  readonly threshold: number
  /** Whether the output is the decision itself, not a score. */
  readonly decides: boolean
  readonly limit: number
  /** Whether figures have their `spread`. */
  readonly withSpread?: boolean
}

const names = ['auc', 'logLoss', 'brier', 'accuracy', 'precision', 'recall', 'f1', 'positives', 'calibrationError'] as const
/** The places of the sums of an entity. */
const [one, right, hit, decided, positive, surprised, square] = [0, 1, 2, 3, 4, 5, 6] as const
const sumsOfEntity = 7

/** For outcomes that are yes or no. */
export function createClassifierTally({ threshold, decides, limit, withSpread = false }: ClassifierOptions): GroupTally {
  const sums = createEntityTally(sumsOfEntity, withSpread)
  const sample = createScoreSample(limit, { withEntities: true })
  const values = new Float64Array(sumsOfEntity).fill(1)
  let areProbabilities = !decides

  const notProbabilities = decides ? 'the output is a decision, and no probability' : 'scores are not within 0 and 1'

  async function area(): Promise<Figure> {
    const n = sums.rows
    const positives = Math.round(sums.sum(positive))
    if (positives === 0 || positives === n) {
      return noFigure(`all ${n} outcomes are ${positives === 0 ? 'negative' : 'positive'}, and both kinds are needed`, n)
    }
    const entities = sums.interval() === 'entities' ? sample.entities() : undefined
    const [ofPositives, ofNegatives] = [sums.weightOf({ [positive]: 1 }), sums.weightOf({ [one]: 1, [positive]: -1 })]
    const spread = (ofPositives?.entities ?? 0) < (ofNegatives?.entities ?? 0) ? ofPositives : ofNegatives
    const estimate = await inTurns(aucInSteps(sample.scores(), sample.labels(), { entities }))
    return figureOf(estimate, sample.size, sums.interval(), spread)
  }

  return {
    add({ entity, score: output, outcome }) {
      const score = Number(output)
      const label = Number(outcome)
      const decision = score >= threshold ? 1 : 0
      if (!(score >= 0 && score <= 1)) areProbabilities = false
      values[one] = 1
      values[right] = decision === label ? 1 : 0
      values[hit] = decision * label
      values[decided] = decision
      values[positive] = label
      values[surprised] = areProbabilities ? surprise(score, label === 1) : 0
      values[square] = (score - label) ** 2
      sample.add(score, label, { entity: sums.add(entity, values) })
    },
    get rows() {
      return sums.rows
    },
    entities: sums.entities,
    async finish(curveRows) {
      const n = sums.rows
      if (n < minRows) return { figures: tooFewRows(names, n), calibration: null }
      const calibration = areProbabilities ? await calibrationOf(sample, curveRows, sums.interval(), sums.weightOf({ [one]: 1 })) : null
      const ofProbabilities = (figure: () => Figure): Figure => (areProbabilities ? figure() : noFigure(notProbabilities, n))
      const count = (sum: number): number => Math.round(sums.sum(sum))
      const [hits, decisions, positives] = [count(hit), count(decided), count(positive)]
      const figures = {
        auc: await area(),
        logLoss: ofProbabilities(() => notNegative(sums.mean(surprised))),
        brier: ofProbabilities(() => notNegative(sums.mean(square), 1)),
        accuracy: sums.share(right, one),
        precision: decisions === 0 ? noFigure(`no score reaches the threshold ${threshold}`, 0) : sums.share(hit, decided),
        recall: positives === 0 ? noFigure('no outcome is positive', 0) : sums.share(hit, positive),
        f1:
          hits === 0
            ? noFigure('no positive decision was right', n)
            : notNegative(sums.ratio({ [hit]: 2 }, { [decided]: 1, [positive]: 1 }), 1),
        positives: sums.share(positive, one),
        calibrationError: calibration === null ? noFigure(notProbabilities, n) : calibration.error,
      }
      return { figures, calibration }
    },
  }
}
