/** Three significant digits: `0.0123`, `71.2`, `48200`. */
export function formatNumber(value: number): string {
  return String(Number(value.toPrecision(3)))
}

/** A share in percent: `0.4 %`, `63.1 %`. */
export function formatShare(share: number): string {
  return `${formatNumber(share * 100)} %`
}
