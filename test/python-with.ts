import { existsSync, readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withLock } from './kept-folder.ts'
import { aptInstall, run } from './services/binaries.ts'
import { rootFolder } from './source-files.ts'

/**
 * The `bin` folder of a virtual environment with these PyPI packages, made where it is missing. On Debian, root gets a
 * missing Python by apt-get.
 *
 * @param alone packages that are installed without what they name as dependencies
 * @throws where this machine has no Python and cannot install it
 */
export async function pythonWith(name: string, packages: readonly string[], alone: readonly string[] = []): Promise<string> {
  const venv = join(rootFolder, 'node_modules/.cache/python', name)
  const ready = join(venv, 'ready')
  const wanted = [...packages, ...alone].join('\n')
  const isReady = (): boolean => existsSync(ready) && readFileSync(ready, 'utf8') === wanted
  if (isReady()) return join(venv, 'bin')
  await withLock(`${venv}.lock`, async () => {
    // another test file may have made it meanwhile
    if (!isReady()) await makeEnvironment(venv, packages, alone)
    await writeFile(ready, wanted)
  })
  return join(venv, 'bin')
}

async function makeEnvironment(venv: string, packages: readonly string[], alone: readonly string[]): Promise<void> {
  await rm(venv, { recursive: true, force: true })
  const base = process.env['LOCKSTEP_TEST_PYTHON'] ?? 'python3'
  const make = () => run(base, ['-m', 'venv', venv])
  await make().catch(async (error: unknown) => {
    await aptInstall('python3-venv').catch((cause: unknown) => {
      throw new Error('Tests of the Python client need Python 3.9 with venv: install it, or set LOCKSTEP_TEST_PYTHON.', {
        cause: new AggregateError([error, cause]),
      })
    })
    await make()
  })
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-compile']
  await run(join(venv, 'bin/python'), [...pip, ...packages], { maxBuffer: 1e8 })
  if (alone.length > 0) await run(join(venv, 'bin/python'), [...pip, '--no-deps', ...alone], { maxBuffer: 1e8 })
}
