import type { Option } from './command.ts'
import type { Input } from './input.ts'

/** The option for the exit code of a result without rows. Airflow marks a task as skipped by 99. */
export const ifEmptyOption: Option = { value: 'CODE', help: 'Exit with this code if there are no rows, such as 99. Default: 0.' }

const maxExitCode = 255

/** The exit code of a command whose result has so many rows. */
export function exitCodeOf(input: Input, rows: number): { readonly exitCode?: number } {
  const code = input.count('if-empty', 0, maxExitCode)
  return code === undefined || rows > 0 ? {} : { exitCode: code }
}
