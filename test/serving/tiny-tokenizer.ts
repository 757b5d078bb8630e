/**
 * A tokenizer.json as RoBERTa has it, byte-level BPE with <s> and </s>, but for the words given: their letters are merged
 * from the left, everything else stays single bytes.
 */
export function tinyTokenizer(words: readonly string[]): {
  json: object
  idOf: (token: string) => number
  size: number
} {
  const special = ['<s>', '<pad>', '</s>', '<unk>']
  const vocabulary = new Set([...special, ...byteLetters()])
  const merges = new Set<string>()
  for (const word of words) {
    for (let end = 1; end < word.length; end++) {
      merges.add(`${word.slice(0, end)} ${word.charAt(end)}`)
      vocabulary.add(word.slice(0, end + 1))
    }
  }
  const ids = new Map([...vocabulary].map((token, id) => [token, id]))
  const idOf = (token: string) => ids.get(token) ?? -1
  const added = special.map(content => ({
    id: idOf(content),
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: true,
    special: true,
  }))
  const json = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: {
      type: 'RobertaProcessing',
      sep: ['</s>', idOf('</s>')],
      cls: ['<s>', idOf('<s>')],
      trim_offsets: true,
      add_prefix_space: false,
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      vocab: Object.fromEntries(ids),
      merges: [...merges],
    },
  }
  return { json, idOf, size: ids.size }
}

/** GPT-2's alphabet: printable bytes stand for themselves, the others for letters from U+0100 on (a space is Ġ). */
function byteLetters(): string[] {
  const printable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
  let others = 0
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(printable(byte) ? byte : 256 + others++),
  )
}
