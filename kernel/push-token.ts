export function pushToken(source: string, xids: readonly number[]): string {
  return `${source}~${xids.join()}`
}
