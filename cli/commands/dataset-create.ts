import { basename } from 'node:path'
import { defined } from '../../kernel/defined.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { DatasetOptions } from '../../offline/datasets/dataset.ts'
import { createDataset } from '../../offline/datasets/dataset.ts'
import type { DatasetManifest } from '../../offline/datasets/dataset-manifest.ts'
import { filesOf, pathOfManifest } from '../../offline/datasets/dataset-manifest.ts'
import type { ExportOptions } from '../../offline/distributed-export/begin-export.ts'
import type { SpineSample } from '../../offline/spine/sample-spine.ts'
import type { SpineInput } from '../../offline/spine/spine.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { reportToDagster } from '../dagster-pipes.ts'
import type { EngineChoice } from '../engine-option.ts'
import { engineOf, engineOptions, withFileEngine } from '../engine-option.ts'
import { exitCodeOf, ifEmptyOption } from '../if-empty.ts'
import { createInParts } from '../create-in-parts.ts'
import { createJoinProgress, heldBackNotes } from '../join-progress.ts'
import { bytes, count, counted, duration } from '../text/human.ts'
import type { Input } from '../input.ts'
import { createRemoteDataset } from '../remote/create-dataset.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { spineInput } from '../spine-option.ts'

const formats = ['parquet', 'csv', 'jsonl'] as const
const bounds = ['at', 'before'] as const
const knowledges = ['bitemporal', 'latest'] as const
const freshnesses = ['served', 'ideal'] as const

export const datasetCreateCommand: Command = {
  name: 'dataset create',
  summary: "Write a training set: a spine with a service's features as of each row's time",
  description: [
    'The spine is a file (.parquet, .csv, .jsonl) or a SQL query. It has the key columns of the service, a time and the request values. Other columns, such as the label, are copied.',
    'FILE.manifest.json, beside the file, records how it was made.',
    'With --parts or --rows-per-part, writes a folder of files, together with all "lockstep worker" processes on the same database.',
  ],
  arguments: [{ name: 'SERVICE', help: 'The feature service, as "name" or "name@version".' }],
  options: {
    spine: { value: 'FILE|SQL', help: 'The rows to compute features for. Give this or --rows-of.' },
    'rows-of': {
      value: 'VIEW',
      help: "Instead of a spine: the rows of this view's source, each at the time when it becomes visible. Needs --from and --to.",
    },
    from: { value: 'TIME', help: 'With --rows-of: the first moment.' },
    to: { value: 'TIME', help: 'With --rows-of: the moment before which it ends.' },
    out: { value: 'FILE', help: 'The file to write: .parquet, .csv or .jsonl. With --parts: the folder.', needed: true },
    format: { value: 'FORMAT', choices: formats, help: '"parquet", "csv" or "jsonl". Default: by the file extension; parquet for parts.' },
    time: { value: 'COLUMN', help: "The spine's time column, if it has several." },
    columns: { value: 'A,B,…', help: 'The columns of the spine to copy. Default: all.' },
    sample: { value: 'FRACTION', help: 'Use this share of the spine rows, the same rows each time: above 0, at most 1.' },
    seed: { value: 'N', help: 'The seed that selects the sample. Default: 0.' },
    split: {
      value: 'TIME[,TIME]',
      help: 'Split the rows by time into several files: train and test, or train, validation and test.',
    },
    'as-of': {
      value: 'BOUND',
      choices: bounds,
      help: '"at" (the default): rows that become visible at exactly the time of a spine row count; "before": they do not.',
    },
    knowledge: {
      value: 'RULE',
      choices: knowledges,
      help: '"bitemporal" (the default): only what was known at the time; "latest": as if every row had been known at its event time.',
    },
    freshness: {
      value: 'RULE',
      choices: freshnesses,
      help: '"served" (the default): as fresh as the schedules of the views allow; "ideal": as if every view were continuous.',
    },
    'known-before': { value: 'TIME', help: 'Ignore rows with a known time (or, without one, an event time) at this moment or later.' },
    'drop-incomplete': { help: 'Drop rows that lack a required feature, which a server would refuse. Default: keep them, with null.' },
    parts: { value: 'N', help: 'Write this number of files with about the same number of spine rows each: part-00000.parquet and so on.' },
    'rows-per-part': { value: 'N', help: 'Instead of --parts: the maximum number of spine rows per file.' },
    'no-work': { help: 'With parts: leave all of them to workers.' },
    overwrite: { help: 'Replace an existing file.' },
    ...engineOptions,
    'if-empty': ifEmptyOption,
    server: serverOption,
  },
  streams: true,
  example: `lockstep dataset create flight_features --spine "select origin as airport, date, delay > 15 as late from flights" --out train.parquet`,
  async run(context, input) {
    const started = performance.now()
    const spine = spineOf(input)
    const parts = partsOf(input)
    const options = {
      format: input.choice('format', formats),
      time: input.text('time'),
      columns: input
        .text('columns')
        ?.split(',')
        .map((name) => name.trim()),
      asOf: input.choice('as-of', bounds),
      knowledge: input.choice('knowledge', knowledges),
      freshness: input.choice('freshness', freshnesses),
      knownBefore: input.time('known-before'),
      sample: sampleOf(input),
      split: input.text('split')?.split(',').map(parseTimestamp),
    }
    const all = {
      ...defined(options),
      spine,
      out: input.needed('out'),
      dropIncomplete: input.flag('drop-incomplete'),
      overwrite: input.flag('overwrite'),
      signal: context.signal,
    }
    const name = input.argument('SERVICE')
    const engine = engineOf(input, ['parts', 'rows-per-part', 'rows-of', 'sample', 'server'])
    const server = engine === null ? serverOf(context, input) : null
    const manifest =
      server === null
        ? await createHere(context, name, { ...all, parts, work: !input.flag('no-work'), engine })
        : await createRemoteDataset(context, server, name, { ...all, parts })
    const seconds = (performance.now() - started) / 1000
    const files = filesOf(manifest)
    const rows = files.reduce((sum, file) => sum + file.rows, 0)
    const features = manifest.columns.filter(({ from }) => from === 'feature').length
    const size = files.reduce((sum, file) => sum + file.bytes, 0)
    await reportToDagster({ metadata: { dataset: manifest.id, path: manifest.path, rows, bytes: size }, dataVersion: manifest.file.sha256 })
    return {
      ...exitCodeOf(input, rows),
      json: { ...manifest, seconds },
      text: [
        `Wrote ${counted(rows, 'row')} with ${counted(features, 'feature')} of ${manifest.service.id} to ${placeText(manifest)} (${bytes(size)}) in ${duration(seconds * 1000)} (${count(rows / seconds)} rows/s).`,
        ...(manifest.statistics === null ? [] : [`${counted(files.length, 'part')}, from ${basename(manifest.file.path)} on`]),
        ...files.flatMap(({ part, path, rows: held }) => (part === null ? [] : [`${part}: ${counted(held, 'row')} in ${path}`])),
        ...missingNotes(manifest),
        ...heldBackNotes(manifest.source.heldBackRows),
        ...manifest.unchecked.map((sentence) => `note: ${sentence}`),
        `Its manifest is ${pathOfManifest(manifest)}, its id ${manifest.id}.`,
      ].join('\n'),
    }
  },
}

