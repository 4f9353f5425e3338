// The keys of a rule that look inside a call: what may be asked of an MCP server, of a model, of a GraphQL endpoint, of a git
// server. Values, and how a task's values are filled in; `inside-match.ts` holds them against what was read of a call.
// Pure; made by `inside-grammar.ts`, bound by `bind.ts`.

import { INSPECTORS, type GraphqlOperation, type Inspector, type McpList } from './subject.ts'
import { bindTemplate, foldGlob, type Glob, type ParamValues, type Part } from './template.ts'

/** A pattern with a task's values in it, and the same without case. */
export interface BoundPattern {
  readonly glob: Glob
  readonly folded: Glob
}

/** Names of an MCP server; a list that is not there has no name that is meant. */
export type McpKeys<Pattern> = Readonly<Partial<Record<McpList, readonly Pattern[]>>> & {
  /** Digests of the definitions of tools by name, as they are written. */
  readonly pins?: ReadonlyMap<string, string>
}

/** What a question to a model may ask for. */
export interface ModelKeys<Pattern> {
  readonly models?: readonly Pattern[]
  readonly maxTokens?: number
  /** `true`: any, `false`: none. */
  readonly serverTools?: boolean | readonly Pattern[]
}

/** What a GraphQL request may ask for. */
export interface GraphqlKeys {
  readonly operations?: readonly GraphqlOperation['type'][]
  /** Names from the root on; `*` is one name. */
  readonly fields?: readonly (readonly string[])[]
  readonly introspection: boolean
}

/** What git may do over HTTP. */
export interface GitKeys<Pattern> {
  readonly repos?: readonly Pattern[]
  /** Full names of references. */
  readonly push?: readonly Pattern[]
  readonly force: boolean
  readonly maxPackBytes?: number
}

/** The keys of a rule that look inside, of one kind. */
interface InsideKeys<Pattern> {
  readonly mcp?: McpKeys<Pattern>
  readonly model?: ModelKeys<Pattern>
  readonly graphql?: GraphqlKeys
  readonly git?: GitKeys<Pattern>
}

/** As they are written. */
export type Inside = InsideKeys<readonly Part[]>

/** With a task's values in them. */
export type BoundInside = InsideKeys<BoundPattern>

// Of a body that may be of any kind only conditions ask.
const KINDS = INSPECTORS.filter((kind) => kind !== 'body')

/** The recogniser that a rule needs. */
export function inspectorOf(inside: Inside | BoundInside): Exclude<Inspector, 'body'> | undefined {
  return KINDS.find((kind) => inside[kind] !== undefined)
}

/** Every pattern of such keys. */
export function patternsOf({ mcp, model, git }: Inside): readonly (readonly Part[])[] {
  const { serverTools } = model ?? {}
  return [
    ...(mcp ? [...(mcp.tools ?? []), ...(mcp.resources ?? []), ...(mcp.prompts ?? [])] : []),
    ...(model?.models ?? []),
    ...(typeof serverTools === 'object' ? serverTools : []),
    ...(git ? [...(git.repos ?? []), ...(git.push ?? [])] : []),
  ]
}

/** Fills the parameters. */
export function bindInside({ mcp, model, graphql, git }: Inside, values: ParamValues): BoundInside {
  const bind = (patterns: readonly (readonly Part[])[]): readonly BoundPattern[] =>
    patterns.map((parts) => {
      const glob = bindTemplate(parts, values)
      return { glob, folded: foldGlob(glob) }
    })
  return {
    ...(mcp && { mcp: bindMcp(mcp, bind) }),
    ...(model && { model: bindModel(model, bind) }),
    ...(graphql && { graphql }),
    ...(git && { git: bindGit(git, bind) }),
  }
}

type Bind = (patterns: readonly (readonly Part[])[]) => readonly BoundPattern[]

function bindMcp(mcp: McpKeys<readonly Part[]>, bind: Bind): McpKeys<BoundPattern> {
  const { tools, resources, prompts, pins } = mcp
  return {
    ...(tools && { tools: bind(tools) }),
    ...(resources && { resources: bind(resources) }),
    ...(prompts && { prompts: bind(prompts) }),
    ...(pins && { pins }),
  }
}

function bindModel(model: ModelKeys<readonly Part[]>, bind: Bind): ModelKeys<BoundPattern> {
  const { models, maxTokens, serverTools } = model
  return {
    ...(models && { models: bind(models) }),
    ...(maxTokens !== undefined && { maxTokens }),
    ...(serverTools !== undefined && {
      serverTools: typeof serverTools === 'boolean' ? serverTools : bind(serverTools),
    }),
  }
}

function bindGit(git: GitKeys<readonly Part[]>, bind: Bind): GitKeys<BoundPattern> {
  const { repos, push, force, maxPackBytes } = git
  return {
    ...(repos && { repos: bind(repos) }),
    ...(push && { push: bind(push) }),
    force,
    ...(maxPackBytes !== undefined && { maxPackBytes }),
  }
}
