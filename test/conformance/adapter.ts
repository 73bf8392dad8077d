import type { Json } from './exact-json.ts'

export type Row = Readonly<Record<string, Json>>

/**
 * A feature store that runs the cases. It returns JSON as the case files write it: see README.md, "Values". A method
 * throws `Refused` where the store refuses the call; any other error fails the case.
 */
export interface Adapter {
  readonly name: string
  /** Which file of a case holds its definitions in this store's language. */
  readonly definitions: string
  /**
   * Takes up definitions, from these files all at once. The first call comes before everything else and has the files
   * of all cases.
   */
  define(files: readonly string[]): Promise<void>
  /** Removes the definitions of one of those first files. The rows of its sources stay. */
  retire(file: string): Promise<void>
  /** Adds the rows of a file (.jsonl or .csv) to a source: they arrive together, after all that came before. */
  ingest(source: string, file: string): Promise<void>
  /**
   * Has events arrive at a source, all or none, in training and, at the latest when it is asked, online. With an id an
   * event that came before is not another one.
   *
   * @param id the member of the rows that names the event, and is no column
   */
  push(source: string, rows: readonly Row[], id: string | null): Promise<void>
  /** Brings views in the online store up to date, as a run at the moment `at` would. */
  materialize(views: readonly string[], at: string): Promise<void>
  /** Makes a training set and keeps it under a name for later reads. */
  train(request: TrainingRequest): Promise<readonly Row[]>
  /** A training set that was kept. */
  read(name: string): Promise<readonly Row[]>
  /** Answers entities from the online side, as of one moment. */
  serve(service: string, entities: readonly Row[], at: string): Promise<readonly Served[]>
  close(): Promise<void>
}

export interface TrainingRequest {
  readonly service: string
  /** Rows of keys, request values and a time, in a file or as a query, where {{name}} is the table of a source. */
  readonly spine: { readonly file: string } | { readonly query: string } | ViewRows
  /** The spine column with each row's moment. */
  readonly time: string
  /** `before`: what becomes visible at the very moment of a row does not count. */
  readonly asOf: 'at' | 'before'
  /** `latest`: as if every row had been known at its event. */
  readonly knowledge: 'bitemporal' | 'latest'
  /** `ideal`: as if scheduled views were always refreshed. */
  readonly freshness: 'served' | 'ideal'
  /** Counts no row that was known at this moment or later; null: all. */
  readonly knownBefore: string | null
  readonly name: string
}

/** Replaces a spine: the rows of a view, each at the moment at which it becomes visible, within [from, to). */
export interface ViewRows {
  readonly rowsOf: string
  readonly from: string
  readonly to: string
}

export interface Served {
  readonly features: Row
  readonly statuses: Row
  /** The event time of the newest visible row behind each feature. */
  readonly eventTimes: Row
}

/** Thrown where the store refuses a call, with the store's message. */
export class Refused extends Error {}
