import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pythonWith } from '../python-with.ts'
import { rootFolder } from '../source-files.ts'

// Makes the training sets of the conformance cases and of generated definitions with Spark, in one local session, and
// compares every value with PostgreSQL's: `node test/peers/spark.ts`. It needs Java 17; Spark comes from PyPI.
// LOCKSTEP_TEST_ORACLE_SECONDS says for how long definitions are generated.

const folder = mkdtempSync(join(tmpdir(), 'lockstep-spark-'))
try {
  const bin = await pythonWith('spark', ['pyspark==4.3.0', 'pyarrow==26.0.1', 'pandas>=2.2,<3'])
  // their DuckDB runs as well, and must give the same bytes
  execFileSync(process.execPath, [join(rootFolder, 'build/test.ts'), 'test/conformance', 'test/oracle'], {
    cwd: rootFolder,
    env: { ...process.env, LOCKSTEP_TEST_RECORD: folder },
    stdio: 'inherit',
  })
  const command = `${process.execPath} ${join(rootFolder, 'cli/main.ts')}`
  execFileSync(join(bin, 'python'), [join(import.meta.dirname, 'spark.py'), folder, command], { stdio: 'inherit' })
} finally {
  rmSync(folder, { recursive: true, force: true })
}
