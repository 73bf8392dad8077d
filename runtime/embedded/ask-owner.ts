import { createConnection } from 'node:net'
import { z } from 'zod'
import { withShortPath } from './short-path.ts'

const answerTimeoutMs = 500

export type OwnerAnswer = z.infer<typeof ownerAnswer>

const ownerAnswer = z.object({ pid: z.number(), command: z.string(), owner: z.boolean(), url: z.string().optional() })

/**
 * Asks the process behind a socket of an embedded folder for its identity.
 *
 * @returns `dead` if no process listens on the socket; `gone` if the socket does not exist; `silent` if the process
 *   does not answer, such as a stopped one; `unclear` if the answer is incomplete, such as when the process is ending
 */
export function askOwner(directory: string, name: string): Promise<OwnerAnswer | 'dead' | 'gone' | 'silent' | 'unclear'> {
  return withShortPath(
    directory,
    name,
    (path) =>
      new Promise((resolve) => {
        let text = ''
        const socket = createConnection(path)
        socket.setTimeout(answerTimeoutMs, () => {
          resolve('silent')
          socket.destroy()
        })
        socket.setEncoding('utf8')
        socket.on('data', (part) => (text += part))
        socket.on('error', (error: NodeJS.ErrnoException) => {
          if (error.code === 'ECONNREFUSED') resolve('dead')
          if (error.code === 'ENOENT') resolve('gone')
        })
        socket.on('close', () => resolve(parseAnswer(text)))
      }),
  )
}

function parseAnswer(text: string): OwnerAnswer | 'unclear' {
  try {
    return ownerAnswer.parse(JSON.parse(text))
  } catch {
    return 'unclear'
  }
}
