const titles: Readonly<Record<string, string>> = {
  auc: 'AUC',
  logLoss: 'log loss',
  brier: 'Brier score',
  f1: 'F1',
  positives: 'share of positives',
  calibrationError: 'calibration error',
  rmse: 'RMSE',
  mae: 'MAE',
}

/** A figure's name as people read it: `log loss` for `logLoss`. */
export function figureTitle(name: string): string {
  return titles[name] ?? name
}
