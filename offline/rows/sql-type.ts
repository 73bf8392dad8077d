import type { ColumnType } from '../../kernel/values/value-type.ts'

/** PostgreSQL's short name (`pg_type.typname`) of a type as values travel in binary form. */
export function sqlTypeName({ kind }: ColumnType): string {
  return sqlTypes[kind]
}

const sqlTypes: Readonly<Record<ColumnType['kind'], string>> = {
  bool: 'bool',
  int32: 'int4',
  int64: 'int8',
  float32: 'float4',
  float64: 'float8',
  string: 'text',
  timestamp: 'timestamptz',
  vector: '_float4',
}

/**
 * `expression` cast so that its binary form is the one that the decoders read. A cast that changes nothing costs
 * nothing, and PostgreSQL still uses an index. Without it, bytes of another type would be decoded if the column's type
 * changed after it was read.
 *
 * @param actual the expression's own `typname` where it is known
 */
export function castTo(type: ColumnType, expression: string, actual: string | undefined): string {
  const wanted = sqlTypeName(type)
  // the same microseconds: a time without a zone is UTC
  if (type.kind === 'timestamp' && (actual === 'timestamp' || actual === 'date')) return `${expression}::timestamp`
  if (actual === 'numeric' && (type.kind === 'float32' || type.kind === 'float64')) {
    // PostgreSQL refuses to round a number to zero
    return `CASE WHEN abs(${expression}) <= ${roundsToZero[type.kind]} THEN 0 ELSE ${expression}::${wanted} END`
  }
  return `${expression}::${type.kind === 'vector' ? 'float4[]' : wanted}`
}

/**
 * The condition under which a number is too great for a float: it rounds to more than the greatest one, being half a
 * step above it. NaN sorts above infinity.
 */
export function beyondFloat(kind: 'float32' | 'float64', number: string, actual: string): string {
  const above = kind === 'float32' ? '3.4028235677973366e38' : '1.79769313486231580793e308'
  return `abs(${number}) >= '${above}'::${actual} AND abs(${number}) < 'Infinity'::${actual}`
}

/** Half of the least number above zero, 2^-150 and 2^-1075, to forty digits. */
const roundsToZero = {
  float32: '7.006492321624085354618979165080726194233e-46',
  float64: '2.470328229206232720882843964341106861825e-324',
} as const

/** The type of a query's column for which none is declared: that of its values (a numeric is a float64), or text. */
export function naturalType(typname: string): ColumnType {
  switch (typname) {
    case 'bool':
      return { kind: 'bool' }
    case 'int2':
    case 'int4':
      return { kind: 'int32' }
    case 'int8':
      return { kind: 'int64' }
    case 'float4':
      return { kind: 'float32' }
    case 'float8':
    case 'numeric':
      return { kind: 'float64' }
    case 'timestamp':
    case 'timestamptz':
    case 'date':
      return { kind: 'timestamp' }
    default:
      return { kind: 'string' }
  }
}
