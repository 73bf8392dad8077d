import { join } from 'node:path'
import { pythonWith } from '../python-with.ts'
import { rootFolder } from '../source-files.ts'
import { run } from './peer-server.ts'
import { makeScoresProject } from './scores-project.ts'

// Runs examples/airflow on Airflow, from PyPI: `node test/peers/airflow.ts`.
const bin = await pythonWith('airflow', ['apache-airflow==3.3.2'])
const { env: given, folder, close } = await makeScoresProject()
try {
  const env = {
    ...given,
    AIRFLOW_HOME: join(folder, 'airflow'),
    AIRFLOW__CORE__DAGS_FOLDER: join(rootFolder, 'examples/airflow'),
    AIRFLOW__CORE__LOAD_EXAMPLES: 'False',
  }
  run(join(bin, 'airflow'), ['db', 'migrate'], { cwd: folder, env })
  run(join(bin, 'python'), [join(import.meta.dirname, 'airflow_runs.py')], { cwd: folder, env })
} finally {
  close()
}
