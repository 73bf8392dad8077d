import { join } from 'node:path'
import { pythonWith } from '../python-with.ts'
import { rootFolder } from '../source-files.ts'
import { run } from './peer-server.ts'
import { makeScoresProject } from './scores-project.ts'

// Runs examples/dagster on Dagster, from PyPI: `node test/peers/dagster.ts`.
const bin = await pythonWith('dagster', ['dagster==1.13.29'])
const { env, folder, close } = await makeScoresProject()
try {
  const script = join(import.meta.dirname, 'dagster_runs.py')
  run(join(bin, 'python'), [script, join(rootFolder, 'examples/dagster')], { cwd: folder, env: { ...env, DAGSTER_HOME: folder } })
} finally {
  close()
}
