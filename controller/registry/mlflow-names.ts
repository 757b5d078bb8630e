import { WeirError } from '../../contract/errors.ts'

/** What a model is called on the MLflow server, and back. */
export interface MlflowNames {
  toMlflow(model: string): string
  /** Undefined: that registered model is none of ours. */
  toModel(name: string): string | undefined
}

const PLACE = '{model}'
const NAME = /^[^/:'"%\\]{1,200}$/

/**
 * `food11=GourmetGramModel,team.{model}`: a model by its name, and a pattern for all others. Without a pattern the others are
 * called on the server as here.
 */
export function parseMlflowNames(text = ''): MlflowNames {
  const entries = text.split(',').map(entry => entry.trim())
  const byModel = new Map<string, string>()
  let pattern = PLACE
  for (const entry of entries.filter(entry => entry !== '')) {
    const [, model, name] = /^([^=]+)=(.+)$/.exec(entry) ?? [undefined, PLACE, entry]
    const isPattern = model === PLACE && name?.split(PLACE).length === 2
    if (name === undefined || model === undefined || !NAME.test(name) || (!isPattern && name.includes(PLACE)))
      throw refusal(entry)
    if (isPattern) pattern = name
    else if (model === PLACE) throw refusal(entry)
    else byModel.set(model, name)
  }
  const byName = new Map([...byModel].map(([model, name]) => [name, model]))
  const [before = '', after = ''] = pattern.split(PLACE)
  return {
    toMlflow: model => byModel.get(model) ?? `${before}${model}${after}`,
    toModel(name) {
      const known = byName.get(name)
      if (known !== undefined) return known
      const hasPattern =
        name.startsWith(before) && name.endsWith(after) && name.length > before.length + after.length
      const model = name.slice(before.length, name.length - after.length)
      return hasPattern && !byModel.has(model) ? model : undefined
    },
  }
}

function refusal(entry: string): WeirError {
  return new WeirError(
    'invalid_setting',
    `WEIR_MLFLOW_NAMES: "${entry}" must be MODEL=NAME or a pattern such as team.{model}, without / : ' " % \\`,
  )
}
