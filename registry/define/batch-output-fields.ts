import { LockstepError } from '../../kernel/errors.ts'

/** Where the rows of a batch go. */
export interface BatchOutputFields {
  /** The URL of a folder, without a slash at its end; or a table: `postgres:SCHEMA.TABLE`. */
  readonly out: string
  readonly format: 'parquet' | 'csv' | 'jsonl' | 'table'
  /** What happens to the rows that the table already has. */
  readonly mode: 'replace' | 'append' | 'upsert'
  /** Of the mode `upsert`: the columns by which rows are found; null: the keys of the service. */
  readonly key: string[] | null
}

export type GivenOutput = { readonly out: string } & Partial<{
  readonly [Field in 'format' | 'mode' | 'key']: BatchOutputFields[Field] | undefined
}>

const scheme = 'postgres:'
/** Text in braces stands for a part of an interval. */
const plain = /^[A-Za-z_](?:[\w$]|\{[a-z]+\})*$/
/** Schemas of Lockstep and of PostgreSQL. */
const reserved = /^(?:lockstep|lockstep_source|pg_.*|information_schema)$/
const maxNameBytes = 63

/** Whether the output of a batch is a table of the database: `postgres:scores`, `postgres:ml.scores`. */
export function isTableUrl(out: string): boolean {
  return out.startsWith(scheme)
}

/**
 * Completes where the rows of a batch go, and checks that the fields fit each other.
 *
 * @throws LockstepError `INVALID_REQUEST`
 */
export function outputFields({ out, format, mode, key = null }: GivenOutput): BatchOutputFields {
  if (isTableUrl(out)) {
    if (format !== undefined && format !== 'table')
      throw wrong(`The rows of a table have no format, but "${format}" was given. Leave it out.`)
    if (key !== null && mode !== 'upsert') throw wrong('Only the mode "upsert" has a key. Set the mode, or leave out the key.')
    if (key?.length === 0) throw wrong('The key has no column. Name columns of the spine, or leave it out.')
    const { schema, table } = parseTable(out)
    // the same table always has the same name
    return { out: `${scheme}${schema}.${table}`, format: 'table', mode: mode ?? 'replace', key }
  }
  if (format === 'table') throw wrong(`"${out}" is no table; write postgres:TABLE, or another format.`)
  if (mode !== undefined && mode !== 'replace') throw wrong(`The mode "${mode}" is for tables, and "${out}" is a folder. Leave it out.`)
  if (key !== null) throw wrong(`A key is for tables, and "${out}" is a folder. Leave it out.`)
  return { out: out.replace(/\/+$/, ''), format: format ?? 'parquet', mode: 'replace', key: null }
}

/**
 * The names of a table, taken as written; without a schema it is one of "public".
 *
 * @throws LockstepError `INVALID_REQUEST`
 */
export function parseTable(out: string): { readonly schema: string; readonly table: string } {
  const [first = '', second, ...rest] = out.slice(scheme.length).split('.')
  const [schema, table] = second === undefined ? ['public', first] : [first, second]
  const fits = [schema, table].every((name) => plain.test(name) && name.length <= maxNameBytes)
  if (rest.length === 0 && fits && !reserved.test(schema)) return { schema, table }
  const why = reserved.test(schema)
    ? `The schema "${schema}" is not for tables of users.`
    : `A name has letters, digits and "_", at most ${maxNameBytes}, and begins with a letter.`
  throw wrong(`"${out}" is no table for a batch. Write postgres:TABLE or postgres:SCHEMA.TABLE. ${why}`)
}

function wrong(message: string): LockstepError {
  return new LockstepError('INVALID_REQUEST', message)
}
