/** What a model server answers. */
export const PREDICTION = JSON.stringify({
  label: 'Bread',
  class_index: 0,
  confidence: 0.9,
  top_k: [{ label: 'Bread', confidence: 0.9 }],
  model: 'food11',
  model_version: '1',
})
