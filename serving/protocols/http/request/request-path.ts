/** The path of a request's target. Its percent-encoding is decoded as Hono does it. */
export function pathOf(target: string): string {
  const query = target.indexOf('?')
  const path = query < 0 ? target : target.slice(0, query)
  // the request of a proxy also names the server
  const own = path.startsWith('/') ? path : (URL.parse(path)?.pathname ?? path)
  if (!own.includes('%')) return own
  try {
    return decodeURI(own.replaceAll('%25', '%2525'))
  } catch {
    return own
  }
}
