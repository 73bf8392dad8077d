/** SQL of a time of the log as epoch microseconds. */
export function microsOf(column: string): string {
  return `(extract(epoch FROM ${column}) * 1000000)::bigint`
}
