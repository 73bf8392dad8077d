import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { parseJson } from '../../kernel/parse-json.ts'
import { explainView } from '../../offline/explain-view.ts'
import { explain } from '../../serving/features/explain.ts'
import type { Command } from '../command.ts'

export const explainCommand: Command = {
  name: 'explain',
  summary: 'Explain why the features of one entity have their values',
  description: [
    'Shows for each feature the row that won, the rows that it beat and why, and for a window the time that it covers. Reads the offline history.',
  ],
  arguments: [{ name: 'NAME', help: 'A feature service or a feature view.' }],
  options: {
    entity: { value: 'JSON', help: 'The key, such as {"airport": "ATL"}.', needed: true },
    'as-of': { value: 'TIME', help: 'The moment. Default: now.' },
    candidates: { value: 'N', help: 'The maximum number of rows of each kind. Default: 10.' },
  },
  example: `lockstep explain airport_delays --entity '{"airport": "ATL"}' --as-of 2001-06-30T12:00:00Z`,
  async run(context, input) {
    const name = input.argument('NAME')
    const entity = entityOf(input.needed('entity'))
    const catalog = await context.catalog()
    const db = await context.database()
    const plain = name.replace(/@\d+$/, '')
    const isService = [...catalog.services.values()].some((service) => service.name === plain)
    const explained = await explain(catalog, (plan, key, options) => explainView(db, plan, key, { ...options, signal: context.signal }), {
      ...(isService ? { service: name } : { view: name }),
      entity,
      asOf: input.time('as-of') ?? Date.now() * 1000,
      maxRows: input.count('candidates', 1, 100) ?? 10,
    })
    return { json: explained, text: explained.views.map(viewText).join('\n\n') }
  },
}

type Explained = Awaited<ReturnType<typeof explain>>
type ViewJson = Explained['views'][number]

function viewText(view: ViewJson): string {
  const { visible, notYetVisible, dropped } = view.rows
  const lines = [
    `${view.view} of ${JSON.stringify(view.key)}: ${visible} rows visible, ${notYetVisible} not yet, ${dropped} dropped by the transform`,
  ]
  for (const feature of view.features) {
    lines.push(`  ${feature.feature} = ${JSON.stringify(feature.value)} (${feature.status})`)
    if (feature.kind === 'latest') {
      const { winner, beaten } = feature
      lines.push(winner === null ? '    no row' : `    won by ${rowText(winner)}`)
      for (const row of beaten) lines.push(`    beat   ${rowText(row)}: ${row.why}`)
    } else {
      const span = 'span' in feature ? ` from ${feature.span.from} to ${feature.span.to}, ${feature.outsideWindow} outside` : ''
      lines.push(`    ${feature.aggregate} of ${feature.counted} rows${span}`)
      for (const row of feature.newest) lines.push(`    counts ${rowText(row)}`)
    }
  }
  for (const row of view.notYetVisible) lines.push(`  not yet visible: ${rowText(row)}`)
  return lines.join('\n')
}

function rowText(row: ViewJson['notYetVisible'][number]): string {
  const value = row.value === undefined ? '' : `${JSON.stringify(row.value)}, `
  const known = row.knownTime === row.eventTime ? '' : `, known ${row.knownTime ?? 'never'}`
  const visible = row.visibleAt === row.knownTime ? '' : `, visible ${row.visibleAt ?? 'never'}`
  return `${value}${row.eventTime}${known}${visible}${row.row === undefined ? '' : `, row ${row.row}`}`
}

function entityOf(text: string): Readonly<Record<string, unknown>> {
  let json: unknown
  try {
    json = parseJson(text)
  } catch (cause) {
    throw new LockstepError('USAGE', `The option "--entity" is not JSON: ${messageOf(cause)}. Write it as '{"airport": "ATL"}'.`, { cause })
  }
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return { ...json }
  throw new LockstepError('USAGE', `The option "--entity" is not a JSON object. Write it as '{"airport": "ATL"}'.`)
}
