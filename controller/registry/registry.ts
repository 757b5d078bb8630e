export interface ModelVersion {
  readonly model: string
  readonly version: string
  /** sha256:… over the model's bytes and its manifest; what "exactly this version" means. */
  readonly digest: string
  /** Folder that holds model.onnx and model.json. */
  readonly dir: string
}

/** Where versions of models are kept. Embedded: a folder; in a cluster: an MLflow server. */
export interface Registry {
  versions(model: string): Promise<ModelVersion[]>
  /** Throws `model_not_found` or `version_not_found`. */
  get(model: string, version: string): Promise<ModelVersion>
}