/** The file or folder; a set that is split by time has a file for each part, listed below. */
function placeText(manifest: DatasetManifest): string {
  return manifest.file.part === null ? manifest.path : counted(filesOf(manifest).length, 'file')
}

async function createHere(
  context: Context,
  name: string,
  {
    parts,
    work,
    engine,
    ...options
  }: Omit<DatasetOptions, 'engine'> & {
    readonly parts: ExportOptions['parts'] | null
    readonly work: boolean
    readonly engine: EngineChoice | null
  },
): Promise<DatasetManifest> {
  const catalog = await context.catalog()
  const service = catalog.service(name)
  if (engine !== null)
    return await withFileEngine(engine, await context.database(), catalog, (opened) =>
      createFile(context, service, { ...options, engine: opened }),
    )
  return parts === null ? await createFile(context, service, options) : await createInParts(context, service, { ...options, parts, work })
}

async function createFile(context: Context, service: ServicePlan, options: DatasetOptions): Promise<DatasetManifest> {
  const bar = createJoinProgress(context.terminal, { join: `Joining ${service.id}`, write: 'Writing the training set' })
  try {
    return await createDataset(await context.database(), service, { ...options, onProgress: (progress) => bar.update(progress) })
  } finally {
    bar.end()
  }
}

/** @throws LockstepError `USAGE` where options conflict */
function partsOf(input: Input): ExportOptions['parts'] | null {
  const [count, rows] = [input.count('parts', 1, 99_999), input.count('rows-per-part', 1)]
  if (count !== undefined && rows !== undefined) throw new LockstepError('USAGE', 'Give "--parts" or "--rows-per-part", not both.')
  const parts = count !== undefined ? { count } : rows !== undefined ? { rows } : null
  const alone = parts === null ? 'no-work' : 'split'
  const given = alone === 'split' ? input.text(alone) !== undefined : input.flag(alone)
  if (!given) return parts
  throw new LockstepError(
    'USAGE',
    parts === null
      ? 'The option "--no-work" leaves parts to workers; give "--parts N" too, or remove it.'
      : 'A training set in parts cannot also be split by time; remove "--split", or the parts.',
  )
}

function missingNotes({ missingRequired, incomplete }: DatasetManifest): string[] {
  const what = incomplete.dropped ? 'left out' : 'which a server would refuse'
  return Object.entries(missingRequired).flatMap(([name, rows]) =>
    rows === 0 ? [] : [`note: ${counted(rows, 'row')} without the required feature "${name}", ${what}`],
  )
}

/** @throws LockstepError `USAGE` unless exactly one is given: a spine, or a view with both moments */
function spineOf(input: Input): SpineInput {
  const [spine, rowsOf, from, to] = [input.text('spine'), input.text('rows-of'), input.time('from'), input.time('to')]
  if (spine !== undefined && rowsOf === undefined && from === undefined && to === undefined) return spineInput(spine)
  if (spine === undefined && rowsOf !== undefined && from !== undefined && to !== undefined) return { rowsOf, from, to }
  throw new LockstepError('USAGE', 'Give either "--spine FILE|SQL", or "--rows-of VIEW" with "--from TIME" and "--to TIME".')
}

/** @throws LockstepError `USAGE` where the share is not a number, or a seed is given without a share */
function sampleOf(input: Input): SpineSample | undefined {
  const [text, seed] = [input.text('sample'), input.count('seed', 0)]
  if (text === undefined && seed !== undefined)
    throw new LockstepError('USAGE', 'The option "--seed" selects the rows of a sample; give "--sample FRACTION" too, or remove it.')
  if (text === undefined) return undefined
  const fraction = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN
  if (fraction > 0 && fraction <= 1) return { fraction, seed: seed ?? 0 }
  throw new LockstepError('USAGE', `The option "--sample" is "${text}"; give a number above 0 and at most 1, such as 0.1.`)
}
