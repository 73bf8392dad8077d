/** Three significant digits, or as many as given: `0.0123`, `71.2`, `48200`. */
export function formatNumber(value: number, digits = 3): string {
  return String(Number(value.toPrecision(digits)))
}

/** A share in percent, as all texts show it: `0.4 %`, `63.1 %`. */
export function formatShare(share: number, digits = 3): string {
  return `${formatNumber(share * 100, digits)} %`
}
