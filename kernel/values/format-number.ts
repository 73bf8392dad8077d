/** Numbers from here on are written with an exponent. */
const exponentFrom = 1e21

/** Three significant digits, or as many as given: `0.0123`, `71.2`, `1,480`, `568,000`, `1.2e+21`. */
export function formatNumber(value: number, digits = 3): string {
  const rounded = Number(value.toPrecision(digits))
  const size = Math.abs(rounded)
  return size >= 1000 && size < exponentFrom ? rounded.toLocaleString('en-US', { maximumSignificantDigits: 21 }) : String(rounded)
}

/** A share in percent, as all texts show it: `0.4 %`, `63.1 %`. */
export function formatShare(share: number, digits = 3): string {
  return `${formatNumber(share * 100, digits)} %`
}
