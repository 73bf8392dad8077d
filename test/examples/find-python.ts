import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** A Python that has what the trainers of examples and pages need; null: this machine has none. */
export async function findPython(): Promise<string | null> {
  const python = process.env['LOCKSTEP_TEST_PYTHON'] ?? 'python3'
  return await execute(python, ['-c', 'import onnx, pandas, pyarrow, skl2onnx, sklearn; import sys; print(sys.executable)']).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  )
}
