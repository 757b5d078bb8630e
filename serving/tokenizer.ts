import { Tokenizer } from '@huggingface/tokenizers'
import { ModelRefused } from './manifest.ts'

/** Text to the ids that the graph takes, special tokens included. */
export type Tokenize = (text: string) => readonly number[]

/** From the content of a Hugging Face tokenizer.json. Throws ModelRefused when it is none. */
export function createTokenize(tokenizerJson: unknown, maxTokens: number): Tokenize {
  const tokenizer = openTokenizer(tokenizerJson)
  return text => {
    const { ids } = tokenizer.encode(text)
    if (ids.length <= maxTokens) return ids
    const last = ids.at(-1) ?? 0 // the closing special token stays
    return [...ids.slice(0, maxTokens - 1), last]
  }
}

function openTokenizer(json: unknown): Tokenizer {
  try {
    return new Tokenizer(Object(json), {})
  } catch (cause) {
    throw new ModelRefused('the tokenizer cannot be read', { cause })
  }
}
