import { formatNumber, formatShare } from '../../kernel/values/format-number.ts'
import type { BaselineOrigin } from '../../monitoring/baselines/baseline.ts'
import { requireBaseline } from '../../monitoring/baselines/baseline.ts'
import type { BaselineJson } from '../../monitoring/baselines/baseline-json.ts'
import { baselineJson } from '../../monitoring/baselines/baseline-json.ts'
import { parseModelReference, pickVersion } from '../../registry/models/pick-version.ts'
import { baseline as baselineSchema } from '../../serving/protocols/http/monitoring/baseline-schemas.ts'
import { minEntities } from '../../statistics/drift-test.ts'
import type { Command } from '../command.ts'
import { count, counted } from '../text/human.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { table } from '../text/table.ts'

export const baselineShowCommand: Command = {
  name: 'baseline show',
  summary: 'Show the distributions that served features and outputs are compared with',
  description: ['Without a version, shows the champion, or the newest version if there is no champion.'],
  arguments: [{ name: 'MODEL', help: 'The model, or one version of it: delay@3, delay@challenger.' }],
  options: { server: serverOption },
  example: 'lockstep baseline show delay@3',
  async run(context, input) {
    const { model: name, version: wanted } = parseModelReference(input.argument('MODEL'))
    const server = serverOf(context, input)
    if (server !== null) {
      const query = wanted === undefined ? '' : `?version=${encodeURIComponent(wanted)}`
      const answer = await server.ask('GET', `/v1/models/${encodeURIComponent(name)}/baseline${query}`, undefined, baselineSchema)
      return { json: answer, text: baselineText(answer) }
    }
    const { version } = pickVersion((await context.catalog()).model(name), wanted)
    const json = baselineJson(await requireBaseline(await context.database(), name, version))
    return { json, text: baselineText(json) }
  },
}

/** A baseline as it is printed, from here or from a server. */
type Printed = Omit<BaselineJson, 'columns'> & { readonly columns: readonly Column[] }
type Column = Omit<BaselineJson['columns'][number], 'effectiveEntities'> & { readonly effectiveEntities: number | null }

export function baselineText({ model, version, origins, rows, sampledRows, entities, effects, columns }: Printed): string {
  const few = columns.filter(({ effectiveEntities }) => (effectiveEntities ?? 0) < minEntities)
  const which = few.length === columns.length ? 'any column' : few.map(({ name }) => `"${name}"`).join(', ')
  return [
    `The baseline of ${model}@${version}: ${origins.map(originText).join('; ')}.`,
    `${counted(rows, 'row')}, ${count(sampledRows)} of them counted by value, of ${counted(entities, 'entity', 'entities')}.`,
    ...(few.length === 0 ? [] : [`note: too few entities to test ${which}: a test needs the weight of ${minEntities}`]),
    '',
    table(
      ['COLUMN', 'TYPE', 'MISSING', 'EFFECT', 'VALUES'],
      columns.map((column) => columnCells(column, effects?.byFeature[column.name])),
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

function columnCells({ name, type, bins, numbers, statuses }: Column, effect: number | undefined): string[] {
  const total = bins.reduce((sum, bin) => sum + bin.count, 0)
  const missing = (bins[0]?.count ?? 0) / total
  const why = Object.keys(statuses).filter((status) => status !== 'PRESENT')
  const missingText = `${formatShare(missing)}${missing === 0 || why.length === 0 ? '' : ` (${why.join(', ')})`}`
  return [name, type, missingText, effect === undefined ? '' : formatNumber(effect), valuesText()]

  function valuesText(): string {
    const short = (number: number | null) => (number === null ? 'none' : String(Number(number.toPrecision(4))))
    if (numbers !== null) return `${short(numbers.min)} to ${short(numbers.max)}, mean ${short(numbers.mean)} ± ${short(numbers.deviation)}`
    return bins
      .slice(1)
      .filter((bin) => bin.count > 0)
      .slice(0, 3)
      .map((bin) => `${bin.label} ${formatShare(bin.count / total)}`)
      .join(', ')
  }
}
