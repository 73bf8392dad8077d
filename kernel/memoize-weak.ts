/** Remembers what was compiled for a plan for as long as the plan lives. */
export function memoizeWeak<Plan extends object, Compiled>(compile: (plan: Plan) => Compiled): (plan: Plan) => Compiled {
  const known = new WeakMap<Plan, Compiled>()
  return (plan) => {
    let compiled = known.get(plan)
    if (compiled === undefined) {
      compiled = compile(plan)
      known.set(plan, compiled)
    }
    return compiled
  }
}
