import { createConnection } from 'node:net'
import { z } from 'zod'
import { withShortPath } from './short-path.ts'

const answerTimeoutMs = 500

export type OwnerAnswer = z.infer<typeof ownerAnswer>

const ownerAnswer = z.object({ pid: z.number(), command: z.string(), owner: z.boolean() })

/**
 * Asks the process behind a socket of an embedded folder who it is.
 *
 * @returns `dead` where nobody listens on the socket any more; `gone` where there is no such socket; `silent` where somebody listens who says nothing,
 *   as a stopped process does; `unclear` where the answer broke off, as when the process ends just now
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
