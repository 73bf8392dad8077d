import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeProgram } from '../program.ts'
import { pythonWith } from '../python-with.ts'
import { rootFolder } from '../source-files.ts'

// Makes the training sets of the conformance cases and of 500 generated views with Spark, in one local session, and
// compares every value with PostgreSQL's: `node test/peers/spark.ts [FOLDER]`. FOLDER has what tests recorded
// (LOCKSTEP_TEST_RECORD); without it, they run here. It needs Java 17; Spark comes from PyPI.
// LOCKSTEP_TEST_CASES above 1 generates more views.

const [recorded] = process.argv.slice(2)
const folder = recorded ?? mkdtempSync(join(tmpdir(), 'lockstep-spark-'))
try {
  const bin = await pythonWith('spark', ['pyspark==4.3.0', 'pyarrow==26.0.1', 'pandas>=2.2,<3'])
  // their DuckDB runs as well, and must give the same bytes
  if (recorded === undefined) {
    execFileSync(
      process.execPath,
      [join(rootFolder, 'build/test.ts'), 'test/conformance', 'test/offline/duckdb/generated', 'test/oracle'],
      {
        cwd: rootFolder,
        env: { ...process.env, LOCKSTEP_TEST_RECORD: folder },
        stdio: 'inherit',
      },
    )
  }
  const program = await makeProgram(join(rootFolder, 'node_modules/.cache'))
  const command = `${process.execPath} ${join(program, 'cli/main.js')}`
  execFileSync(join(bin, 'python'), [join(import.meta.dirname, 'spark.py'), folder, command], { stdio: 'inherit' })
} finally {
  if (recorded === undefined) rmSync(folder, { recursive: true, force: true })
}
