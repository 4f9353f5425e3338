// Whose service answers at a host, in OpenTelemetry's words for `gen_ai.provider.name`. Deliberately no judgement: a rule's
// destination says where calls may go. Called by `api.ts`.

/** Whose shape of requests and answers an API has. */
export type ModelFamily = 'openai' | 'anthropic' | 'gemini' | 'ollama'

const EXACT: ReadonlyMap<string, string> = new Map([
  ['api.openai.com', 'openai'],
  ['us.api.openai.com', 'openai'],
  ['eu.api.openai.com', 'openai'],
  ['api.anthropic.com', 'anthropic'],
  ['generativelanguage.googleapis.com', 'gcp.gemini'],
  ['aiplatform.googleapis.com', 'gcp.vertex_ai'],
  ['api.cohere.com', 'cohere'],
  ['api.deepseek.com', 'deepseek'],
  ['api.groq.com', 'groq'],
  ['api.mistral.ai', 'mistral_ai'],
  ['api.perplexity.ai', 'perplexity'],
  ['api.x.ai', 'x_ai'],
])

const ENDINGS: readonly (readonly [string, string])[] = [
  ['.openai.azure.com', 'azure.ai.openai'],
  ['.cognitiveservices.azure.com', 'azure.ai.openai'],
  ['.services.ai.azure.com', 'azure.ai.inference'],
  ['-aiplatform.googleapis.com', 'gcp.vertex_ai'],
]

const BEDROCK = /^bedrock-runtime(-fips)?\.[a-z0-9-]{1,32}\.amazonaws\.com$/

const BY_FAMILY: Readonly<Record<ModelFamily, string>> = {
  openai: 'openai',
  anthropic: 'anthropic',
  gemini: 'gcp.gemini',
  ollama: 'ollama',
}

/** Whether a host is a provider's own. @param host in normal form */
export function isModelHost(host: string): boolean {
  return providerOf(host) !== undefined
}

/** The provider as OpenTelemetry names it; of a host that is not known, whose API is spoken. */
export function readProvider(host: string, family: ModelFamily): string {
  return providerOf(host) ?? BY_FAMILY[family]
}

function providerOf(host: string): string | undefined {
  const exact = EXACT.get(host)
  if (exact !== undefined) return exact
  const ending = ENDINGS.find(([end]) => host.endsWith(end))
  if (ending !== undefined) return ending[1]
  return BEDROCK.test(host) ? 'aws.bedrock' : undefined
}
