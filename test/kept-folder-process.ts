import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolderOnce } from './kept-folder.ts'

/** For a test that kills it: begins to make the folder that it is given, and never finishes it. */
const [folder = ''] = process.argv.slice(2)
await makeFolderOnce(folder, async (partial) => {
  await writeFile(join(partial, 'partial.txt'), '')
  process.send?.('begun')
  await new Promise((resolve) => process.once('disconnect', resolve))
})
