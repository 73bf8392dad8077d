import { LockstepError } from '../kernel/errors.ts'
import { createDuckDbEngine } from '../offline/duckdb/duckdb-engine.ts'
import type { FileEngine } from '../offline/join-engine.ts'
import type { Catalog } from '../registry/catalog.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { createKernelProcesses } from '../serving/engines/kernel-processes.ts'
import type { Option } from './command.ts'
import type { Input } from './input.ts'

const engines = ['postgres', 'duckdb'] as const

export const engineOptions: Readonly<Record<'engine' | 'source' | 'memory' | 'workers', Option>> = {
  engine: {
    value: 'ENGINE',
    choices: engines,
    help: '"postgres" (the default): read tables. "duckdb": read Parquet files, on a disk or in object storage: those that each source declares, or those of --source.',
  },
  source: {
    value: 'NAME=FILES',
    many: true,
    help: 'With an engine: the Parquet files of a source, such as landings=rows/*.parquet or landings=s3://lake/rows/.',
  },
  memory: { value: 'SIZE', help: 'With an engine: how much memory it may use before it sorts on disk, such as 4GB.' },
  workers: {
    value: 'N',
    help: 'With an engine: how many processes compute features. Default: one for each million rows, up to one for each core.',
  },
}

const maxWorkers = 1024

const whyNot: Readonly<Record<string, string>> = {
  detach:
    ': its work is no job, so this process does all of it, and no worker could continue. Leave out "--detach", and start the command where it can run to its end, for example in a Kubernetes Job.',
}

/** Which engine a command uses, and the files of each source. */
export interface EngineChoice {
  readonly sources: ReadonlyMap<string, readonly string[]>
  readonly memory: string | undefined
  readonly workers: number | undefined
}

/**
 * null: the database.
 *
 * @param without options that an engine does not have
 * @throws LockstepError `USAGE`
 */
export function engineOf(input: Input, without: readonly string[]): EngineChoice | null {
  const named = input.texts('source')
  const memory = input.text('memory')
  const workers = input.count('workers', 1, maxWorkers)
  if ((input.choice('engine', engines) ?? 'postgres') === 'postgres') {
    if (named.length === 0 && memory === undefined && workers === undefined) return null
    throw new LockstepError(
      'USAGE',
      'The options "--source", "--memory" and "--workers" are for engines over files; give "--engine duckdb" too.',
    )
  }
  const other = without.find((option) => input.text(option) !== undefined)
  if (other !== undefined)
    throw new LockstepError('USAGE', `The engine "duckdb" does not have the option "--${other}"${whyNot[other] ?? '. Remove one of them.'}`)
  if (memory !== undefined && !/^\d+(\.\d+)?\s*[KMGT]i?B$/.test(memory))
    throw new LockstepError('USAGE', `The option "--memory" is "${memory}"; give a size such as 4GB.`)
  const sources = new Map<string, string[]>()
  for (const text of named) {
    const [, name = '', files = ''] = /^([^=]+)=(.+)$/.exec(text) ?? []
    if (name === '') throw new LockstepError('USAGE', `The option "--source" is "${text}"; write --source NAME=FILES.parquet.`)
    sources.set(name, [...(sources.get(name) ?? []), files])
  }
  return { sources, memory, workers }
}

/** @param declared the files that sources declare, which are read unless `--source` names others */
export async function withFileEngine<T>(
  { sources, memory, workers }: EngineChoice,
  db: Database,
  catalog: Catalog,
  fn: (engine: FileEngine) => Promise<T>,
): Promise<T> {
  const engine = await createDuckDbEngine({
    sources,
    declared: catalog.files,
    memory,
    workers,
    processes: createKernelProcesses(db, catalog),
  })
  try {
    return await fn(engine)
  } finally {
    await engine.close()
  }
}
