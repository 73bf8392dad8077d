import type { DatasetManifest } from '../../offline/datasets/dataset-manifest.ts'
import { filesOf, statisticsOf } from '../../offline/datasets/dataset-manifest.ts'
import { datasetAnswer } from '../../serving/protocols/http/data/dataset-schemas.ts'
import type { Command } from '../command.ts'
import { findDataset } from '../../offline/datasets/stored-datasets.ts'
import { bytes, count, counted } from '../text/human.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { valuesText } from '../text/statistics-text.ts'
import { table } from '../text/table.ts'

export const datasetShowCommand: Command = {
  name: 'dataset show',
  summary: 'Show the manifest of a training set: how it was made',
  arguments: [{ name: 'ID', help: 'The id of the training set, or its first characters.' }],
  options: { server: serverOption },
  example: 'lockstep dataset show 3f0c2a',
  async run(context, input) {
    const [id, server] = [input.argument('ID'), serverOf(context, input)]
    const { manifest } =
      server === null
        ? await findDataset(await context.database(), id)
        : await server.ask('GET', `/v1/datasets/${encodeURIComponent(id)}`, undefined, datasetAnswer)
    return { json: manifest, text: manifestText(manifest) }
  },
}

/** A manifest as text. */
export function manifestText(manifest: DatasetManifest): string {
  const { service, spine, rule } = manifest
  const statistics = statisticsOf(manifest)
  const fields: [string, string][] = [
    ['id', manifest.id],
    ['created', manifest.createdAt],
    ...filesOf(manifest).flatMap((each, i): [string, string][] => [
      [
        each.range ? `part ${i}` : (each.part ?? 'file'),
        `${each.path}: ${each.format}, ${counted(each.rows, 'row')}, ${bytes(each.bytes)}`,
      ],
      ['sha256', each.sha256],
    ]),
    ...(manifest.split.length === 0 ? [] : [['split', `at ${manifest.split.join(' and ')}`] satisfies [string, string]]),
    ['service', `${service.id} ${short(service.fingerprint)}`],
    ...manifest.views.map(({ id, fingerprint, code }): [string, string] => [
      'view',
      `${id} ${short(fingerprint)}${code === null ? '' : `, code ${short(code)}`}`,
    ]),
    ['spine', spineText(spine.from)],
    [
      '',
      `${counted(spine.rows, 'row')}${spine.sample === null ? '' : ` (a sample of ${spine.sample.fraction}, seed ${spine.sample.seed})`}, time "${spine.time}", ${count(spine.nullKeyRows)} without a key, sha256 ${short(spine.sha256)}`,
    ],
    [
      'rule',
      `knowledge ${rule.knowledge}, freshness ${rule.freshness}, as of ${rule.asOf}${rule.knownBefore === null ? '' : `, known before ${rule.knownBefore}`}`,
    ],
    ...manifest.unchecked.map((sentence): [string, string] => ['unchecked', sentence]),
    ['data', dataText(manifest)],
  ]
  const width = Math.max(...fields.map(([name]) => name.length))
  const columns = table(
    ['COLUMN', 'TYPE', 'FROM', 'NULLS', 'VALUES'],
    manifest.columns.map(({ name, type, from: origin }, i) => [name, type, origin, ...valuesText(statistics[i])]),
  )
  return [...fields.map(([name, value]) => `${name.padEnd(width)}  ${value}`), '', columns].join('\n')
}

function spineText(from: DatasetManifest['spine']['from']): string {
  if ('rowsOf' in from) return `the rows of ${from.rowsOf} from ${from.from} to ${from.to}`
  return 'sql' in from ? from.sql : from.file
}

function dataText({ source, engine }: DatasetManifest): string {
  if (engine === undefined) return `all transactions below ${source.xmin}${leftOutText(source)}`
  if (engine.name === 'external') return 'another engine read the rows of the sources'
  return engine.sources.map(({ source: name, files }) => `"${name}": ${counted(files.length, 'file')}`).join(', ')
}

function leftOutText({ droppedRows, heldBackRows }: DatasetManifest['source']): string {
  const parts = (rows: Readonly<Record<string, number>>, why: string): string[] =>
    Object.entries(rows).flatMap(([source, number]) => (number === 0 ? [] : [`${counted(number, 'row')} of "${source}" ${why}`]))
  const all = [...parts(droppedRows, 'without a key'), ...parts(heldBackRows, 'behind a transaction that was still open')]
  return all.length === 0 ? '' : `; passed over: ${all.join(', ')}`
}

function short(hash: string): string {
  return hash.slice(0, 12)
}
