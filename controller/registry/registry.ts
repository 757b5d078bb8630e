import type { Alias, BrokenVersion } from '../../contract/registry.ts'

export interface ModelVersion {
  readonly model: string
  readonly version: string
  /** sha256:… over the model's bytes and its manifest; what "exactly this version" means. */
  readonly digest: string
  /** Milliseconds since the epoch; null: it lies in the models folder without having been registered. */
  readonly registeredAt: number | null
  readonly registeredBy: string | null
  /** Why it must not be used again; null while nothing is known against it. */
  readonly failed: string | null
}

export type Aliases = Readonly<Partial<Record<Alias, string>>>

/** Who wants something changed, and why; the audit keeps both. */
export interface Decision {
  readonly actor: string
  readonly reason: string
}

export interface RegisterOptions {
  readonly actor: string
  /** The next number when absent. */
  readonly version?: string | undefined
}

export interface Registered {
  readonly version: ModelVersion
  /** False: the same content was registered before, and this is that version. */
  readonly created: boolean
}

export interface AliasDecision extends Decision {
  /** The version that the alias must point at until now (null: none); `precondition_failed` otherwise. */
  readonly expected?: string | null | undefined
}

/**
 * Where versions of models are kept, and which of them stands where. Embedded: a folder and SQLite; in a cluster: an MLflow
 * server. Every change is audited with its actor. Calls may be repeated: what is so already is not done, nor recorded, again.
 */
export interface Registry {
  /** The names of all models. */
  models(): Promise<string[]>
  /** Lowest number first. Throws `model_not_found`. */
  versions(model: string): Promise<ModelVersion[]>
  /** What lies in a version's place and is none of `versions`. */
  broken(model: string): Promise<BrokenVersion[]>
  /**
   * Throws `model_not_found` or `version_not_found`, or what is wrong with it (`invalid_manifest`, `missing_file`); what is wrong
   * with others does not matter.
   */
  get(model: string, version: string): Promise<ModelVersion>
  /**
   * Takes the version in `folder` under the next number, and moves `development` to it in the same step. The manifest is kept
   * with this name and number, so the digest is that of the result. Throws `invalid_manifest`,
   * `missing_file` or `digest_mismatch` when the content is not what the manifest says, and `version_exists` for a number in use.
   */
  register(model: string, folder: string, options: RegisterOptions): Promise<Registered>
  aliases(model: string): Promise<Aliases>
  /** Null takes the alias away. Whoever calls has seen exactly this version serving: here nothing is verified. */
  setAlias(model: string, alias: Alias, version: string | null, decision: AliasDecision): Promise<void>
  markFailed(model: string, version: string, decision: Decision): Promise<void>
  /** Nothing is held against it any more: a person decides that it may try again. */
  clearFailed(model: string, version: string, decision: Decision): Promise<void>
  /** A folder of this machine with the version's files. What is downloaded is verified by its digest. */
  fetch(model: string, version: string): Promise<string>
}

/** What is needed to run a version that is known by its name. */
export type VersionLookup = Pick<Registry, 'versions' | 'get' | 'fetch'>
