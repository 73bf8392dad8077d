import { existsSync, readFileSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withLock } from './kept-folder.ts'
import { aptInstall, run } from './services/binaries.ts'
import { rootFolder } from './source-files.ts'

/**
 * The `bin` folder of a virtual environment with these PyPI packages, made where it is missing. On Debian, root gets a
 * missing Python by apt-get.
 *
 * `test/python-pins/NAME.txt` pins all of them and what they depend on, so that no release of PyPI changes a test. To
 * renew the pins, delete the file and run what uses it, with the oldest Python that should do: that installs the newest
 * versions and writes the file.
 *
 * @param alone packages that are installed without what they name as dependencies
 * @throws where this machine has no Python and cannot install it, or where a package lacks its pin
 */
export async function pythonWith(name: string, packages: readonly string[], alone: readonly string[] = []): Promise<string> {
  const venv = join(rootFolder, 'node_modules/.cache/python', name)
  const ready = join(venv, 'ready')
  const pins = join(import.meta.dirname, 'python-pins', `${name}.txt`)
  const wanted = (): string => [...packages, ...alone, readFileSync(pins, 'utf8')].join('\n')
  const isReady = (): boolean => existsSync(pins) && existsSync(ready) && readFileSync(ready, 'utf8') === wanted()
  if (isReady()) return join(venv, 'bin')
  await withLock(venv, async () => {
    // another test file may have made it meanwhile
    if (isReady()) return
    await makeEnvironment(venv, packages, alone, pins)
    await writeFile(ready, wanted())
  })
  return join(venv, 'bin')
}

async function makeEnvironment(venv: string, packages: readonly string[], alone: readonly string[], pins: string): Promise<void> {
  await rm(venv, { recursive: true, force: true })
  const base = process.env['LOCKSTEP_TEST_PYTHON'] ?? 'python3'
  // to give an environment a pip of its own takes seconds, and most Pythons have one that installs elsewhere too
  const other = ['-m', 'pip', '--python', join(venv, 'bin/python')]
  const hasPip = await run(base, ['-m', 'pip', '--python', base, '--version']).then(
    () => true,
    () => false,
  )
  const make = () => run(base, ['-m', 'venv', ...(hasPip ? ['--without-pip'] : []), venv])
  await make().catch(async (error: unknown) => {
    await aptInstall('python3-venv').catch((cause: unknown) => {
      throw new Error('Tests of the Python client need Python 3.11 with venv: install it, or set LOCKSTEP_TEST_PYTHON.', {
        cause: new AggregateError([error, cause]),
      })
    })
    await make()
  })
  const [program, words] = hasPip ? [base, other] : [join(venv, 'bin/python'), ['-m', 'pip']]
  const pip = async (...more: readonly string[]): Promise<string> =>
    (await run(program, [...words, '--disable-pip-version-check', ...more], { maxBuffer: 1e8 })).stdout
  const isPinned = existsSync(pins)
  const options = ['--quiet', '--no-compile', ...(isPinned ? ['--constraint', pins] : [])]
  await pip('install', ...options, ...packages)
  if (alone.length > 0) await pip('install', ...options, '--no-deps', ...alone)
  const installed = await pip('freeze')
  if (!isPinned) return await writeFile(pins, installed)
  const lines = (text: string): string[] => text.toLowerCase().replaceAll('_', '-').split('\n')
  const pinned = new Set(lines(await readFile(pins, 'utf8')))
  const unpinned = lines(installed).filter((line) => !pinned.has(line))
  if (unpinned.length > 0) throw new Error(`"${pins}" lacks ${unpinned.join(', ')}: delete the file, and run this again.`)
}
