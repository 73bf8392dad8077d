import { type DestinationStream, type LevelWithSilent, type Logger, pino, stdTimeFunctions } from 'pino'
import { logToStandardError } from './log-destination.ts'

export type { LevelWithSilent as LogLevel, Logger } from 'pino'

/**
 * Logs one JSON object a line to standard error, since standard output belongs to what a command prints. `time` is RFC
 * 3339, `level` a word.
 */
export function createLogger(level: LevelWithSilent, destination: DestinationStream = logToStandardError()): Logger {
  return pino(
    { level, base: { pid: process.pid }, timestamp: stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    destination,
  )
}
