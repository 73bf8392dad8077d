import { RequestError } from './request.ts'

/** What to say of an error: the server's own message, which says what to do. */
export function messageOf(error: unknown): string {
  if (error instanceof RequestError) return error.message
  return error instanceof Error ? `The page failed: ${error.message}` : String(error)
}
