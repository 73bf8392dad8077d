// Tries to own a folder, by the port of the second argument; reports the result, and when it stops owning it. Ends when its standard input does.
import { messageOf } from '../../kernel/errors.ts'
import { ownEmbeddedFolder } from '../../runtime/embedded-owner.ts'

const say = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`)

try {
  const owner = await ownEmbeddedFolder(process.argv[2] ?? '', Number(process.argv[3] ?? 8080))
  say({ owns: true })
  process.stdin.resume()
  process.stdin.on('end', async () => {
    await owner.release()
    say({ owns: false })
  })
} catch (error) {
  say({ error: messageOf(error), code: error instanceof Error && 'code' in error ? error.code : null })
}
