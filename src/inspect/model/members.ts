// The members of requests that are known: what is not among them may make a provider run or fetch something, and what is
// spelled a little otherwise may be read by an upstream and not by us. Tables only; read by `server-tools.ts`.

import type { ModelEndpoint } from './api.ts'

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '')

// Settings of sampling, form and service that bring no content and run nothing, of OpenAI and of compatible servers.
const SETTINGS = words(`
  model models max_tokens max_completion_tokens max_output_tokens n best_of stream stream_options temperature top_p top_k
  min_p top_a typical_p seed random_seed stop stop_sequences stop_token_ids include_stop_str_in_output ignore_eos min_tokens
  presence_penalty frequency_penalty repetition_penalty length_penalty logit_bias logprobs top_logprobs prompt_logprobs
  skip_special_tokens spaces_between_special_tokens user metadata service_tier store safety_identifier prompt_cache_key
  prompt_cache_retention prompt_cache_options cache_control reasoning reasoning_effort include_reasoning thinking
  enable_thinking thinking_budget verbosity parallel_tool_calls tool_choice response_format guided_json guided_regex
  guided_choice guided_grammar structured_outputs chat_template_kwargs add_generation_prompt continue_final_message
  add_special_tokens echo suffix priority request_id truncate_prompt_tokens safe_prompt truncation usage route provider
  context_management moderation image access_programs
`)
const CHAT = words(`
  messages tools functions function_call modalities audio prediction fallbacks
`)
const RESPONSES = words(`
  input instructions tools text include max_tool_calls previous_response_id conversation prompt background fallbacks
`)
const EMBEDDINGS = words(
  'model input dimensions encoding_format user truncate_prompt_tokens input_type',
)
const ANTHROPIC = words(`
  anthropic_version anthropic_beta model max_tokens max_tokens_to_sample messages prompt system metadata stop_sequences
  stream temperature top_k top_p thinking tools tool_choice service_tier cache_control output_config output_format
  inference_geo speed betas user_profile_id workspace_id billing_policy compaction context_management diagnostics
  fallback_credit_token fallbacks mcp_servers container thread
`)
const GEMINI = words(`
  model contents content tools toolConfig tool_config safetySettings safety_settings systemInstruction system_instruction
  generationConfig generation_config cachedContent cached_content labels store serviceTier service_tier requests
  generateContentRequest generate_content_request taskType task_type title outputDimensionality output_dimensionality
  embedContentConfig embed_content_config
`)
const OLLAMA = words(`
  model messages prompt suffix images system template context raw format options stream keep_alive tools think logprobs
  top_logprobs truncate shift dimensions input
`)

const SETS: Readonly<Record<ModelEndpoint, ReadonlySet<string>>> = {
  chat: new Set([...SETTINGS, ...CHAT]),
  responses: new Set([...SETTINGS, ...RESPONSES]),
  'responses-count': new Set([...SETTINGS, ...RESPONSES]),
  // Nothing is judged in it.
  realtime: new Set(),
  completions: new Set([...SETTINGS, 'prompt', 'fallbacks']),
  embeddings: new Set(EMBEDDINGS),
  moderations: new Set(['model', 'input']),
  messages: new Set(ANTHROPIC),
  'messages-count': new Set(ANTHROPIC),
  complete: new Set(ANTHROPIC),
  generateContent: new Set(GEMINI),
  embedContent: new Set(GEMINI),
  batchEmbedContents: new Set(GEMINI),
  countTokens: new Set(GEMINI),
  'ollama-chat': new Set(OLLAMA),
  'ollama-generate': new Set(OLLAMA),
  'ollama-embed': new Set(OLLAMA),
}

/** Whether an endpoint's requests are known to have a member of this name. */
export function isKnownMember(endpoint: ModelEndpoint, name: string): boolean {
  return SETS[endpoint].has(name)
}

// Members below the first level that decide what a request means.
const NESTED = words(`
  type role content parts text source url image_url file_url video_url audio_url file_id file_ids file_data fileData file_uri
  fileUri input_audio inline_data inlineData tool_calls function name execution environment tool definition tool_changes
  function_response functionResponse functionDeclarations function_declarations googleSearch google_search
  googleSearchRetrieval google_search_retrieval urlContext url_context codeExecution code_execution fileSearch file_search
  googleMaps google_maps maxOutputTokens max_output_tokens candidateCount candidate_count num_predict input arguments
  parameters input_schema functionCall function_call args response schema skills container_id
`)

const SPELLINGS: ReadonlySet<string> = new Set([
  ...Object.values(SETS).flatMap((set) => [...set]),
  ...NESTED,
])

// Go's decoder takes `ſ` for `s` and the Kelvin sign for `k`; so does folding through upper case.
const fold = (name: string): string => name.toUpperCase().toLowerCase()
const bare = (name: string): string => fold(name).replaceAll('_', '')

const FOLDED: ReadonlySet<string> = new Set([...SPELLINGS].map((name) => fold(name)))
const BARE: ReadonlySet<string> = new Set([...SPELLINGS].map((name) => bare(name)))

/**
 * Whether some upstream may take a name for a known one, and another may not.
 * @param isLoose the API reads camelCase and snake_case alike
 */
export function isMisspelled(name: string, isLoose: boolean): boolean {
  return !SPELLINGS.has(name) && (isLoose ? BARE.has(bare(name)) : FOLDED.has(fold(name)))
}

/** Whether two members of an object are spellings of one. */
export function hasTwins(names: readonly string[], isLoose: boolean): boolean {
  const spelled = isLoose ? bare : fold
  return new Set(names.map((name) => spelled(name))).size !== names.length
}
