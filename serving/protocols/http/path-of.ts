/** The path of a request's target, its percent-encoding undone as Hono does it. */
export function pathOf(target: string): string {
  const query = target.indexOf('?')
  const path = query < 0 ? target : target.slice(0, query)
  // a proxy's request names the server too
  const own = path.startsWith('/') ? path : (URL.parse(path)?.pathname ?? path)
  if (!own.includes('%')) return own
  try {
    return decodeURI(own.replaceAll('%25', '%2525'))
  } catch {
    return own
  }
}
