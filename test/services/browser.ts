import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { chromium } from 'playwright-core'
import { aptInstall, binaryFolders, isExecutable } from './binaries.ts'

/** The browsers of people come first. The headless shells take a fifth less processor time, but lack parts of them. */
const names = ['chromium', 'chromium-browser', 'google-chrome', 'chromium-headless-shell', 'chrome-headless-shell'] as const

/**
 * Starts a Chromium without a window: the one of `LOCKSTEP_TEST_CHROMIUM`, else one of the machine, else Debian's,
 * installed with apt-get as root.
 *
 * @param localNames host names that lead to this machine
 * @throws with all ways and why none works
 */
export async function startBrowser(localNames: readonly string[] = []): Promise<Browser> {
  const rules = localNames.map((name) => `MAP ${name} 127.0.0.1`).join(', ')
  // root of a container has no sandbox
  const args = ['--no-sandbox', '--disable-gpu', ...(rules === '' ? [] : [`--host-resolver-rules=${rules}`])]
  return await chromium.launch({ executablePath: await chromiumBinary(), args })
}

async function chromiumBinary(): Promise<string> {
  const given = process.env['LOCKSTEP_TEST_CHROMIUM'] ?? ''
  if (given !== '') return given
  const found = await findBinary()
  if (found !== null) return found
  try {
    await aptInstall(names[0])
  } catch (error) {
    throw new Error(
      'The tests need Chromium: in PATH; at the path in LOCKSTEP_TEST_CHROMIUM; or as root on Debian, where it is installed for you.',
      { cause: error },
    )
  }
  return (await findBinary()) ?? names[0]
}

async function findBinary(): Promise<string | null> {
  const folders = [...(await binaryFolders()), '/usr/bin']
  for (const name of names) {
    for (const folder of folders) if (await isExecutable(join(folder, name))) return join(folder, name)
  }
  return null
}
