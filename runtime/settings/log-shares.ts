/** The share of the requests whose predictions are logged, 0 to 1: for named models, and for all others. */
export interface LogShares {
  readonly share: number
  readonly models: ReadonlyMap<string, number>
}

export const logNothing: LogShares = { share: 0, models: new Map() }

/** The share of a model's requests that are logged, 0 to 1. */
export function loggedShare({ share, models }: LogShares, model: string): number {
  return models.get(model) ?? share
}

/** Parses `0.01` or `0.01,delay=1,fraud=0.1`. Returns null for invalid text. */
export function parseLogShares(text: string): LogShares | null {
  let share: number | null = null
  const models = new Map<string, number>()
  for (const part of text.split(',').map((each) => each.trim())) {
    const [, model, number = ''] = /^(?:([A-Za-z_]\w*)\s*=\s*)?(\d+(?:\.\d+)?(?:[eE]-?\d+)?)$/.exec(part) ?? []
    const value = number === '' ? Number.NaN : Number(number)
    if (!(value <= 1)) return null
    if (model === undefined) {
      if (share !== null) return null
      share = value
    } else {
      if (models.has(model)) return null
      models.set(model, value)
    }
  }
  return { share: share ?? 0, models }
}
