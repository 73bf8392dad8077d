import { isTemporary } from '../runtime/is-temporary.ts'
import { asLockstepError } from '../runtime/postgres/postgres-unavailable.ts'
import { plainJson } from '../kernel/values/plain-text.ts'
import type { Terminal } from './terminal.ts'

/** Prints the error on standard error, and returns the exit code: 2 for a wrong call, else 1. */
export function reportError(error: unknown, terminal: Terminal, showStack: boolean): number {
  const { code, message, details } = asLockstepError(error)
  const retriable = isTemporary(error)
  terminal.complain(terminal.json ? jsonText({ error: { code, message, retriable, details } }) : `error ${code}: ${message}`)
  if (showStack) terminal.complain(stackOf(error))
  return code === 'USAGE' ? 2 : 1
}

/** JSON of anything that a command returns, on one line: int64 as decimal strings. */
export function jsonText(value: unknown, indent = false): string {
  const text = JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each), 1)
  // line ends within texts are escaped
  return plainJson(indent ? text : text.replaceAll(/\n\s*/g, ' '))
}

function stackOf(error: unknown): string {
  const lines: string[] = []
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    lines.push(`${lines.length > 0 ? 'caused by ' : ''}${cause.stack ?? cause.message}`)
  return lines.join('\n')
}
