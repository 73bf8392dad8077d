import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Row, ViewRows } from './adapter.ts'

/** One case: what it demonstrates, and its steps in order. README.md describes the files. */
export interface ConformanceCase {
  readonly id: string
  readonly folder: string
  /** The rule that the case demonstrates, as a sentence. */
  readonly title: string
  readonly steps: readonly Step[]
}

export type Step = DefineStep | RetireStep | IngestStep | PushStep | MaterializeStep | TrainStep | ReadStep | ServeStep

/** The words that a refusal must contain. A step with them must be refused. */
interface Refusable {
  readonly refused?: readonly string[]
}
export interface DefineStep extends Refusable {
  /** File name without its ending, which is the adapter's. */
  readonly define: string
}
export interface RetireStep extends Refusable {
  /** File name without its ending: that of the case's own definitions. */
  readonly retire: string
}
export interface IngestStep extends Refusable {
  /** The source. */
  readonly ingest: string
  readonly rows: string
}
export interface PushStep extends Refusable {
  /** The source. */
  readonly push: string
  readonly rows: string
  /** The member of the rows that is no column, but names an event. */
  readonly id?: string
}
export interface MaterializeStep extends Refusable {
  /** The views. */
  readonly materialize: readonly string[]
  readonly at: string
}
export interface TrainStep extends Refusable {
  /** The service. */
  readonly train: string
  readonly spine?: string
  readonly query?: string
  readonly rows?: ViewRows
  readonly time: string
  readonly asOf?: 'at' | 'before'
  readonly knowledge?: 'bitemporal' | 'latest'
  readonly freshness?: 'served' | 'ideal'
  readonly knownBefore?: string
  readonly save?: string
  /** The file of the expected rows, in this order. */
  readonly expect?: string
  /** The columns that a request sends: each row is also read online, as of its own moment, and must be equal. */
  readonly replay?: readonly string[]
}
export interface ReadStep extends Refusable {
  /** The name under which a training set was saved. */
  readonly read: string
  readonly expect: string
}
export interface ServeStep extends Refusable {
  /** The service. */
  readonly serve: string
  readonly at: string
  /** The file of entities with their expected answers. */
  readonly expect?: string
  readonly entities?: readonly Row[]
}

/** Every folder of `cases`, by id. */
export async function readCases(root: string): Promise<ConformanceCase[]> {
  const ids = (await readdir(root)).toSorted()
  return await Promise.all(
    ids.map(async (id) => {
      const folder = join(root, id)
      const stated = JSON.parse(await readFile(join(folder, 'case.json'), 'utf8')) as Pick<ConformanceCase, 'title' | 'steps'>
      return { id, folder, ...stated }
    }),
  )
}
