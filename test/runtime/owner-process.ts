// Tries to own a folder, for a server at the URL of the second argument. Reports the result, and when it stops owning
// the folder. Ends when its standard input does.
import { messageOf } from '../../kernel/errors.ts'
import { announceServer, ownEmbeddedFolder } from '../../runtime/embedded/embedded-owner.ts'

const say = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`)

try {
  const [, , directory = '', url] = process.argv
  const owner = await ownEmbeddedFolder(directory)
  if (url !== undefined) announceServer(directory, url)
  say({ owns: true })
  process.stdin.resume()
  process.stdin.on('end', async () => {
    await owner.release()
    say({ owns: false })
  })
} catch (error) {
  say({ error: messageOf(error), code: error instanceof Error && 'code' in error ? error.code : null })
}
