import { LockstepError } from '../../kernel/errors.ts'
import type { Baseline, BaselineOrigin, ColumnBaseline } from '../../monitoring/baselines/baseline.ts'
import { baselineOf } from '../../monitoring/baselines/baseline.ts'
import { parseModelReference, pickVersion } from '../../registry/pick-version.ts'
import { clusteredShares } from '../../statistics/clustered-shares.ts'
import { binLabels } from '../../statistics/column-bins.ts'
import { minEntities } from '../../statistics/drift-test.ts'
import type { Command } from '../command.ts'
import { count, counted } from '../human.ts'
import { table } from '../table.ts'

export const baselineShowCommand: Command = {
  name: 'baseline show',
  summary: 'Show the distributions that served features and outputs are compared with',
  description: ['Without a version, shows the champion, or the newest version if there is no champion.'],
  arguments: [{ name: 'MODEL', help: 'The model, or one version of it: delay@3, delay@challenger.' }],
  example: 'lockstep baseline show delay@3',
  async run(context, input) {
    const { model: name, version: wanted } = parseModelReference(input.argument('MODEL'))
    const { version } = pickVersion((await context.catalog()).model(name), wanted)
    const baseline = await baselineOf(await context.database(), name, version)
    if (baseline === null) throw noBaseline(name, version)
    return { json: baselineJson(baseline), text: baselineText(baseline) }
  },
}

export function noBaseline(model: string, version: number): LockstepError {
  return new LockstepError(
    'BASELINE_MISSING',
    `The model version "${model}@${version}" has no baseline. "lockstep baseline create ${model}@${version}" makes one of its training set, or of its served rows.`,
    { details: { model, version } },
  )
}

export function baselineJson({ id, model, version, origins, rows, sampledRows, entities, effects, columns }: Baseline) {
  return {
    id,
    model,
    version,
    origins,
    rows,
    sampledRows,
    entities,
    effects,
    columns: [...columns.values()].map(({ name, type, origin, bins, statuses, numbers, sums }) => ({
      name,
      type,
      origin,
      statuses,
      numbers,
      entities: sums.entities,
      effectiveEntities: clusteredShares(sums).effectiveEntities,
      bins: binLabels(bins).map((label, bin) => ({ label, count: sums.counts[bin] ?? 0 })),
    })),
  }
}

export function baselineText(baseline: Baseline): string {
  const { model, version, origins, rows, sampledRows, entities, effects, columns } = baseline
  const all = [...columns.values()]
  const few = all.filter(({ sums }) => clusteredShares(sums).effectiveEntities < minEntities)
  return [
    `The baseline of ${model}@${version}: ${origins.map(originText).join('; ')}.`,
    `${counted(rows, 'row')}, ${count(sampledRows)} of them counted by value, of ${counted(entities, 'entity', 'entities')}.`,
    ...(few.length === 0
      ? []
      : [
          `note: too few entities to test ${few.length === all.length ? 'any column' : few.map(({ name }) => `"${name}"`).join(', ')}: a test needs the weight of ${minEntities}`,
        ]),
    '',
    table(
      ['COLUMN', 'TYPE', 'MISSING', 'EFFECT', 'VALUES'],
      all.map((column) => columnCells(column, effects?.byFeature[column.name])),
    ),
    ...(effects === null
      ? []
      : [
          '',
          `EFFECT: how far "${effects.output}" moves if the feature is permuted (${effects.unit === 'absolute' ? 'mean absolute change' : 'share of rows'}), over ${counted(effects.rows, 'row')}.`,
        ]),
  ].join('\n')
}

function originText(origin: BaselineOrigin): string {
  switch (origin.kind) {
    case 'training set':
      return `features of the training set ${origin.dataset}`
    case 'training predictions':
      return 'outputs predicted for rows of the training set'
    case 'served':
      return `rows that were served from ${origin.from} to ${origin.to}`
    default:
      return origin satisfies never
  }
}

function columnCells({ name, type, sums, bins, numbers, statuses }: ColumnBaseline, effect: number | undefined): string[] {
  const total = sums.counts.reduce((sum, each) => sum + each, 0)
  const missing = (sums.counts[0] ?? 0) / total
  const reasons = Object.entries(statuses).filter(([status]) => status !== 'PRESENT')
  const share = (part: number) => `${Number((part * 100).toPrecision(3))} %`
  const why = reasons.map(([status]) => status).join(', ')
  const missingText = `${share(missing)}${missing === 0 || why === '' ? '' : ` (${why})`}`
  return [name, type, missingText, effect === undefined ? '' : String(Number(effect.toPrecision(3))), valuesText()]

  function valuesText(): string {
    const short = (number: number | null) => (number === null ? 'none' : String(Number(number.toPrecision(4))))
    if (numbers !== null) {
      const { min, max, mean, deviation } = numbers
      return `${short(min)} to ${short(max)}, mean ${short(mean)} ± ${short(deviation)}`
    }
    if (bins.kind === 'number') return 'no finite value'
    return bins.values
      .slice(0, 3)
      .map((value, i) => `${value} ${share((sums.counts[i + 1] ?? 0) / total)}`)
      .join(', ')
  }
}
