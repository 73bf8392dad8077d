import { formatTimestamp } from '../../kernel/values/time.ts'

/** Quotes one identifier: `a"b` becomes `"a""b"`. */
export function sqlIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Quotes `table` or `schema.table` as users write it. */
export function sqlRelation(name: string): string {
  return name.split('.').map(sqlIdentifier).join('.')
}

/** Quotes a text literal, whatever `standard_conforming_strings` says. */
export function sqlText(value: string): string {
  const quoted = `'${value.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`
  return value.includes('\\') ? ` E${quoted}` : quoted
}

/**
 * A call that signals sessions of the same user. `ALTER ROLE … SET role` has a user act as another role, and PostgreSQL
 * lets that role signal none of the user's sessions: the call is made as the user.
 */
export function sqlSignal(call: string): string {
  return `SET ROLE NONE; ${call}; RESET ROLE`
}

/** A moment in epoch microseconds, as a literal. */
export function sqlMoment(micros: number): string {
  return `timestamptz '${formatTimestamp(micros)}'`
}

/** A time span in microseconds, as a literal. */
export function sqlInterval(micros: number): string {
  return `interval '${micros} microseconds'`
}
